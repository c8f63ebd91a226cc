using System.Collections.Immutable;
using System.Net;
using Grid.Networks;

namespace Grid.Node.Networks;

/// <summary>
/// The least that makes an interface what it must be. Peers that stay are not named, so that their sessions are not dropped.
/// </summary>
/// <param name="Key">the key is another one, or none is set</param>
/// <param name="Port">null leaves the socket as it is</param>
/// <param name="Set">new peers, and those of which something differs</param>
public sealed record WireGuardChange(bool Key, int? Port, ImmutableArray<TunnelKey> Removed, ImmutableArray<PeerChange> Set)
{
    /// <summary>A node that moved is followed by what it sends; behind a NAT that forgets, so does the way to it.</summary>
    public const int KeepAliveSeconds = 25;

    /// <summary>A handshake crossed another, see <see cref="PeerSighting.HasCrossed"/>.</summary>
    public bool CallsAnew => Set.Any(p => p.Anew);

    /// <returns>null when nothing differs</returns>
    public static WireGuardChange? Between(WireGuardState state, Tunnel wish, DateTimeOffset now)
    {
        var removed = state.Peers.Where(p => !wish.Peers.Any(w => w.Key == p.Key)).Select(p => p.Key).ToImmutableArray();
        var set = ImmutableArray.CreateBuilder<PeerChange>();
        foreach (var peer in wish.Peers)
        {
            var seen = state.Peers.FirstOrDefault(p => p.Key == peer.Key);
            var endpoint = seen?.IsHeard(now) == true || peer.Endpoint is null || peer.Endpoint.Equals(seen?.Endpoint) ? null : peer.Endpoint;
            if (seen is not null && seen.HasCrossed(wish.Key))
                set.Add(new PeerChange(peer.Key, peer.Endpoint ?? seen.Endpoint, peer.Address) { Anew = true });
            else if (endpoint is not null || seen is null || !peer.Address.Equals(seen.Address) || seen.KeepAlive != KeepAliveSeconds)
                set.Add(new PeerChange(peer.Key, endpoint, peer.Address));
        }
        var change = new WireGuardChange(state.Key != wish.Key, state.Port == wish.Port ? null : wish.Port, removed, set.ToImmutable());
        return change is { Key: false, Port: null, Removed.IsEmpty: true, Set.IsEmpty: true } ? null : change;
    }
}

/// <param name="Endpoint">null leaves it as it is</param>
/// <param name="Address">the only one allowed from now on</param>
public sealed record PeerChange(TunnelKey Key, IPEndPoint? Endpoint, IPAddress Address)
{
    /// <summary>Forgotten first, so that it is called at once.</summary>
    public bool Anew { get; init; }
}
