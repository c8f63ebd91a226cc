using System.Collections.Immutable;
using System.Net;
using Grid.Networks;

namespace Grid.Node.Networks;

/// <summary>What was seen of one tunnel. A tunnel that was not seen at all is absent: the kernel knows of every one.</summary>
public abstract record TunnelSighting
{
    private TunnelSighting()
    {
    }

    /// <summary>Something holds it and does not say what it is. Nothing may be torn down because of it.</summary>
    public sealed record Unknown(string Why) : TunnelSighting;

    /// <param name="State">what its WireGuard says</param>
    /// <param name="Listens">its UDP port is bound in the node's namespace; wireguard-go does so up to a second after the interface is up</param>
    /// <param name="Place">null unless the interface is inside the container's namespace and up, with one address and one route, which is on-link</param>
    /// <param name="Egress">which way out the workload has; null when that is half made, or half gone</param>
    public sealed record Present(WireGuardState State, bool Listens, TunnelPlace? Place, Egress? Egress) : TunnelSighting
    {
        /// <summary>It has just begun: that it does not listen yet is no reason to do anything.</summary>
        public bool IsYoung { get; init; }

        /// <summary>It works as wished: <see cref="TunnelHost.ApplyAsync"/> would change nothing.</summary>
        public bool Fits(Tunnel wish, DateTimeOffset now) =>
            Listens && Place == new TunnelPlace(wish.Address, wish.Bits) && Egress == wish.Egress && WireGuardChange.Between(State, wish, now) is null;
    }
}

/// <param name="Bits">of the prefix that is routed into the tunnel</param>
public sealed record TunnelPlace(IPAddress Address, int Bits);

/// <param name="Key">null before the first configuration</param>
/// <param name="Port">0 before the first configuration</param>
public sealed record WireGuardState(TunnelKey? Key, int Port, ImmutableArray<PeerSighting> Peers);

/// <param name="Address">null unless exactly one address is allowed</param>
/// <param name="LastHandshake">null before the first</param>
/// <param name="KeepAlive">seconds; 0 is never</param>
/// <param name="Received">bytes, with WireGuard's own</param>
public sealed record PeerSighting(TunnelKey Key, IPEndPoint? Endpoint, IPAddress? Address, DateTimeOffset? LastHandshake, int KeepAlive, long Received, long Sent)
{
    // WireGuard's REJECT_AFTER_TIME.
    private static readonly TimeSpan SessionLife = TimeSpan.FromMinutes(3);

    /// <summary>Who was heard from within the life of a session may have roamed, and is where it was heard from.</summary>
    public bool IsHeard(DateTimeOffset now) => now - LastHandshake < SessionLife;

    /// <summary>
    /// Each called the other before it heard it: then either takes the other's call for the newer, drops the answer to its own, and is silent for WireGuard's
    /// REKEY_TIMEOUT of five seconds. One of the two, the one with the lesser key, calls again.
    /// </summary>
    public bool HasCrossed(TunnelKey own) => LastHandshake is null && Received > 0 && own < Key;
}
