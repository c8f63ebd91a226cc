using System.Buffers.Text;
using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Units;

namespace Grid.Node.Networks;

/// <summary>
/// WireGuard's cross-platform configuration protocol (wireguard.com/xplatform), over the socket of one interface:
/// <code>
/// get=1⏎⏎                      →  private_key=hex⏎ listen_port=51820⏎ public_key=hex⏎ endpoint=…⏎ … errno=0⏎⏎
/// set=1⏎ private_key=hex⏎ … ⏎  →  errno=0⏎⏎
/// </code>
/// The private key goes through here and nowhere else; what held it is wiped.
/// </summary>
internal static class WireGuardSocket
{
    public const string Directory = "/var/run/wireguard";

    private const int LargestAnswer = 1 << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    public static string PathOf(string name) => $"{Directory}/{name}.sock";

    /// <summary>False when nobody listens there. One that hangs does, and so may one that cannot be asked.</summary>
    public static bool IsHeard(string name)
    {
        using var socket = Open();
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(PathOf(name)));
            return true;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode is not SocketError.ConnectionRefused;
        }
    }

    /// <exception cref="SocketException">nobody listens, or nobody answers</exception>
    /// <exception cref="IOException">the answer is none</exception>
    public static WireGuardState Get(string name)
    {
        var answer = Exchange(name, "get=1\n\n"u8);
        try
        {
            return Parse(answer);
        }
        catch (FormatException e)
        {
            throw new IOException($"{name} answers what cannot be read: {e.Message}", e);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(answer);
        }
    }

    /// <exception cref="SocketException">nobody listens, or nobody answers</exception>
    /// <exception cref="IOException">it was not accepted</exception>
    public static void Set(string name, WireGuardChange change, ReadOnlySpan<byte> privateKey)
    {
        var request = Write(change, privateKey);
        try
        {
            if (Encoding.ASCII.GetString(Exchange(name, request)).Trim('\n', '\0') is not "errno=0" and var refused)
                throw new IOException($"{name} does not take its configuration: {refused}");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(request);
        }
    }

    internal static byte[] Write(WireGuardChange change, ReadOnlySpan<byte> privateKey)
    {
        var text = new StringBuilder("set=1\n");
        const string KeyField = "private_key=";
        if (change.Key)
            text.Append(KeyField).Append('0', privateKey.Length * 2).Append('\n');
        if (change.Port is { } port)
            text.Append(CultureInfo.InvariantCulture, $"listen_port={port}\n");
        foreach (var key in change.Removed)
            text.Append(CultureInfo.InvariantCulture, $"public_key={key.Value}\nremove=true\n");
        foreach (var peer in change.Set)
        {
            if (peer.Anew)
                text.Append(CultureInfo.InvariantCulture, $"public_key={peer.Key.Value}\nremove=true\n");
            text.Append(CultureInfo.InvariantCulture, $"public_key={peer.Key.Value}\n");
            if (peer.Endpoint is { } endpoint)
                text.Append(CultureInfo.InvariantCulture, $"endpoint={endpoint}\n");
            text.Append(CultureInfo.InvariantCulture, $"persistent_keepalive_interval={WireGuardChange.KeepAliveSeconds}\nreplace_allowed_ips=true\n");
            text.Append(CultureInfo.InvariantCulture, $"allowed_ip={peer.Address}/{peer.Address.GetAddressBytes().Length * 8}\n");
        }
        var bytes = Encoding.ASCII.GetBytes(text.Append('\n').ToString());
        // Written into the bytes, which can be wiped, not into a string, which cannot.
        if (change.Key)
            Convert.TryToHexStringLower(privateKey, bytes.AsSpan("set=1\n".Length + KeyField.Length), out _);
        return bytes;
    }

    /// <exception cref="FormatException"/>
    internal static WireGuardState Parse(ReadOnlySpan<byte> answer)
    {
        TunnelKey? own = null;
        var port = 0;
        var peers = ImmutableArray.CreateBuilder<PeerSighting>();
        var (allowed, ended) = (0, false);
        foreach (var range in answer.Split((byte)'\n'))
        {
            var line = answer[range];
            var equals = line.IndexOf((byte)'=');
            if (equals < 0)
                continue;
            var value = line[(equals + 1)..];
            var peer = peers.Count > 0 ? peers[^1] : null;
            switch (Encoding.ASCII.GetString(line[..equals]))
            {
                case "private_key":
                    own = OwnKey(value);
                    break;
                case "listen_port":
                    port = (int)Number(value);
                    break;
                case "public_key":
                    peers.Add(new PeerSighting(new TunnelKey(Digest.ParseHex(Encoding.ASCII.GetString(value))), null, null, null, 0, 0, 0));
                    allowed = 0;
                    break;
                case "endpoint" when peer is not null:
                    peers[^1] = peer with { Endpoint = IPEndPoint.Parse(Encoding.ASCII.GetString(value)) };
                    break;
                case "last_handshake_time_sec" when peer is not null && Number(value) is > 0 and var seconds:
                    peers[^1] = peer with { LastHandshake = DateTimeOffset.FromUnixTimeSeconds(seconds) };
                    break;
                case "persistent_keepalive_interval" when peer is not null:
                    peers[^1] = peer with { KeepAlive = (int)Number(value) };
                    break;
                case "rx_bytes" when peer is not null:
                    peers[^1] = peer with { Received = Number(value) };
                    break;
                case "tx_bytes" when peer is not null:
                    peers[^1] = peer with { Sent = Number(value) };
                    break;
                case "allowed_ip" when peer is not null:
                    peers[^1] = peer with { Address = ++allowed == 1 ? Single(value) : null };
                    break;
                case "errno":
                    ended = Number(value) == 0 ? true : throw new FormatException($"errno={Number(value)}");
                    break;
            }
        }
        return ended ? new WireGuardState(own, port, peers.ToImmutable()) : throw new FormatException("It ends before its end.");
    }

    private static TunnelKey OwnKey(ReadOnlySpan<byte> hex)
    {
        Span<byte> key = stackalloc byte[TunnelKeys.SecretSize];
        if (hex.Length != key.Length * 2 || Convert.FromHexString(hex, key, out _, out _) is not System.Buffers.OperationStatus.Done)
            throw new FormatException("A private key that is none.");
        var found = TunnelKeys.PublicOf(key);
        CryptographicOperations.ZeroMemory(key);
        return found;
    }

    // An allowed range of more than one address is nobody's address.
    private static IPAddress? Single(ReadOnlySpan<byte> prefix) =>
        Encoding.ASCII.GetString(prefix).Split('/') is [var text, var bits] && IPAddress.TryParse(text, out var address)
            && bits == (address.GetAddressBytes().Length * 8).ToString(CultureInfo.InvariantCulture) ? address : null;

    private static long Number(ReadOnlySpan<byte> text) =>
        Utf8Parser.TryParse(text, out long number, out var length) && length == text.Length ? number : throw new FormatException("A number that is none.");

    private static Socket Open() => new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
    {
        SendTimeout = (int)Patience.TotalMilliseconds,
        ReceiveTimeout = (int)Patience.TotalMilliseconds,
    };

    private static byte[] Exchange(string name, ReadOnlySpan<byte> request)
    {
        using var socket = Open();
        socket.Connect(new UnixDomainSocketEndPoint(PathOf(name)));
        while (!request.IsEmpty)
            request = request[socket.Send(request)..];
        var buffer = new byte[4096];
        var length = 0;
        while (!buffer.AsSpan(0, length).EndsWith("\n\n"u8))
        {
            if (length == buffer.Length)
                buffer = length < LargestAnswer ? Wiping.Grow(buffer) : throw new IOException($"{name} does not come to an end.");
            var count = socket.Receive(buffer, length, buffer.Length - length, SocketFlags.None);
            if (count == 0)
                throw new IOException($"{name} breaks off.");
            length += count;
        }
        return buffer;
    }
}
