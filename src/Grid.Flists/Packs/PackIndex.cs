using System.Buffers.Binary;
using Grid.Units;

namespace Grid.Flists.Packs;

/// <summary>Where a chunk lies: a frame of a pack, and a place within the frame's content.</summary>
/// <param name="FrameOffset">of the stored frame in the pack</param>
/// <param name="StoredLength">of the frame in the pack</param>
/// <param name="FrameLength">of the frame's content</param>
/// <param name="Offset">of the chunk in the content</param>
/// <param name="Length">of the chunk</param>
public readonly record struct ChunkLocation(Digest Pack, int FrameOffset, int StoredLength, int FrameLength, int Offset, int Length)
{
    public int FrameEnd => FrameOffset + StoredLength;
}

/// <summary>
/// Chunk → location for the chunks of one flist, used in place by binary search (FORMAT.md, Index). It is a hint: a wrong one leads to bytes
/// that do not hash. Reading it checks its shape, so no location reaches beyond a pack, a frame or a limit.
/// </summary>
public sealed class PackIndex
{
    private const int HeaderLength = 24;
    private const int PackEntry = Digest.Size + 4;
    private const int ChunkEntry = Digest.Size + 24;
    private const uint Version = 1;

    private readonly ReadOnlyMemory<byte> _bytes;
    private readonly int _packs;

    private PackIndex(ReadOnlyMemory<byte> bytes, int packs, int chunks)
    {
        (_bytes, _packs, Count) = (bytes, packs, chunks);
    }

    private static ReadOnlySpan<byte> Magic => "GRIDINDX"u8;

    /// <summary>The number of chunks.</summary>
    public int Count { get; }

    /// <summary>The packs in order of their hashes, with their lengths.</summary>
    public IEnumerable<(Digest Pack, int Length)> Packs
    {
        get
        {
            for (var i = 0; i < _packs; i++)
                yield return (PackAt(i), BinaryPrimitives.ReadInt32LittleEndian(_bytes.Span[(HeaderLength + i * PackEntry + Digest.Size)..]));
        }
    }

    public static byte[] Encode(IReadOnlyDictionary<Digest, int> packLengths, IReadOnlyCollection<KeyValuePair<Digest, ChunkLocation>> chunks)
    {
        var used = new SortedSet<Digest>(chunks.Select(c => c.Value.Pack));
        var numbers = new Dictionary<Digest, int>(used.Count);
        var bytes = new byte[checked(HeaderLength + used.Count * PackEntry + chunks.Count * ChunkEntry)];
        var at = bytes.AsSpan();
        Magic.CopyTo(at);
        BinaryPrimitives.WriteUInt32LittleEndian(at[8..], Version);
        BinaryPrimitives.WriteInt32LittleEndian(at[12..], used.Count);
        BinaryPrimitives.WriteInt32LittleEndian(at[16..], chunks.Count);
        at = at[HeaderLength..];
        foreach (var pack in used)
        {
            numbers.Add(pack, numbers.Count);
            pack.CopyTo(at);
            BinaryPrimitives.WriteInt32LittleEndian(at[Digest.Size..], packLengths[pack]);
            at = at[PackEntry..];
        }
        var sorted = chunks.ToArray();
        Array.Sort(sorted, (a, b) => a.Key.CompareTo(b.Key));
        foreach (var (hash, location) in sorted)
        {
            hash.CopyTo(at);
            var fields = at[Digest.Size..];
            BinaryPrimitives.WriteInt32LittleEndian(fields, numbers[location.Pack]);
            BinaryPrimitives.WriteInt32LittleEndian(fields[4..], location.FrameOffset);
            BinaryPrimitives.WriteInt32LittleEndian(fields[8..], location.StoredLength);
            BinaryPrimitives.WriteInt32LittleEndian(fields[12..], location.FrameLength);
            BinaryPrimitives.WriteInt32LittleEndian(fields[16..], location.Offset);
            BinaryPrimitives.WriteInt32LittleEndian(fields[20..], location.Length);
            at = at[ChunkEntry..];
        }
        return bytes;
    }

