using Grid.Agreements;
using Grid.Gateways;
using Grid.Units;

namespace Grid.Node.Gateways;

/// <summary>Whether the user may have the names that an agreement wants on this node: what the node finds out itself before it is ready.</summary>
/// <param name="domain">under which this node gives names; null: under none</param>
internal sealed class DomainProofs(string? domain, TxtLookup? dns)
{
    /// <param name="inForce">the version that is amended; a name it holds already was proven for it</param>
    /// <exception cref="DnsUnreachableException">nobody could be asked</exception>
    public async Task<Refusal?> CheckAsync(AgreementTerms terms, NodeId node, AgreementTerms? inForce, CancellationToken cancel)
    {
        foreach (var gateway in terms.Gateways.Where(g => g.Node == node))
        {
            if (GatewayRules.CheckDomain(gateway, domain) is { } foreign)
                return foreign;
            if (gateway.Proof is DomainProof.Dns && inForce?.Gateways.Any(g => g.Hostname == gateway.Hostname && g.Node == node) != true && await UnprovenAsync(gateway, terms.User, cancel) is { } unproven)
                return unproven;
        }
        return null;
    }

    private async Task<Refusal?> UnprovenAsync(Gateway gateway, AccountId user, CancellationToken cancel)
    {
        var name = $"{Gateway.Challenge}.{gateway.Hostname}";
        var found = await (dns ?? throw new DnsUnreachableException("This node has no name server to ask.")).AskAsync(name, cancel);
        return found.Contains(user.ToString())
            ? null
            : new Refusal(RefusalCode.DomainNotProven, $"The TXT record {name} of '{gateway.Name}' does not hold {user}.", "Write it, wait until the old answer is forgotten, and propose again.");
    }
}
