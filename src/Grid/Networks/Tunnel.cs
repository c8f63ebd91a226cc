using System.Collections.Immutable;
using System.Net;
using Grid.Agreements;
using Grid.Machines;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Networks;

/// <summary>
/// One WireGuard interface as it must be: one workload's end of one network, inside the workload's network namespace. Its peers are the other
/// members, each allowed its single address.
/// </summary>
/// <param name="Bits">of the network's prefix; what lies in it goes through the tunnel and nothing else does</param>
/// <param name="Peers">sorted by key</param>
/// <param name="Egress">what else the workload may reach</param>
public sealed record Tunnel(string Network, IPAddress Address, int Bits, TunnelKey Key, int Port, ImmutableArray<TunnelPeer> Peers, Egress Egress)
{
    /// <summary>
    /// Which interface of a machine it is for, from 0: the address is then the machine's own, behind a tap. Null for what has the address in its namespace.
    /// </summary>
    public int? Interface { get; init; }

    /// <summary>The tunnels of a workload, sorted by network; those of which nothing was published yet are left out.</summary>
    public static ImmutableArray<Tunnel> Of(Agreements.Version version, Placed workload) =>
    [
        .. from place in workload.Networks
           let network = version.Terms.Workloads.OfType<Network>().First(n => n.Name == place.Network)
           let own = version.End(workload.Node, new Membership(place.Network, workload.Name))
           where own is not null
           select new Tunnel(place.Network, place.Address, network.Cidr.PrefixLength, own.Key, own.Port, PeersOf(version, workload, place.Network), network.Egress)
           {
               Interface = workload is Machine ? workload.Networks.IndexOf(place) : null,
           },
    ];

    private static ImmutableArray<TunnelPeer> PeersOf(Agreements.Version version, Placed self, string network) =>
    [
        .. from other in version.Terms.Placed
           where other.Name != self.Name
           from place in other.Networks
           where place.Network == network
           let end = version.End(other.Node, new Membership(network, other.Name))
           where end is not null
           orderby end.Key
           select new TunnelPeer(end.Key, Reach(version.Ends[self.Node], version.Ends[other.Node]) is { } at ? new IPEndPoint(at, end.Port) : null, place.Address),
    ];

    // The first of the other's addresses that this node can dial: one of a family it has itself.
    private static IPAddress? Reach(TunnelEnds from, TunnelEnds to) => to.Underlay.FirstOrDefault(a => from.Underlay.Any(b => a.IsIPv4() == b.IsIPv4()));

    public bool Equals(Tunnel? other) => other is not null && (Network, Bits, Key, Port, Egress, Interface) == (other.Network, other.Bits, other.Key, other.Port, other.Egress, other.Interface)
        && Address.Equals(other.Address) && Peers.AsSpan().SequenceEqual(other.Peers.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Network, Address, Key, Port);
}

/// <param name="Endpoint">where it is dialled; null when the two nodes share no address family, and then only it may dial</param>
/// <param name="Address">the only address it may use</param>
public sealed record TunnelPeer(TunnelKey Key, IPEndPoint? Endpoint, IPAddress Address);
