using System.Buffers.Text;
using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Text;
using Grid.Networks;

namespace Grid.Node.Networks;

/// <summary>
/// What wg(8) is told and what it says:
/// <code>
/// wg set NAME private-key FILE listen-port 51820 peer KEY remove peer KEY endpoint … persistent-keepalive 25 allowed-ips ADDRESS/32 …
/// wg show NAME dump  →  private key⇥public key⇥port⇥mark⏎ and for each peer
///                       key⇥shared key⇥endpoint⇥allowed,…⇥handshake⇥received⇥sent⇥keep-alive⏎, where "(none)", 0 and "off" are nothing
/// </code>
/// It hands the peers on in the order in which they are named, so that one may be forgotten and made anew in the same breath.
/// </summary>
internal static class WireGuardTool
{
    private const string Nothing = "(none)", Off = "off";

    /// <summary>The private key is what it finds as descriptor 3.</summary>
    public static ImmutableArray<string> Set(string name, WireGuardChange change) =>
    [
        "set", name,
        .. change.Key ? (string[])["private-key", "/proc/self/fd/3"] : [],
        .. change.Port is { } port ? (string[])["listen-port", port.ToString(CultureInfo.InvariantCulture)] : [],
        .. change.Removed.SelectMany(Remove),
        .. change.Set.SelectMany(p => (string[])[.. p.Anew ? Remove(p.Key) : [], .. Peer(p)]),
    ];

    /// <summary>A private key as <c>wg</c> reads it; the caller wipes it after use.</summary>
    public static byte[] Text(ReadOnlySpan<byte> privateKey)
    {
        var text = new byte[Base64.GetMaxEncodedToUtf8Length(privateKey.Length)];
        Base64.EncodeToUtf8(privateKey, text, out _, out _);
        return text;
    }

    /// <exception cref="FormatException"/>
    public static WireGuardState Parse(ReadOnlySpan<byte> dump)
    {
        // The private key is passed over as bytes, for a string cannot be wiped.
        var start = dump.IndexOf((byte)'\t') + 1;
        if (start is 0 || dump[^1] != '\n')
            throw new FormatException("It is cut short.");
        var lines = Encoding.ASCII.GetString(dump[start..^1]).Split('\n');
        return lines[0].Split('\t') is [var own, var port, _]
            ? new WireGuardState(own == Nothing ? null : TunnelKey.Parse(own), int.Parse(port, NumberStyles.None, CultureInfo.InvariantCulture), [.. lines.Skip(1).Select(Peer)])
            : throw new FormatException("An interface that is none.");
    }

    private static string[] Remove(TunnelKey key) => ["peer", key.ToString(), "remove"];

    private static string[] Peer(PeerChange peer) =>
    [
        "peer", peer.Key.ToString(),
        .. peer.Endpoint is { } endpoint ? (string[])["endpoint", endpoint.ToString()] : [],
        "persistent-keepalive", WireGuardChange.KeepAliveSeconds.ToString(CultureInfo.InvariantCulture),
        "allowed-ips", $"{peer.Address}/{peer.Address.GetAddressBytes().Length * 8}",
    ];

    private static PeerSighting Peer(string line) => line.Split('\t') is [var key, _, var endpoint, var allowed, var handshake, var received, var sent, var keepAlive]
        ? new PeerSighting(
            TunnelKey.Parse(key), endpoint == Nothing ? null : IPEndPoint.Parse(endpoint), Single(allowed), Number(handshake) is > 0 and var seconds ? DateTimeOffset.FromUnixTimeSeconds(seconds) : null,
            keepAlive == Off ? 0 : (int)Number(keepAlive), Number(received), Number(sent))
        : throw new FormatException("A peer that is none.");

    // A list, or a range of more than one address, is nobody's address.
    private static IPAddress? Single(string allowed) =>
        IPNetwork.TryParse(allowed, out var range) && range.PrefixLength == range.BaseAddress.GetAddressBytes().Length * 8 ? range.BaseAddress : null;

    private static long Number(string text) => long.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture);
}
