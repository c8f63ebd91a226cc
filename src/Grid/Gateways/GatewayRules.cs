using Grid.Agreements;
using Grid.Nodes;

namespace Grid.Gateways;

/// <summary>The rules of gateways: the static ones, part of <see cref="AgreementRules"/>, and what a node may give away of its domain.</summary>
public static class GatewayRules
{
    internal static void Check(AgreementTerms terms, Findings found)
    {
        var names = new Dictionary<string, string>();
        foreach (var gateway in terms.Gateways)
        {
            var its = found.Of(gateway);
            if (!Hostname.IsValid(gateway.Hostname))
                its.Add(new(RefusalCode.HostnameInvalid, $"'{gateway.Hostname}' of '{gateway.Name}' is not a hostname.", "Write the full name, such as shop.example.org, in lower case and without a dot at its end."), "hostname");
            else if (!names.TryAdd(gateway.Hostname, gateway.Name))
                its.Add(new(RefusalCode.NameTaken, $"'{gateway.Name}' and '{names[gateway.Hostname]}' both want to be {gateway.Hostname}."), "hostname");
            if (gateway.Networks is not [{ Network: var network }])
                its.Add(new(RefusalCode.UnresolvedNetwork, $"The gateway '{gateway.Name}' is in {gateway.Networks.Length} networks; it is in just the one of its backend."), "networks");
            else if (!terms.Placed.Any(w => w is not Gateway && w.Name == gateway.Backend.Workload && w.Networks.Any(a => a.Network == network)))
                its.Add(new(RefusalCode.UnresolvedBackend, $"The gateway '{gateway.Name}' leads to '{gateway.Backend.Workload}', which is no workload with an address in '{network}'."), "backend");
        }
    }

    /// <summary>Null when the name is not asked of the node's domain, or is the node's to give.</summary>
    /// <param name="domain">the node's; null when it has none</param>
    public static Refusal? CheckDomain(Gateway gateway, string? domain) =>
        gateway.Proof is not DomainProof.Domain || (domain is not null && Hostname.IsDirectlyUnder(gateway.Hostname, domain))
            ? null
            : new Refusal(RefusalCode.DomainNotProven, $"{gateway.Node} gives {(domain is null ? "no names" : $"names directly under {domain}")}; {gateway.Hostname} is none of them.",
                $"Use 'proof: dns' and a TXT record {Gateway.Challenge}.{gateway.Hostname} that holds your account's id.")
            { About = new About(gateway.Name, "proof") };
}
