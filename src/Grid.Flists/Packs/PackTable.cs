using System.Buffers.Binary;
using System.Collections.Immutable;
using Grid.Units;

namespace Grid.Flists.Packs;

/// <summary>A chunk within the content of a frame.</summary>
public readonly record struct PackChunk(Digest Hash, int Offset, int Length);

/// <summary>A frame within a pack: where its stored bytes lie, and the chunks that its content is, without gaps.</summary>
public sealed record PackFrame(int Offset, int StoredLength, int Length, ImmutableArray<PackChunk> Chunks);

/// <summary>The end of a pack, which says what the rest of it is (FORMAT.md, Table).</summary>
public sealed record PackTable(ImmutableArray<PackFrame> Frames)
{
    public const int TrailerLength = 24;
    private const uint Version = 1;
    private const int FrameEntry = 12;
    private const int ChunkEntry = Digest.Size + 4;

    private static ReadOnlySpan<byte> Magic => "GRIDPACK"u8;

    /// <summary>The number of bytes that frames with this many chunks take in a table.</summary>
    public static int EntryLength(int chunks) => FrameEntry + chunks * ChunkEntry;

    public byte[] Encode()
    {
        var length = Frames.Sum(f => EntryLength(f.Chunks.Length));
        var bytes = new byte[length + TrailerLength];
        var at = bytes.AsSpan();
        foreach (var frame in Frames)
        {
            BinaryPrimitives.WriteInt32LittleEndian(at, frame.StoredLength);
            BinaryPrimitives.WriteInt32LittleEndian(at[4..], frame.Length);
            BinaryPrimitives.WriteInt32LittleEndian(at[8..], frame.Chunks.Length);
            at = at[FrameEntry..];
            foreach (var chunk in frame.Chunks)
            {
                chunk.Hash.CopyTo(at);
                BinaryPrimitives.WriteInt32LittleEndian(at[Digest.Size..], chunk.Length);
                at = at[ChunkEntry..];
            }
        }
        BinaryPrimitives.WriteInt32LittleEndian(at, Frames.Length);
        BinaryPrimitives.WriteInt32LittleEndian(at[4..], Frames.Sum(f => f.Chunks.Length));
        BinaryPrimitives.WriteInt32LittleEndian(at[8..], length);
        BinaryPrimitives.WriteUInt32LittleEndian(at[12..], Version);
        Magic.CopyTo(at[16..]);
        return bytes;
    }

    /// <summary>Reads the length of the table from the last 24 bytes of a pack.</summary>
    /// <exception cref="PackFormatException"/>
    public static int ReadTrailer(ReadOnlySpan<byte> trailer, long packLength)
    {
        if (packLength is < TrailerLength or > PackLimits.PackLength)
            throw new PackFormatException($"A pack has {TrailerLength} to {PackLimits.PackLength} bytes, not {packLength}.");
        if (!trailer[16..].SequenceEqual(Magic))
            throw new PackFormatException("The pack does not end as packs do.");
        var version = BinaryPrimitives.ReadUInt32LittleEndian(trailer[12..]);
        if (version != Version)
            throw new PackFormatException($"The pack has version {version}; {Version} is known.");
        var length = BinaryPrimitives.ReadUInt32LittleEndian(trailer[8..]);
        return length <= packLength - TrailerLength ? (int)length : throw new PackFormatException("The table is longer than the pack.");
    }

    /// <summary>Reads a table with its trailer.</summary>
    /// <param name="bytes">the last bytes of the pack, from the start of the table</param>
    /// <exception cref="PackFormatException"/>
    public static PackTable Read(ReadOnlySpan<byte> bytes, long packLength)
    {
        if (bytes.Length < TrailerLength || ReadTrailer(bytes[^TrailerLength..], packLength) != bytes.Length - TrailerLength)
            throw new PackFormatException("The table does not have the length that the pack says.");
        var frameCount = BinaryPrimitives.ReadUInt32LittleEndian(bytes[^TrailerLength..]);
        var chunkCount = BinaryPrimitives.ReadUInt32LittleEndian(bytes[^(TrailerLength - 4)..]);
        var at = bytes[..^TrailerLength];
        if (frameCount > at.Length / FrameEntry || frameCount * (long)FrameEntry + chunkCount * (long)ChunkEntry != at.Length)
            throw new PackFormatException("The table does not hold the frames and chunks that it counts.");
        var frames = ImmutableArray.CreateBuilder<PackFrame>((int)frameCount);
        var seen = new HashSet<Digest>((int)chunkCount);
        var room = packLength - bytes.Length;
        long offset = 0;
        for (var i = 0; i < frameCount; i++)
        {
            var frame = ReadFrame(ref at, (int)offset, seen);
            frames.Add(frame);
            offset += frame.StoredLength;
            if (offset > room)
                throw new PackFormatException("The frames are longer than the pack.");
        }
        if (offset != room || !at.IsEmpty)
            throw new PackFormatException("The frames do not fill the pack.");
        return new PackTable(frames.MoveToImmutable());
    }

    private static PackFrame ReadFrame(ref ReadOnlySpan<byte> at, int offset, HashSet<Digest> seen)
    {
        if (at.Length < FrameEntry)
            throw new PackFormatException("The table ends within a frame.");
        var stored = BinaryPrimitives.ReadUInt32LittleEndian(at);
        var length = BinaryPrimitives.ReadUInt32LittleEndian(at[4..]);
        var count = BinaryPrimitives.ReadUInt32LittleEndian(at[8..]);
        at = at[FrameEntry..];
        if (length is 0 or > PackLimits.FrameLength || stored == 0 || stored > length)
            throw new PackFormatException($"A frame holds {length} bytes in {stored}.");
        if (count == 0 || count > at.Length / ChunkEntry)
            throw new PackFormatException($"A frame counts {count} chunks.");
        var chunks = ImmutableArray.CreateBuilder<PackChunk>((int)count);
        var inner = 0;
        for (var i = 0; i < count; i++)
        {
            var hash = new Digest(at[..Digest.Size]);
            var size = BinaryPrimitives.ReadUInt32LittleEndian(at[Digest.Size..]);
            at = at[ChunkEntry..];
            if (size is 0 or > Chunk.Size || size > length - inner)
                throw new PackFormatException($"The chunk {hash} does not fit its frame.");
            if (hash == PackLimits.ZeroChunk || !seen.Add(hash))
                throw new PackFormatException($"The chunk {hash} may not be here, or is here twice.");
            chunks.Add(new PackChunk(hash, inner, (int)size));
            inner += (int)size;
        }
        return inner == length ? new PackFrame(offset, (int)stored, (int)length, chunks.MoveToImmutable())
            : throw new PackFormatException("The chunks do not fill their frame.");
    }
}