    /// <exception cref="PackFormatException"/>
    public static PackIndex Load(ReadOnlyMemory<byte> bytes)
    {
        var span = bytes.Span;
        if (span.Length is < HeaderLength or > PackLimits.IndexLength || !span.StartsWith(Magic))
            throw new PackFormatException("The bytes are not an index.");
        var version = BinaryPrimitives.ReadUInt32LittleEndian(span[8..]);
        if (version != Version)
            throw new PackFormatException($"The index has version {version}; {Version} is known.");
        var packs = BinaryPrimitives.ReadUInt32LittleEndian(span[12..]);
        var chunks = BinaryPrimitives.ReadUInt32LittleEndian(span[16..]);
        if (BinaryPrimitives.ReadUInt32LittleEndian(span[20..]) != 0)
            throw new PackFormatException("A reserved field is set.");
        if (HeaderLength + packs * (long)PackEntry + chunks * (long)ChunkEntry != span.Length)
            throw new PackFormatException("The index does not have the length that its counts give.");
        var index = new PackIndex(bytes, (int)packs, (int)chunks);
        index.CheckPacks();
        index.CheckChunks();
        return index;
    }

    public bool TryFind(Digest chunk, out ChunkLocation location)
    {
        var (low, high) = (0, Count - 1);
        while (low <= high)
        {
            var middle = (low + high) >>> 1;
            var order = HashAt(middle).CompareTo(chunk);
            if (order == 0)
            {
                location = LocationAt(middle, out _);
                return true;
            }
            if (order < 0)
                low = middle + 1;
            else
                high = middle - 1;
        }
        location = default;
        return false;
    }

    private Digest PackAt(int i) => new(_bytes.Span.Slice(HeaderLength + i * PackEntry, Digest.Size));

    private Digest HashAt(int i) => new(_bytes.Span.Slice(HeaderLength + _packs * PackEntry + i * ChunkEntry, Digest.Size));

    private ChunkLocation LocationAt(int i, out uint pack)
    {
        var fields = _bytes.Span.Slice(HeaderLength + _packs * PackEntry + i * ChunkEntry + Digest.Size, ChunkEntry - Digest.Size);
        pack = BinaryPrimitives.ReadUInt32LittleEndian(fields);
        return new ChunkLocation(
            pack < _packs ? PackAt((int)pack) : throw new PackFormatException($"A chunk lies in pack {pack} of {_packs}."),
            BinaryPrimitives.ReadInt32LittleEndian(fields[4..]), BinaryPrimitives.ReadInt32LittleEndian(fields[8..]),
            BinaryPrimitives.ReadInt32LittleEndian(fields[12..]), BinaryPrimitives.ReadInt32LittleEndian(fields[16..]),
            BinaryPrimitives.ReadInt32LittleEndian(fields[20..]));
    }

    private void CheckPacks()
    {
        var previous = default(Digest);
        var first = true;
        foreach (var (pack, length) in Packs)
        {
            if (length is < PackTable.TrailerLength or > PackLimits.PackLength || (!first && pack <= previous))
                throw new PackFormatException("The packs are unsorted or have impossible lengths.");
            (previous, first) = (pack, false);
        }
    }

    private void CheckChunks()
    {
        var lengths = Packs.Select(p => p.Length).ToArray();
        var frames = new Dictionary<(uint Pack, int Offset), (int Stored, int Length)>();
        for (var i = 0; i < Count; i++)
        {
            var at = LocationAt(i, out var pack);
            if (i > 0 && HashAt(i) <= HashAt(i - 1))
                throw new PackFormatException("The chunks are not sorted and unique.");
            if (HashAt(i) == PackLimits.ZeroChunk)
                throw new PackFormatException("The chunk of zeros lies in no pack.");
            if (at.FrameOffset < 0 || at.StoredLength < 1 || at.FrameLength is < 1 or > PackLimits.FrameLength || at.StoredLength > at.FrameLength
                || at.StoredLength > lengths[pack] - at.FrameOffset
                || at.Offset < 0 || at.Length is < 1 or > Chunk.Size || at.Length > at.FrameLength - at.Offset)
            {
                throw new PackFormatException($"The chunk {HashAt(i)} lies outside its frame or pack.");
            }
            var key = (pack, at.FrameOffset);
            if (!frames.TryAdd(key, (at.StoredLength, at.FrameLength)) && frames[key] != (at.StoredLength, at.FrameLength))
                throw new PackFormatException("Two chunks disagree about their frame.");
        }
    }
}
