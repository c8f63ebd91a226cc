using System.Collections.Immutable;
using System.Net;
using Grid.Agreements;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Networks;
using Grid.Reconciliation;
using Grid.Units;

namespace Grid.Node.Agent;

/// <summary>This node's side of private networks: what it publishes of its tunnels before anything runs, and what it makes of them afterwards.</summary>
/// <param name="underlay">where other nodes reach this one</param>
internal sealed class Tunnels(TunnelHost host, TunnelKeys keys, ImmutableArray<IPAddress> underlay, TimeProvider time)
{
    private ImmutableSortedDictionary<TunnelId, Sighting<TunnelSeen>>? _last;

    /// <summary>Keys follow from the node's own; a port once published is kept for as long as the workload is a member.</summary>
    /// <param name="barred">ports that are not chosen, whatever <paramref name="all"/> says</param>
    public TunnelEnds EndsFor(Agreement agreement, Agreements.Version version, NodeId node, IEnumerable<Agreement> all, IEnumerable<int> barred)
    {
        var places = version.Terms.MembershipsOn(node);
        if (places.IsEmpty)
            return TunnelEnds.None;
        var taken = all.SelectMany(a => (Agreements.Version?[])[a.Version, a.Next?.Version]).OfType<Agreements.Version>()
            .SelectMany(v => v.Ends.GetValueOrDefault(node)?.Tunnels ?? []).Select(t => t.Port).Concat(barred).ToHashSet();
        var ends = ImmutableArray.CreateBuilder<TunnelEnd>(places.Length);
        foreach (var place in places)
        {
            var id = new TunnelId(agreement.Id, place);
            var port = agreement.Version.End(node, place)?.Port ?? host.ChoosePort(id, taken);
            taken.Add(port);
            ends.Add(new TunnelEnd(place, keys.PublicOf(id), port));
        }
        return new TunnelEnds(underlay, ends.MoveToImmutable());
    }

    /// <summary>What a machine needs to know before it starts: the tap of each of its networks, and how large a packet may be.</summary>
    public (ImmutableArray<string> Taps, int Mtu) LinksOf(AgreementId agreement, Workloads.Placed workload) =>
        ([.. workload.Networks.Select(a => host.TapOf(new TunnelId(agreement, new Membership(a.Network, workload.Name))))], host.Mtu());

    /// <summary>What private networks are made of.</summary>
    public WireGuardEngine Engine => host.Engine;

    /// <returns>null when nothing can be said, nor could before</returns>
    public ImmutableSortedDictionary<TunnelId, Sighting<TunnelSeen>>? Observe(Func<TunnelId, ProcessIdentity?> init)
    {
        try
        {
            return _last = host.Observe(init).ToImmutableSortedDictionary(t => t.Key, t => Seen(t.Value));
        }
        catch (Exception e) when (Effect.IsOfTheMachine(e))
        {
            // A program that did not answer: what was there may be there.
            return _last?.ToImmutableSortedDictionary(t => t.Key, t => (Sighting<TunnelSeen>)new Sighting<TunnelSeen>.Unknown(e.Message));
        }
    }

    public Task<Outcome> ApplyAsync(TunnelId id, Tunnel tunnel, ProcessIdentity init) => host.ApplyAsync(id, tunnel, init);

    public Task<Outcome> RemoveAsync(TunnelId id) => host.RemoveAsync(id);

    public Task<Outcome> ReleaseAsync(ContainerId container) => host.ReleaseAsync(container);

    private Sighting<TunnelSeen> Seen(TunnelSighting sighting) => sighting switch
    {
        TunnelSighting.Present p => new Sighting<TunnelSeen>.Present(new TunnelSeen(
            p.State.Key ?? default, p.Listens || p.IsYoung ? p.State.Port : 0, p.Place is { } place ? (place.Address, place.Bits) : null,
            [.. p.State.Peers.Select(s => new PeerSeen(s.Key, s.Address, s.Endpoint, s.IsHeard(time.GetUtcNow())) { Crossed = p.State.Key is { } own && s.HasCrossed(own) })],
            p.Egress)),
        TunnelSighting.Unknown u => new Sighting<TunnelSeen>.Unknown(u.Why),
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
