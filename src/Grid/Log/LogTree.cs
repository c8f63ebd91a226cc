using System.Collections.Immutable;
using System.Numerics;
using Grid.Units;

namespace Grid.Log;

/// <summary>
/// The log's tree of one size, as a value: appending gives a new tree and leaves this one as it was, so that a batch can be tried on a copy
/// and forgotten. It keeps the hash of every complete subtree, 64 bytes a leaf, and computes any root, path or tile of this or a smaller size.
/// </summary>
/// <remarks>
/// Trees that grew from one another share their hashes. Whoever appends to the newest of them writes behind its end, where no older tree
/// looks; a second append to the same tree finds that end taken and copies what is not full. A tree may be read on any thread.
/// </remarks>
public sealed class LogTree
{
    private readonly Hashes _hashes;

    // Boxed, so that readers on other threads see all of it or nothing.
    private object? _root;

    private LogTree(Hashes hashes, long size) => (_hashes, Size) = (hashes, size);

    public static LogTree Empty => new(new Hashes(), 0);

    public long Size { get; }

    public Digest Root => (Digest)(_root ??= RootAt(Size));

    public LogTree Append(params ReadOnlySpan<Digest> leaves)
    {
        if (leaves.IsEmpty)
            return this;
        var hashes = _hashes.TryClaim(Size, Size + leaves.Length) ? _hashes : _hashes.Fork(Size, Size + leaves.Length);
        hashes.Write(Size, leaves);
        return new LogTree(hashes, Size + leaves.Length);
    }

    public Digest LeafHash(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Size);
        return _hashes[0, index];
    }

    /// <summary>The root this tree had when it was of that size.</summary>
    /// <exception cref="ArgumentOutOfRangeException">larger than this tree</exception>
    public Digest RootAt(long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, Size);
        return size == 0 ? MerkleTree.EmptyRoot : Range(0, size);
    }

    /// <summary>RFC 6962 §2.1.1, from the leaf up.</summary>
    /// <exception cref="ArgumentOutOfRangeException">not 0 ≤ index &lt; size ≤ this size</exception>
    public ImmutableArray<Digest> InclusionPath(long index, long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, size);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, Size);
        // Found from the root down, wanted from the leaf up: filled from its end.
        Span<Digest> path = stackalloc Digest[MerkleTree.MaximumPath];
        var first = path.Length;
        var (start, end) = (0L, size);
        while (end - start > 1)
        {
            var middle = start + Split(end - start);
            if (index < middle)
            {
                path[--first] = Range(middle, end);
                end = middle;
            }
            else
            {
                path[--first] = Range(start, middle);
                start = middle;
            }
        }
        return [.. path[first..]];
    }

    /// <summary>RFC 6962 §2.1.2, from the bottom up; empty when the sizes are equal.</summary>
    /// <exception cref="ArgumentOutOfRangeException">not 1 ≤ from ≤ to ≤ this size</exception>
    public ImmutableArray<Digest> ConsistencyPath(long from, long to)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(from, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(from, to);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(to, Size);
        var path = new Stack<Digest>();
        var (start, end) = (0L, to);
        while (from != end)
        {
            var middle = start + Split(end - start);
            if (from <= middle)
            {
                path.Push(Range(middle, end));
                end = middle;
            }
            else
            {
                path.Push(Range(start, middle));
                start = middle;
            }
        }
        // The old tree as a whole is known to whoever asks; a part of it is not.
        if (start > 0)
            path.Push(Range(start, end));
        return [.. path];
    }

    /// <summary>The hashes of a tile as C2SP tlog-tiles serves them: <paramref name="width"/> times 32 bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">the tree does not have that tile in that width</exception>
    public byte[] Tile(int level, long index, int width = TilePath.FullWidth)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(width, TilePath.WidthAt(Size, level, index));
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        var tile = new byte[width * Digest.Size];
        for (var i = 0; i < width; i++)
            _hashes[level * TilePath.Height, (index * TilePath.FullWidth) + i].CopyTo(tile.AsSpan(i * Digest.Size));
        return tile;
    }

    // MTH(D[start:end]). Every range that the algorithms of RFC 6962 ask for begins at a multiple of the largest power of two in it.
    private Digest Range(long start, long end)
    {
        var length = end - start;
        if (BitOperations.IsPow2(length))
        {
            var level = BitOperations.Log2((ulong)length);
            return _hashes[level, start >> level];
        }
        var middle = start + Split(length);
        return MerkleTree.NodeHash(Range(start, middle), Range(middle, end));
    }

    // The largest power of two smaller than the length.
    private static long Split(long length) => 1L << BitOperations.Log2((ulong)(length - 1));

    /// <summary>Level k holds the hashes of the complete subtrees of 2ᵏ leaves, in segments that never move once written.</summary>
    private sealed class Hashes
    {
        private const int SegmentSize = 1024;

        private readonly Digest[]?[][] _levels;
        private long _end;

        public Hashes() => _levels = [.. Enumerable.Range(0, 63).Select(_ => Array.Empty<Digest[]?>())];

        public Digest this[int level, long index] => _levels[level][index / SegmentSize]![index % SegmentSize];

        public bool TryClaim(long from, long to) => Interlocked.CompareExchange(ref _end, to, from) == from;

        /// <summary>Shares the segments that are full at the size; copies those that are not, for others may write there.</summary>
        public Hashes Fork(long size, long end)
        {
            var fork = new Hashes { _end = end };
            for (var level = 0; size >> level > 0; level++)
            {
                var count = size >> level;
                var full = (int)(count / SegmentSize);
                var segments = _levels[level][..(int)((count + SegmentSize - 1) / SegmentSize)];
                if (full < segments.Length)
                {
                    var tail = new Digest[SegmentSize];
                    segments[full].AsSpan(0, (int)(count % SegmentSize)).CopyTo(tail);
                    segments[full] = tail;
                }
                fork._levels[level] = segments;
            }
            return fork;
        }

        public void Write(long size, ReadOnlySpan<Digest> leaves)
        {
            foreach (var leaf in leaves)
            {
                var (hash, index) = (leaf, size++);
                Put(0, index, hash);
                for (var level = 1; (index & 1) == 1; level++)
                {
                    hash = MerkleTree.NodeHash(this[level - 1, index - 1], hash);
                    index >>= 1;
                    Put(level, index, hash);
                }
            }
        }

        private void Put(int level, long index, Digest hash)
        {
            var segment = (int)(index / SegmentSize);
            if (segment >= _levels[level].Length)
            {
                // Readers keep the list they have; the new one holds the same segments.
                var longer = new Digest[]?[int.Max(4, segment * 2)];
                _levels[level].CopyTo(longer, 0);
                _levels[level] = longer;
            }
            (_levels[level][segment] ??= new Digest[SegmentSize])[index % SegmentSize] = hash;
        }
    }
}
