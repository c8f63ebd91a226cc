using System.Buffers.Binary;
using System.Collections.Immutable;
using Grid.Log;
using Grid.Units;
using Grid.World;

namespace Grid.Ledger.Store;

/// <summary>An entry with what it changed.</summary>
public sealed record Happened(Entry Entry, ImmutableArray<Event> Events);

/// <summary>Entries that become durable together.</summary>
/// <param name="Tree">the log's tree with them</param>
/// <param name="Checkpoint">the signed note for that tree</param>
public sealed record Batch(ImmutableArray<Happened> Entries, LogTree Tree, string Checkpoint)
{
    public long First => Entries[0].Entry.Index;
}

/// <summary>The newest size of the log, as stored.</summary>
/// <param name="Checkpoint">empty before the first entry</param>
public sealed record TreeHead(long Size, Digest Root, long Epoch, string Checkpoint);

/// <summary>A batch as it stands in its row.</summary>
public sealed record BatchRow(long First, int Count, ReadOnlyMemory<byte> Entries, ReadOnlyMemory<byte> Leaves)
{
    internal static byte[] Join(IReadOnlyCollection<ReadOnlyMemory<byte>> entries)
    {
        var bytes = new byte[entries.Sum(e => sizeof(ushort) + e.Length)];
        var rest = bytes.AsSpan();
        foreach (var entry in entries)
        {
            BinaryPrimitives.WriteUInt16BigEndian(rest, checked((ushort)entry.Length));
            entry.Span.CopyTo(rest[sizeof(ushort)..]);
            rest = rest[(sizeof(ushort) + entry.Length)..];
        }
        return bytes;
    }

    /// <summary>The entries' bytes, one by one.</summary>
    /// <exception cref="LogDamagedException">the row does not hold as many entries as it says</exception>
    public ImmutableArray<ReadOnlyMemory<byte>> Split()
    {
        var entries = ImmutableArray.CreateBuilder<ReadOnlyMemory<byte>>(Count);
        for (var rest = Entries; !rest.IsEmpty;)
        {
            if (entries.Count == Count || rest.Length < sizeof(ushort) || BinaryPrimitives.ReadUInt16BigEndian(rest.Span) is var length && rest.Length - sizeof(ushort) < length)
                throw new LogDamagedException(First + entries.Count, "the batch's bytes are not its entries");
            entries.Add(rest.Slice(sizeof(ushort), length));
            rest = rest[(sizeof(ushort) + length)..];
        }
        return entries.Count == Count ? entries.MoveToImmutable() : throw new LogDamagedException(First + entries.Count, "the batch ends too soon");
    }
}

/// <summary>What is stored is not what was recorded. The ledger does not start; an auditor's copy or a backup says what is right.</summary>
public sealed class LogDamagedException(long index, string what, Exception? inner = null)
    : Exception($"The stored log is damaged at entry {index}: {what}.", inner)
{
    public long Index { get; } = index;
}

/// <summary>Another writer has the log now. Nothing was recorded.</summary>
public sealed class WriterReplacedException(string message) : Exception(message);
