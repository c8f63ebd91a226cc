using System.Buffers.Binary;
using System.Collections.Immutable;
using Grid.Statements;

namespace Grid.Log;

/// <summary>Up to 256 entries, each behind its big-endian 16-bit length (C2SP tlog-tiles, Log entries).</summary>
public static class EntryBundle
{
    /// <exception cref="ArgumentException">more than 256 entries, or one that is too long</exception>
    public static byte[] Encode(IReadOnlyCollection<ReadOnlyMemory<byte>> entries)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(entries.Count, TilePath.FullWidth, nameof(entries));
        var bundle = new byte[entries.Sum(e => sizeof(ushort) + e.Length)];
        var rest = bundle.AsSpan();
        foreach (var entry in entries)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(entry.Length, Entry.MaximumSize, nameof(entries));
            BinaryPrimitives.WriteUInt16BigEndian(rest, (ushort)entry.Length);
            entry.Span.CopyTo(rest[sizeof(ushort)..]);
            rest = rest[(sizeof(ushort) + entry.Length)..];
        }
        return bundle;
    }

    /// <exception cref="StatementFormatException">cut short, or more than 256 entries; the entries themselves are not looked at</exception>
    public static ImmutableArray<ReadOnlyMemory<byte>> Decode(ReadOnlyMemory<byte> bundle)
    {
        var entries = ImmutableArray.CreateBuilder<ReadOnlyMemory<byte>>();
        while (!bundle.IsEmpty)
        {
            if (entries.Count == TilePath.FullWidth)
                throw new StatementFormatException(RefusalCode.TooLarge, $"An entry bundle has at most {TilePath.FullWidth} entries.");
            if (bundle.Length < sizeof(ushort) || BinaryPrimitives.ReadUInt16BigEndian(bundle.Span) is var length && bundle.Length - sizeof(ushort) < length)
                throw CanonicalReader.Malformed("An entry bundle ends within an entry.");
            entries.Add(bundle.Slice(sizeof(ushort), length));
            bundle = bundle[(sizeof(ushort) + length)..];
        }
        return entries.ToImmutable();
    }
}
