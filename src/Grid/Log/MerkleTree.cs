using System.Buffers;
using System.Numerics;
using Grid.Units;

namespace Grid.Log;

/// <summary>
/// Hashing and verification of the Merkle tree of RFC 6962 §2.1 with SHA-256. What the tree itself stores is <see cref="LogTree"/>.
/// </summary>
public static class MerkleTree
{
    /// <summary>The longest path that a tree of 2⁶³−1 leaves can ask for, and one more on the way between two trees.</summary>
    public const int MaximumPath = 64;

    /// <summary>The root of no leaves: the hash of nothing.</summary>
    public static readonly Digest EmptyRoot = Digest.Of([]);

    /// <summary>SHA-256(0x00 ‖ data).</summary>
    public static Digest LeafHash(ReadOnlySpan<byte> data)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(data.Length + 1);
        buffer[0] = 0;
        data.CopyTo(buffer.AsSpan(1));
        var hash = Digest.Of(buffer.AsSpan(0, data.Length + 1));
        ArrayPool<byte>.Shared.Return(buffer);
        return hash;
    }

    /// <summary>SHA-256(0x01 ‖ left ‖ right).</summary>
    public static Digest NodeHash(Digest left, Digest right)
    {
        Span<byte> buffer = stackalloc byte[1 + (2 * Digest.Size)];
        buffer[0] = 1;
        left.CopyTo(buffer[1..]);
        right.CopyTo(buffer[(1 + Digest.Size)..]);
        return Digest.Of(buffer);
    }

    /// <summary>True when the path proves that the leaf stands at the index in the tree of this size and root (RFC 9162 §2.1.3.2).</summary>
    public static bool VerifyInclusion(Digest leaf, long index, long size, ReadOnlySpan<Digest> path, Digest root)
    {
        if (index < 0 || index >= size || path.Length > MaximumPath)
            return false;
        var (node, last, hash) = (index, size - 1, leaf);
        foreach (var sibling in path)
        {
            if (last == 0)
                return false;
            if ((node & 1) == 1 || node == last)
            {
                hash = NodeHash(sibling, hash);
                while ((node & 1) == 0 && node != 0)
                    (node, last) = (node >> 1, last >> 1);
            }
            else
            {
                hash = NodeHash(hash, sibling);
            }
            (node, last) = (node >> 1, last >> 1);
        }
        return last == 0 && hash == root;
    }

    /// <summary>
    /// True when the path proves that the tree of size <paramref name="from"/> is a prefix of the one of size <paramref name="to"/> (RFC 9162 §2.1.4.2).
    /// The empty tree proves nothing about another, so <paramref name="from"/> 0 is false; for equal sizes the path is empty and the roots are equal.
    /// </summary>
    public static bool VerifyConsistency(long from, long to, ReadOnlySpan<Digest> path, Digest fromRoot, Digest toRoot)
    {
        if (from < 1 || from > to || path.Length > MaximumPath)
            return false;
        if (from == to)
            return path.IsEmpty && fromRoot == toRoot;
        if (path.IsEmpty)
            return false;

        var whole = BitOperations.IsPow2(from);
        var (node, last) = (from - 1, to - 1);
        var levels = BitOperations.TrailingZeroCount(~node);
        (node, last) = (node >> levels, last >> levels);
        var (first, second) = whole ? (fromRoot, fromRoot) : (path[0], path[0]);
        foreach (var sibling in whole ? path : path[1..])
        {
            if (last == 0)
                return false;
            if ((node & 1) == 1 || node == last)
            {
                (first, second) = (NodeHash(sibling, first), NodeHash(sibling, second));
                while ((node & 1) == 0 && node != 0)
                    (node, last) = (node >> 1, last >> 1);
            }
            else
            {
                second = NodeHash(second, sibling);
            }
            (node, last) = (node >> 1, last >> 1);
        }
        return last == 0 && first == fromRoot && second == toRoot;
    }
}
