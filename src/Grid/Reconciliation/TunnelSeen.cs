using System.Collections.Immutable;
using System.Net;
using Grid.Networks;

namespace Grid.Reconciliation;

/// <summary>A tunnel as the kernel shows it.</summary>
/// <param name="Address">the address it has inside its workload's namespace with the length of its prefix; null when it is not up in there</param>
/// <param name="Peers">in any order</param>
/// <param name="Egress">whether the workload has a way out</param>
public sealed record TunnelSeen(TunnelKey Key, int Port, (IPAddress Address, int Bits)? Address, ImmutableArray<PeerSeen> Peers, Egress? Egress)
{
    /// <summary>True when nothing needs to be done to make it the tunnel that is wished.</summary>
    public bool Is(Tunnel tunnel) => Key == tunnel.Key && Port == tunnel.Port && Egress == tunnel.Egress
        && Address is { } at && at.Address.Equals(tunnel.Address) && at.Bits == tunnel.Bits
        && Peers.Length == tunnel.Peers.Length && tunnel.Peers.All(wished => Peers.Any(seen => seen.Is(wished)));
}

/// <param name="Address">what it may send from; null when that is not one single address</param>
/// <param name="Endpoint">where it was heard last, or was to be dialled</param>
/// <param name="Heard">it spoke lately: it may have moved since the ledger was told, and is where it is</param>
public sealed record PeerSeen(TunnelKey Key, IPAddress? Address, IPEndPoint? Endpoint, bool Heard)
{
    /// <summary>It has to be called again.</summary>
    public bool Crossed { get; init; }

    public bool Is(TunnelPeer wished) => !Crossed && Key == wished.Key && wished.Address.Equals(Address) && (Heard || wished.Endpoint is null || wished.Endpoint.Equals(Endpoint));
}
