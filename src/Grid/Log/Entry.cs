using Grid.Statements;
using Grid.Units;

namespace Grid.Log;

/// <summary>
/// A statement as the log recorded it. Its leaf in the tree is the hash of exactly these bytes.
/// <code>entry = { "time": time, "index": uint, "statement": bstr }    ; the statement's bytes as they were received</code>
/// </summary>
public sealed class Entry
{
    /// <summary>Entry bundles have 16-bit lengths (C2SP tlog-tiles). A statement's 60,000 bytes always fit.</summary>
    public const int MaximumSize = ushort.MaxValue;

    // What stands around the statement, at most.
    private const int Envelope = 64;

    private Entry(long index, DateTimeOffset time, ReadOnlyMemory<byte> statement, ReadOnlyMemory<byte> bytes)
    {
        (Index, Time, StatementBytes, Bytes) = (index, time, statement, bytes);
        LeafHash = MerkleTree.LeafHash(bytes.Span);
    }

    /// <summary>Dense, from 0.</summary>
    public long Index { get; }

    /// <summary>The ledger's, in whole seconds, never before the time of the entry before.</summary>
    public DateTimeOffset Time { get; }

    public ReadOnlyMemory<byte> StatementBytes { get; }

    /// <summary>The exact bytes that were read or written.</summary>
    public ReadOnlyMemory<byte> Bytes { get; }

    public Digest LeafHash { get; }

    /// <exception cref="ArgumentException">the time has parts of a second: a replay would decide at another time than the ledger did</exception>
    public static Entry Record(long index, DateTimeOffset time, ReadOnlyMemory<byte> statement)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(statement.Length, Statement.MaximumSize);
        if (time.UtcTicks % TimeSpan.TicksPerSecond != 0)
            throw new ArgumentException("An entry's time is in whole seconds.", nameof(time));
        var bytes = CanonicalWriter.Encode(w => w.Map(3, m =>
        {
            m.Key("time").Time(time);
            m.Key("index").UInt(index);
            m.Key("statement").ByteString(statement.Span);
        }), statement.Length + Envelope);
        return new Entry(index, time.ToUniversalTime(), statement, bytes);
    }

    /// <exception cref="StatementFormatException">not such bytes; the statement inside is not looked at</exception>
    public static Entry Decode(ReadOnlyMemory<byte> bytes) => CanonicalReader.ReadAll(bytes, r => r.Map(m =>
    {
        var time = m.Field("time").Time();
        var index = m.Field("index").UInt();
        var statement = m.Field("statement").ByteStringInPlace();
        return statement.Length <= Statement.MaximumSize
            ? new Entry(index, time, statement, bytes)
            : throw new StatementFormatException(RefusalCode.TooLarge, $"An entry's statement has at most {Statement.MaximumSize} bytes; this one has {statement.Length}.");
    }));
}
