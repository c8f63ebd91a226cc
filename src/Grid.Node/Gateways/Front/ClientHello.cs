using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Grid.Gateways;

namespace Grid.Node.Gateways.Front;

internal enum HelloRead
{
    /// <summary>It says whom it wants.</summary>
    Named,

    /// <summary>There is more to come.</summary>
    Partial,

    /// <summary>It names nobody, or is no ClientHello at all.</summary>
    Nameless,
}

/// <summary>
/// Reads the name out of the first message of TLS and leaves the message where it is (RFC 8446 §4.1.2, RFC 6066 §3).
/// <code>
/// record    = 16 03 xx, length(2), fragment                  a message may be spread over several
/// handshake = 01, length(3), version(2), random(32), session&lt;1&gt;, cipher suites&lt;2&gt;, compression&lt;1&gt;, extensions&lt;2&gt;
/// extension = type(2), data&lt;2&gt;; type 0: names&lt;2&gt; of (00, name&lt;2&gt;)
/// </code>
/// </summary>
internal static class ClientHello
{
    /// <summary>Of the whole message with its records; a hello with several post-quantum key shares has 4 KiB.</summary>
    public const int Largest = 16_384;

    private const byte Handshake = 22, Hello = 1;
    private const int RecordHeader = 5, LargestFragment = 16_384, BeforeSession = 2 + 32;

    public static HelloRead Read(ReadOnlySequence<byte> received, out string name)
    {
        name = "";
        var bytes = ArrayPool<byte>.Shared.Rent(Largest);
        try
        {
            var length = (int)long.Min(received.Length, Largest);
            received.Slice(0, length).CopyTo(bytes);
            var read = Message(bytes.AsSpan(0, length), out var body);
            if (read is HelloRead.Partial)
                return length == Largest ? HelloRead.Nameless : read;
            return read is HelloRead.Named && NameIn(body) is { } found && Hostname.IsValid(name = found) ? HelloRead.Named : HelloRead.Nameless;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    // Joins the fragments in place: the message is never longer than the records it came in.
    private static HelloRead Message(Span<byte> records, out ReadOnlySpan<byte> body)
    {
        body = default;
        var (at, joined) = (0, 0);
        while (true)
        {
            if (joined >= 4)
            {
                if (records[0] != Hello)
                    return HelloRead.Nameless;
                var length = records[1] << 16 | records[2] << 8 | records[3];
                if (length > Largest)
                    return HelloRead.Nameless;
                if (joined >= 4 + length)
                {
                    body = records.Slice(4, length);
                    return HelloRead.Named;
                }
            }
            if (at < records.Length && records[at] != Handshake || at + 1 < records.Length && records[at + 1] != 3)
                return HelloRead.Nameless;
            if (records.Length - at < RecordHeader)
                return HelloRead.Partial;
            var fragment = BinaryPrimitives.ReadUInt16BigEndian(records[(at + 3)..]);
            if (fragment is 0 or > LargestFragment)
                return HelloRead.Nameless;
            if (records.Length - at - RecordHeader < fragment)
                return HelloRead.Partial;
            records.Slice(at + RecordHeader, fragment).CopyTo(records[joined..]);
            (at, joined) = (at + RecordHeader + fragment, joined + fragment);
        }
    }

    private static string? NameIn(ReadOnlySpan<byte> body)
    {
        if (body.Length < BeforeSession)
            return null;
        body = body[BeforeSession..];
        if (!Take(ref body, 1, out _) || !Take(ref body, 2, out _) || !Take(ref body, 1, out _) || !Take(ref body, 2, out var extensions))
            return null;
        while (extensions.Length >= 2)
        {
            var type = BinaryPrimitives.ReadUInt16BigEndian(extensions);
            extensions = extensions[2..];
            if (!Take(ref extensions, 2, out var data))
                return null;
            if (type == 0)
                return Take(ref data, 2, out var names) && names.Length > 1 && names[0] == 0 && Take(ref names, 2, out var name, skip: 1) && name.Length <= Hostname.Longest
                    ? Encoding.ASCII.GetString(name).ToLowerInvariant()
                    : null;
        }
        return null;
    }

    /// <summary>Takes what a length of so many bytes stands before.</summary>
    private static bool Take(ref ReadOnlySpan<byte> from, int lengthSize, out ReadOnlySpan<byte> taken, int skip = 0)
    {
        taken = default;
        if (from.Length < skip + lengthSize)
            return false;
        var length = lengthSize == 1 ? from[skip] : BinaryPrimitives.ReadUInt16BigEndian(from[skip..]);
        var start = skip + lengthSize;
        if (from.Length - start < length)
            return false;
        taken = from.Slice(start, length);
        from = from[(start + length)..];
        return true;
    }
}
