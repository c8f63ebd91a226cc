using System.Collections.Immutable;
using Grid.Addresses;
using Grid.Node.Containers;
using Grid.Node.Networks;
using Grid.Reconciliation;
using Grid.Units;

namespace Grid.Node.Agent;

/// <summary>This node's public addresses. What the farm lists of one is taken from the agreement's own proof.</summary>
/// <param name="feed">null where addresses are only released</param>
internal sealed class BoundAddresses(PublicAddresses host, AgreementFeed? feed)
{
    private ImmutableSortedDictionary<WorkloadKey, Sighting<AddressSeen>>? _last;
    private volatile IReadOnlyDictionary<ContainerId, ProcessIdentity> _inits = ImmutableDictionary<ContainerId, ProcessIdentity>.Empty;

    /// <returns>null when nothing can be said, nor could before</returns>
    public ImmutableSortedDictionary<WorkloadKey, Sighting<AddressSeen>>? Observe(IReadOnlyDictionary<ContainerId, ProcessIdentity> inits)
    {
        _inits = inits;
        try
        {
            return _last = host.Observe(inits).ToImmutableSortedDictionary(
                a => a.Key.Key, a => (Sighting<AddressSeen>)new Sighting<AddressSeen>.Present(new AddressSeen(a.Value.Ip, a.Value.Ports, a.Value.Workload, a.Value.Whole)));
        }
        catch (IOException e)
        {
            // A program that did not answer: what was there may be there.
            return _last?.ToImmutableSortedDictionary(a => a.Key, a => (Sighting<AddressSeen>)new Sighting<AddressSeen>.Unknown(e.Message));
        }
    }

    /// <param name="card">what a machine has it on; null for a container</param>
    public Task<Outcome> BindAsync(Wish wish, ProcessIdentity init, MachineCard? card)
    {
        var address = (PublicAddress)wish.Workload;
        var state = feed?[wish.Key.Agreement]?.State;
        return state is not null && state.Addresses.TryGetValue(address.Ip, out var farm) && state.Farms[farm].Addresses.FirstOrDefault(a => a.Address.Equals(address.Ip)) is { } listed
            ? Effect.Run(() => host.Bind(ContainerId.Of(wish.Key), address, listed, init, card, [.. InitsOf(wish.Key.Agreement)]))
            : Task.FromResult<Outcome>(new Outcome.Refused(new Refusal(RefusalCode.AddressNotOwned, $"{address.Ip} is on no list of this farm."), MayPass: true));
    }

    public Task<Outcome> ReleaseAsync(WorkloadKey key) => Effect.Run(() => host.Release(ContainerId.Of(key), InitsOf(key.Agreement)));

    private IEnumerable<ProcessIdentity> InitsOf(AgreementId agreement) => _inits.Where(i => i.Key.Agreement == agreement).Select(i => i.Value);
}
