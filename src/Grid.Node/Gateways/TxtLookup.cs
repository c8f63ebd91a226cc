using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace Grid.Node.Gateways;

/// <summary>The name server did not answer, or not with what can be believed: nothing is known.</summary>
internal sealed class DnsUnreachableException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// Asks one name server for TXT records (RFC 1035 §4, §3.3.14): by UDP with EDNS (RFC 6891), by TCP when the answer was cut. Only an answer from whom was
/// asked, with the number and the question that were sent, counts.
/// <code>
/// message  = id(2) flags(2) questions(2) answers(2) authorities(2) additionals(2) …
/// question = name type(2) class(2)
/// record   = name type(2) class(2) ttl(4) length(2) data        TXT data: one string or more, each behind its length(1)
/// </code>
/// </summary>
internal sealed class TxtLookup(IPEndPoint server)
{
    private const int Header = 12, Txt = 16, Internet = 1, Udp = 1232, LargestAnswer = 65_535, Tries = 3;
    private const int NoSuchName = 3;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>Whom the machine asks: the first in resolv.conf(5).</summary>
    public static IPEndPoint? OfMachine() => !File.Exists("/etc/resolv.conf") ? null : File.ReadLines("/etc/resolv.conf")
        .Select(l => l.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries))
        .Where(f => f is ["nameserver", ..] && f.Length > 1).Select(f => IPAddress.TryParse(f[1], out var address) ? new IPEndPoint(address, 53) : null).FirstOrDefault(a => a is not null);

    /// <returns>every record's strings joined; none when there is no such name or no such record</returns>
    /// <exception cref="DnsUnreachableException"/>
    public async Task<ImmutableArray<string>> AskAsync(string name, CancellationToken cancel)
    {
        var why = "";
        for (var i = 0; i < Tries; i++)
        {
            using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            timeout.CancelAfter(Patience);
            try
            {
                var question = Question(name);
                var answer = await ByUdpAsync(question, timeout.Token);
                // TC: there is more than fits.
                return Read((answer[2] & 0x02) != 0 ? await ByTcpAsync(question, timeout.Token) : answer, name);
            }
            catch (Exception e) when (e is SocketException or IOException or FormatException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
            {
                why = e is OperationCanceledException ? "it does not answer" : e.Message;
            }
        }
        throw new DnsUnreachableException($"The name server {server} cannot be asked for {name}: {why}");
    }

    private async Task<byte[]> ByUdpAsync(byte[] question, CancellationToken cancel)
    {
        using var socket = new Socket(server.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        await socket.ConnectAsync(server, cancel);
        await socket.SendAsync(question, SocketFlags.None, cancel);
        var buffer = new byte[LargestAnswer];
        while (true)
        {
            var length = await socket.ReceiveAsync(buffer, SocketFlags.None, cancel);
            if (IsAnswerTo(question, buffer.AsSpan(0, length)))
                return buffer[..length];
        }
    }

    private async Task<byte[]> ByTcpAsync(byte[] question, CancellationToken cancel)
    {
        using var socket = new Socket(server.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(server, cancel);
        await using var stream = new NetworkStream(socket);
        var length = new byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(length, (ushort)question.Length);
        await stream.WriteAsync((byte[])[.. length, .. question], cancel);
        await stream.ReadExactlyAsync(length, cancel);
        var answer = new byte[BinaryPrimitives.ReadUInt16BigEndian(length)];
        await stream.ReadExactlyAsync(answer, cancel);
        return IsAnswerTo(question, answer) ? answer : throw new FormatException("the answer is to another question");
    }

    private static byte[] Question(string name)
    {
        List<byte> bytes = [0, 0, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1];
        RandomNumberGenerator.Fill(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(bytes)[..2]);
        foreach (var label in name.Split('.'))
        {
            bytes.Add((byte)label.Length);
            bytes.AddRange(Encoding.ASCII.GetBytes(label));
        }
        bytes.AddRange([0, 0, Txt, 0, Internet]);
        // OPT: what this side can take in one packet.
        bytes.AddRange([0, 0, 41, Udp >> 8, Udp & 0xFF, 0, 0, 0, 0, 0, 0]);
        return [.. bytes];
    }

    private static bool IsAnswerTo(ReadOnlySpan<byte> question, ReadOnlySpan<byte> answer)
    {
        var asked = question[Header..^11];
        return answer.Length >= Header + asked.Length && answer[..2].SequenceEqual(question[..2]) && (answer[2] & 0x80) != 0
            && BinaryPrimitives.ReadUInt16BigEndian(answer[4..]) == 1 && Ascii.EqualsIgnoreCase(answer.Slice(Header, asked.Length), asked);
    }

    internal static ImmutableArray<string> Read(ReadOnlySpan<byte> answer, string name)
    {
        var code = answer[3] & 0x0F;
        if (code is not (0 or NoSuchName))
            throw new FormatException($"it answers with error {code}");
        var found = ImmutableArray.CreateBuilder<string>();
        var (at, records) = (Header, BinaryPrimitives.ReadUInt16BigEndian(answer[6..]));
        at = Skip(answer, at) + 4;
        // Records of other names are where a CNAME leads: a resolver has followed it.
        for (var i = 0; i < records; i++)
        {
            at = Skip(answer, at);
            if (at + 10 > answer.Length)
                throw new FormatException($"its answer for {name} is cut");
            var (type, length) = (BinaryPrimitives.ReadUInt16BigEndian(answer[at..]), BinaryPrimitives.ReadUInt16BigEndian(answer[(at + 8)..]));
            at += 10;
            if (at + length > answer.Length)
                throw new FormatException($"its answer for {name} is cut");
            if (type == Txt)
                found.Add(Strings(answer.Slice(at, length)));
            at += length;
        }
        return found.ToImmutable();
    }

    private static string Strings(ReadOnlySpan<byte> data)
    {
        var text = new StringBuilder();
        while (!data.IsEmpty)
        {
            var length = int.Min(data[0], data.Length - 1);
            text.Append(Encoding.ASCII.GetString(data.Slice(1, length)));
            data = data[(1 + length)..];
        }
        return text.ToString();
    }

    // A name is labels up to an empty one, or up to a pointer to the rest.
    private static int Skip(ReadOnlySpan<byte> answer, int at)
    {
        while (at < answer.Length)
        {
            if (answer[at] == 0)
                return at + 1;
            if (answer[at] >= 0xC0)
                return at + 2;
            at += 1 + answer[at];
        }
        throw new FormatException("a name is cut");
    }
}
