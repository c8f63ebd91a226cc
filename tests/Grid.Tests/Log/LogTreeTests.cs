using FsCheck.Fluent;
using Grid.Log;
using Grid.Units;

namespace Grid.Tests;

public sealed class LogTreeTests
{
    [Fact]
    public void Appending_leaves_every_earlier_tree_as_it_was()
    {
        var leaves = MerkleTreeTests.Leaves(3000);
        var trees = new List<LogTree> { LogTree.Empty };
        foreach (var batch in leaves.Chunk(7))
            trees.Add(trees[^1].Append(batch));
        Assert.All(trees, t => Assert.Equal(t.RootAt(t.Size), MerkleTreeTests.Big.RootAt(t.Size)));
    }

    [Fact]
    public void Two_futures_of_one_tree_do_not_see_each_other() => Law.Holds(
        from size in Gen.OneOf(Gen.Choose(0, 40), Gen.Choose(1000, 1100), Gen.Choose(2040, 2056))
        from lost in Gen.Choose(1, 1500)
        from kept in Gen.Choose(1, 1500)
        select (size, lost, kept),
        c =>
        {
            var leaves = MerkleTreeTests.Leaves(c.size + c.kept);
            var past = LogTree.Empty.Append(leaves.AsSpan(0, c.size));
            // A batch that failed to commit, then another in its place.
            var abandoned = past.Append([.. Enumerable.Repeat(MerkleTree.EmptyRoot, c.lost)]);
            var root = abandoned.RootAt(abandoned.Size);
            var future = past.Append(leaves.AsSpan(c.size));
            return future.RootAt(future.Size) == MerkleTreeTests.Big.RootAt(future.Size)
                && past.RootAt(past.Size) == MerkleTreeTests.Big.RootAt(past.Size)
                && abandoned.RootAt(abandoned.Size) == root;
        },
        60);

    [Fact]
    public async Task A_tree_can_be_read_while_it_grows()
    {
        var leaves = MerkleTreeTests.Leaves(200_000);
        var tree = LogTree.Empty.Append(leaves.AsSpan(0, 1));
        var reader = Task.Run(() =>
        {
            for (var size = 0L; size < leaves.Length;)
            {
                var now = Volatile.Read(ref tree);
                size = now.Size;
                if (!MerkleTree.VerifyInclusion(now.LeafHash(size / 2), size / 2, size, [.. now.InclusionPath(size / 2, size)], now.Root))
                    return size;
            }
            return 0;
        });
        for (var at = 1; at < leaves.Length; at += 101)
            Volatile.Write(ref tree, tree.Append(leaves.AsSpan(at, int.Min(101, leaves.Length - at))));
        Assert.Equal(0, await reader);
    }

    [Fact]
    public void Proofs_that_the_tree_cannot_give_are_refused()
    {
        var tree = MerkleTreeTests.Big;
        Assert.Throws<ArgumentOutOfRangeException>(() => tree.InclusionPath(5, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => tree.InclusionPath(-1, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => tree.InclusionPath(0, 5001));
        Assert.Throws<ArgumentOutOfRangeException>(() => tree.ConsistencyPath(6, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => tree.ConsistencyPath(5, 5001));
        Assert.Throws<ArgumentOutOfRangeException>(() => tree.RootAt(5001));
        Assert.Throws<ArgumentOutOfRangeException>(() => tree.LeafHash(5000));
        Assert.Throws<ArgumentOutOfRangeException>(() => tree.Tile(0, 20));
        Assert.Throws<ArgumentOutOfRangeException>(() => tree.Tile(1, 0, 20));
        Assert.Throws<ArgumentOutOfRangeException>(() => tree.Tile(0, 0, 0));
    }

    [Fact]
    public void Every_hash_of_a_higher_tile_is_the_root_of_a_full_tile_below()
    {
        var tree = LogTree.Empty.Append(MerkleTreeTests.Leaves(70_000));
        var above = tree.Tile(1, 0);
        for (var i = 0; i < 256; i++)
            Assert.Equal(new Digest(above.AsSpan(i * 32, 32)), RootOf(tree.Tile(0, i)));
        Assert.Equal(new Digest(tree.Tile(2, 0, 1)), RootOf(above));
    }

    private static Digest RootOf(byte[] tile) => LogTree.Empty.Append([.. tile.Chunk(32).Select(h => new Digest(h))]).Root;
}
