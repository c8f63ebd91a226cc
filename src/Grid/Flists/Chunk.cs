using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using Grid.Units;

namespace Grid.Flists;

/// <summary>A file is cut every 256 KiB; the last chunk is shorter. A chunk's hash is the plain SHA-256 of its bytes.</summary>
public static class Chunk
{
    public const int Size = 1 << SizeLog2;
    public const int SizeLog2 = 18;

    public static Digest Hash(ReadOnlySpan<byte> bytes) => Digest.Of(bytes);

    /// <summary>How many chunks a file of this size has; none when it is empty.</summary>
    public static long CountOf(long size) => (size >> SizeLog2) + ((size & (Size - 1)) == 0 ? 0 : 1);
}

/// <summary>The name of a file's bytes, whatever they are packed in: <c>SHA-256("FLB1" ‖ u64 size ‖ chunk hashes)</c>.</summary>
public static class ContentId
{
    internal static ReadOnlySpan<byte> Tag => "FLB1"u8;

    /// <exception cref="ArgumentException">the number of chunks does not follow from the size</exception>
    public static Digest Of(long size, ReadOnlySpan<Digest> chunks)
    {
        if (size < 0 || Chunk.CountOf(size) != chunks.Length)
            throw new ArgumentException($"A file of {size} bytes does not have {chunks.Length} chunks.", nameof(chunks));
        var length = 12 + chunks.Length * Digest.Size;
        byte[]? rented = null;
        var buffer = length <= 1024 ? stackalloc byte[1024] : rented = ArrayPool<byte>.Shared.Rent(length);
        Tag.CopyTo(buffer);
        BinaryPrimitives.WriteInt64LittleEndian(buffer[4..], size);
        for (var i = 0; i < chunks.Length; i++)
            chunks[i].CopyTo(buffer[(12 + i * Digest.Size)..]);
        var id = Digest.Of(buffer[..length]);
        if (rented is not null)
            ArrayPool<byte>.Shared.Return(rented);
        return id;
    }

    /// <summary>The same over a run of chunk references of a meta file, without an array of digests.</summary>
    internal static Digest Of(long size, ReadOnlySpan<byte> references, ReadOnlySpan<byte> table)
    {
        var count = references.Length / 4;
        if (count > 31)
            return OfMany(size, references, table);
        Span<byte> buffer = stackalloc byte[12 + 31 * Digest.Size];
        Tag.CopyTo(buffer);
        BinaryPrimitives.WriteInt64LittleEndian(buffer[4..], size);
        for (var i = 0; i < count; i++)
            At(references, table, i).CopyTo(buffer[(12 + i * Digest.Size)..]);
        return Digest.Of(buffer[..(12 + count * Digest.Size)]);
    }

    private static Digest OfMany(long size, ReadOnlySpan<byte> references, ReadOnlySpan<byte> table)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> buffer = stackalloc byte[12];
        Tag.CopyTo(buffer);
        BinaryPrimitives.WriteInt64LittleEndian(buffer[4..], size);
        hash.AppendData(buffer);
        for (var i = 0; i < references.Length / 4; i++)
            hash.AppendData(At(references, table, i));
        Span<byte> id = stackalloc byte[Digest.Size];
        hash.GetHashAndReset(id);
        return new Digest(id);
    }

    private static ReadOnlySpan<byte> At(ReadOnlySpan<byte> references, ReadOnlySpan<byte> table, int n) =>
        table.Slice((int)BinaryPrimitives.ReadUInt32LittleEndian(references[(n * 4)..]) * Digest.Size, Digest.Size);
}
