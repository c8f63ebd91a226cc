using System.Numerics;
using FsCheck;
using FsCheck.Fluent;
using Grid.Log;
using Grid.Units;

namespace Grid.Tests;

/// <summary>The tree against RFC 6962's reference values and against its own recursive definition, written down a second time here.</summary>
public sealed class MerkleTreeTests
{
    // The leaves and roots that Certificate Transparency's implementations test themselves with.
    private static readonly byte[][] ReferenceLeaves =
    [
        [], [0x00], [0x10], [0x20, 0x21], [0x30, 0x31], [0x40, 0x41, 0x42, 0x43],
        [0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        [0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
    ];

    [Theory]
    [InlineData(0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData(1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")]
    [InlineData(2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125")]
    [InlineData(3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77")]
    [InlineData(4, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7")]
    [InlineData(5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4")]
    [InlineData(6, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef")]
    [InlineData(7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c")]
    [InlineData(8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")]
    public void The_reference_leaves_have_the_reference_roots(int size, string root)
    {
        var tree = LogTree.Empty.Append([.. ReferenceLeaves.Take(size).Select(l => MerkleTree.LeafHash(l))]);
        Assert.Equal(root, tree.Root.ToString());
    }

    [Fact]
    public void Every_root_and_path_equals_the_recursive_definition()
    {
        const int Most = 70;
        var leaves = Leaves(Most);
        var tree = LogTree.Empty.Append(leaves);
        for (var size = 0; size <= Most; size++)
        {
            Assert.Equal(Root(leaves.AsSpan(0, size)), tree.RootAt(size));
            for (var index = 0; index < size; index++)
                Assert.Equal(Path(index, leaves.AsSpan(0, size)), tree.InclusionPath(index, size));
            for (var from = 1; from <= size; from++)
                Assert.Equal(SubProof(from, leaves.AsSpan(0, size), true), tree.ConsistencyPath(from, size));
        }
    }

    [Fact]
    public void Every_proof_verifies() => Law.Holds(Sizes, s =>
    {
        var tree = Big;
        return MerkleTree.VerifyInclusion(tree.LeafHash(s.Small - 1), s.Small - 1, s.Large, [.. tree.InclusionPath(s.Small - 1, s.Large)], tree.RootAt(s.Large))
            && MerkleTree.VerifyConsistency(s.Small, s.Large, [.. tree.ConsistencyPath(s.Small, s.Large)], tree.RootAt(s.Small), tree.RootAt(s.Large));
    });

    [Fact]
    public void No_changed_inclusion_proof_verifies() => Law.Holds(Sizes, s =>
    {
        var (index, size) = (s.Small - 1, s.Large);
        var (leaf, path, root) = (Big.LeafHash(index), Big.InclusionPath(index, size).ToArray(), Big.RootAt(size));
        bool Verifies(Digest l, long i, long n, Digest[] p, Digest r) => MerkleTree.VerifyInclusion(l, i, n, p, r);
        return !Verifies(Flip(leaf, s.Bit), index, size, path, root)
            && !Verifies(leaf, index, size, path, Flip(root, s.Bit))
            && !Verifies(leaf, index ^ 1, size, path, root)
            && !Verifies(leaf, index + size, size, path, root)
            && !Verifies(leaf, -1, size, path, root)
            && !Verifies(leaf, index, index, path, root)
            && !Verifies(leaf, index, size, [.. path, root], root)
            && !Verifies(leaf, index, size, [leaf, .. path], root)
            && (path.Length == 0 || !Verifies(leaf, index, size, path[1..], root))
            && (path.Length == 0 || !Verifies(leaf, index, size, path[..^1], root))
            && path.Select((p, i) => !Verifies(leaf, index, size, [.. path[..i], Flip(p, s.Bit), .. path[(i + 1)..]], root)).All(x => x);
    });

    [Fact]
    public void No_changed_consistency_proof_verifies() => Law.Holds(Sizes, s =>
    {
        var (from, to) = (s.Small, s.Large);
        var (path, first, second) = (Big.ConsistencyPath(from, to).ToArray(), Big.RootAt(from), Big.RootAt(to));
        bool Verifies(long a, long b, Digest[] p, Digest x, Digest y) => MerkleTree.VerifyConsistency(a, b, p, x, y);
        return !Verifies(from, to, path, Flip(first, s.Bit), second)
            && !Verifies(from, to, path, first, Flip(second, s.Bit))
            && !Verifies(0, to, path, first, second)
            && !Verifies(-from, to, path, first, second)
            && !Verifies(to + 1, to, path, first, second)
            && !Verifies(from, to, [.. path, second], first, second)
            && !Verifies(from, to, [first, .. path], first, second)
            && (path.Length == 0 || !Verifies(from, to, path[1..], first, second))
            && (path.Length == 0 || !Verifies(from, to, path[..^1], first, second))
            && (from == to || !Verifies(to, from, path, second, first))
            && path.Select((p, i) => !Verifies(from, to, [.. path[..i], Flip(p, s.Bit), .. path[(i + 1)..]], first, second)).All(x => x);
    });

    [Fact]
    public void The_empty_tree_proves_nothing_about_another()
    {
        Assert.False(MerkleTree.VerifyConsistency(0, 5, [], MerkleTree.EmptyRoot, Big.RootAt(5)));
        Assert.False(MerkleTree.VerifyConsistency(0, 0, [], MerkleTree.EmptyRoot, MerkleTree.EmptyRoot));
        Assert.Throws<ArgumentOutOfRangeException>(() => Big.ConsistencyPath(0, 5));
        Assert.True(MerkleTree.VerifyConsistency(5, 5, [], Big.RootAt(5), Big.RootAt(5)));
        Assert.False(MerkleTree.VerifyConsistency(5, 5, [], Big.RootAt(5), Big.RootAt(6)));
        Assert.False(MerkleTree.VerifyConsistency(5, 6, [], Big.RootAt(5), Big.RootAt(6)));
    }

    [Fact]
    public void Indices_near_the_end_of_a_long_do_not_loop_or_overflow()
    {
        var any = MerkleTree.EmptyRoot;
        Digest[] path = [.. Enumerable.Repeat(any, 63)];
        Assert.False(MerkleTree.VerifyInclusion(any, long.MaxValue - 1, long.MaxValue, path, any));
        Assert.False(MerkleTree.VerifyConsistency(long.MaxValue - 1, long.MaxValue, path, any, any));
        Assert.False(MerkleTree.VerifyInclusion(any, 0, long.MaxValue, [.. path, any, any], any));
    }

    public sealed record Case(int Small, int Large, int Bit);

    internal static readonly LogTree Big = LogTree.Empty.Append(Leaves(5000));

    private static readonly Gen<Case> Sizes =
        from large in Gen.OneOf(Gen.Choose(1, 5000), Gen.Choose(0, 12).Select(k => 1 << k), Gen.Choose(1, 12).Select(k => (1 << k) - 1))
        from small in Gen.OneOf(Gen.Choose(1, large), Gen.Constant(large), Gen.Constant(1 << BitOperations.Log2((uint)large)))
        from bit in Gen.Choose(0, 255)
        select new Case(small, large, bit);

    internal static Digest[] Leaves(int count) => [.. Enumerable.Range(0, count).Select(i => MerkleTree.LeafHash(BitConverter.GetBytes(i)))];

    private static Digest Flip(Digest digest, int bit)
    {
        var bytes = digest.ToArray();
        bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        return new Digest(bytes);
    }

    // RFC 6962 §2.1, word for word.
    private static Digest Root(ReadOnlySpan<Digest> d) => d.Length switch
    {
        0 => Digest.Of([]),
        1 => d[0],
        _ => MerkleTree.NodeHash(Root(d[..K(d.Length)]), Root(d[K(d.Length)..])),
    };

    // RFC 6962 §2.1.1.
    private static Digest[] Path(int m, ReadOnlySpan<Digest> d)
    {
        if (d.Length == 1)
            return [];
        var k = K(d.Length);
        return m < k ? [.. Path(m, d[..k]), Root(d[k..])] : [.. Path(m - k, d[k..]), Root(d[..k])];
    }

    // RFC 6962 §2.1.2.
    private static Digest[] SubProof(int m, ReadOnlySpan<Digest> d, bool whole)
    {
        if (m == d.Length)
            return whole ? [] : [Root(d)];
        var k = K(d.Length);
        return m <= k ? [.. SubProof(m, d[..k], whole), Root(d[k..])] : [.. SubProof(m - k, d[k..], false), Root(d[..k])];
    }

    private static int K(int n)
    {
        var k = 1;
        while (k * 2 < n)
            k *= 2;
        return k;
    }
}
