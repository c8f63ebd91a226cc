using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Grid.Node.Gateways;

namespace Grid.Node.Tests.Gateways;

public sealed class ProofTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_record_is_found_as_it_was_written_and_none_is_none()
    {
        var directory = Path.Combine(Path.GetTempPath(), $"grid-proofs-{Environment.ProcessId}");
        try
        {
            using var pebble = await Pebble.StartAsync(directory, IPAddress.Loopback, new IPEndPoint(IPAddress.Loopback, 9), TimeSpan.FromDays(1));
            var dns = new TxtLookup(pebble.Dns);
            Assert.Empty(await dns.AskAsync("_grid-challenge.shop.example.org", Cancel));
            await pebble.TellAsync("_grid-challenge.shop.example.org", "acct1first");
            await pebble.TellAsync("_grid-challenge.shop.example.org", "acct1second");
            Assert.Contains("acct1second", await dns.AskAsync("_grid-challenge.shop.example.org", Cancel));
            Assert.Empty(await dns.AskAsync("_grid-challenge.other.example.org", Cancel));
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public async Task Who_does_not_answer_or_answers_something_else_proves_nothing()
    {
        using var server = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        server.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        using var over = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        // Right in all but the number, the question, or the name; then an error.
        var round = 0;
        var answering = Task.Run(async () =>
        {
            var buffer = new byte[1500];
            while (true)
            {
                var got = await server.ReceiveFromAsync(buffer, SocketFlags.None, new IPEndPoint(IPAddress.Any, 0), over.Token);
                var answer = buffer[..(got.ReceivedBytes - 11)];
                answer[2] |= 0x80;
                (answer[10], answer[11]) = (0, 0);
                byte[] forged = [.. answer, 0xC0, 12, 0, 16, 0, 1, 0, 0, 0, 0, 0, 5, 4, .. "mine"u8];
                forged[7] = 1;
                switch (round++)
                {
                    case 0:
                        forged[0] ^= 1;
                        break;
                    case 1:
                        forged[13] ^= 1;
                        break;
                    default:
                        forged[3] |= 2;
                        break;
                }
                await server.SendToAsync(forged, SocketFlags.None, got.RemoteEndPoint, over.Token);
            }
        }, over.Token);
        var why = await Assert.ThrowsAsync<DnsUnreachableException>(() => new TxtLookup((IPEndPoint)server.LocalEndPoint!).AskAsync("_grid-challenge.shop.example.org", Cancel));
        Assert.Contains("error 2", why.Message, StringComparison.Ordinal);
        await over.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => answering);
    }

    [Fact]
    public void Strings_are_joined_and_an_answer_that_is_cut_is_no_answer()
    {
        byte[] head = [0, 0, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0, 1, (byte)'a', 1, (byte)'b', 0, 0, 16, 0, 1];
        byte[] alias = [0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 1, 0, 2, 0xC0, 14];
        byte[] text = [0xC0, 14, 0, 16, 0, 1, 0, 0, 0, 1, 0, 6, 2, (byte)'x', (byte)'y', 2, (byte)'z', (byte)'!'];
        byte[] answer = [.. head, .. alias, .. text];
        Assert.Equal(["xyz!"], TxtLookup.Read(answer, "a.b"));
        for (var i = 12; i < answer.Length; i++)
            Assert.Throws<FormatException>(() => TxtLookup.Read(answer.AsSpan(0, i), "a.b"));
        var random = new Random(1);
        for (var i = 0; i < 100_000; i++)
        {
            var bytes = answer.ToArray();
            bytes[random.Next(12, bytes.Length)] = (byte)random.Next(256);
            BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(6), (ushort)random.Next(4));
            try
            {
                TxtLookup.Read(bytes, "a.b");
            }
            catch (FormatException)
            {
                // Refused in the one way.
            }
        }
    }
}
