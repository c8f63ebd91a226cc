using System.Buffers.Binary;
using System.Net.Security;
using System.Text;

namespace Grid.Node.Tests.Gateways;

/// <summary>
/// One connection of HTTP/2 (RFC 9113) that sends whatever frames it is told to. Heads are literals without names of a table, and nothing is compressed (RFC 7541 §6.2.2).
/// <code>frame = length(3), type, flags, stream(4), payload</code>
/// </summary>
internal sealed class RawHttp2 : IAsyncDisposable
{
    public const byte Data = 0, Headers = 1, Settings = 4, Continuation = 9, EndStream = 1, EndHeaders = 4;
    public const short ConcurrentStreams = 3, InitialWindow = 4;
    public const int LargestPayload = 16_384;

    private const int FrameHeader = 9;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(45);

    private readonly SslStream _stream;

    private RawHttp2(SslStream stream) => _stream = stream;

    /// <param name="settings">how it wants to be spoken to</param>
    public static async Task<RawHttp2> OpenAsync(GatewayLab lab, string name, params (short Id, int Value)[] settings)
    {
        var made = new RawHttp2(await lab.TlsAsync(name, SslApplicationProtocol.Http2));
        await made._stream.WriteAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray());
        await made.SendAsync(Settings, 0, 0, [.. settings.SelectMany(Setting)]);
        return made;
    }

    public async Task SendAsync(byte type, byte flags, int stream, byte[] payload)
    {
        var frame = new byte[FrameHeader + payload.Length];
        BinaryPrimitives.WriteInt32BigEndian(frame, payload.Length << 8 | type);
        frame[4] = flags;
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(5), stream);
        payload.CopyTo(frame, FrameHeader);
        await _stream.WriteAsync(frame);
    }

    /// <returns>the next frame; null when the other end has closed</returns>
    public async Task<(byte Type, byte Flags, int Stream, byte[] Payload)?> ReceiveAsync()
    {
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            var header = new byte[FrameHeader];
            await _stream.ReadExactlyAsync(header, patience.Token);
            var payload = new byte[BinaryPrimitives.ReadInt32BigEndian(header) >> 8 & 0xff_ffff];
            await _stream.ReadExactlyAsync(payload, patience.Token);
            return (header[3], header[4], BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(5)), payload);
        }
        catch (IOException)
        {
            // With what was never read on its way, or in the middle of a frame.
            return null;
        }
    }

    /// <returns>all frames until the other end closes</returns>
    public async Task<List<(byte Type, byte Flags, int Stream, byte[] Payload)>> ReceiveAllAsync()
    {
        var all = new List<(byte, byte, int, byte[])>();
        while (await ReceiveAsync() is { } frame)
            all.Add(frame);
        return all;
    }

    public static byte[] Head(string method, string name, params IEnumerable<(string Name, string Value)> others) =>
        [.. new (string, string)[] { (":method", method), (":scheme", "https"), (":authority", name), (":path", "/") }.Concat(others).SelectMany(Field)];

    public static IEnumerable<byte> Field((string Name, string Value) field) => [0, .. Text(field.Name), .. Text(field.Value)];

    public ValueTask DisposeAsync() => _stream.DisposeAsync();

    private static IEnumerable<byte> Text(string text) => [(byte)text.Length, .. Encoding.ASCII.GetBytes(text)];

    private static byte[] Setting((short Id, int Value) setting)
    {
        var bytes = new byte[6];
        BinaryPrimitives.WriteInt16BigEndian(bytes, setting.Id);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(2), setting.Value);
        return bytes;
    }
}
