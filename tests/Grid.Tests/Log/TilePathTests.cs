using FsCheck.Fluent;
using Grid.Log;
using Grid.Statements;

namespace Grid.Tests;

public sealed class TilePathTests
{
    [Theory]
    [InlineData("tile/0/000", 0, 0, 256)]
    [InlineData("tile/0/x001/x234/067", 0, 1234067, 256)]
    [InlineData("tile/63/x001/000.p/1", 63, 1000, 1)]
    [InlineData("tile/entries/x273/000.p/255", null, 273000, 255)]
    public void A_path_names_one_tile(string text, int? level, long index, int width)
    {
        Assert.True(TilePath.TryParse(text, out var path));
        Assert.Equal(new TilePath(level, index, width), path);
        Assert.Equal(text, path.ToString());
    }

    [Theory]
    [InlineData("tile/00/000")]
    [InlineData("tile/64/000")]
    [InlineData("tile/-1/000")]
    [InlineData("tile/0/0")]
    [InlineData("tile/0/1234")]
    [InlineData("tile/0/001/000")]
    [InlineData("tile/0/x000/001")]
    [InlineData("tile/0/x001")]
    [InlineData("tile/0/000.p/0")]
    [InlineData("tile/0/000.p/01")]
    [InlineData("tile/0/000.p/256")]
    [InlineData("tile/0/000.p/")]
    [InlineData("tile/0/000/")]
    [InlineData("tile/0/000\n")]
    [InlineData("tile/0/٠٠٠")]
    [InlineData("/tile/0/000")]
    [InlineData("tile/entry/000")]
    [InlineData("tile/0/x001/x001/x001/x001/x001/x001/001")]
    [InlineData("tile/0/../../etc/passwd")]
    [InlineData("")]
    [InlineData(null)]
    public void Everything_else_names_none(string? text) => Assert.False(TilePath.TryParse(text, out _));

    [Fact]
    public void Writing_and_reading_a_path_gives_it_back() => Law.Holds(
        from level in Gen.Choose(-1, 63)
        from index in Gen.Choose(0, int.MaxValue)
        from width in Gen.Choose(1, 256)
        select new TilePath(level < 0 ? null : level, (long)index * 100_003, width),
        p => TilePath.TryParse(p.ToString(), out var read) && read == p);

    // The example of C2SP tlog-tiles: 70,000 leaves.
    [Fact]
    public void A_tree_has_the_tiles_that_the_specification_counts()
    {
        var tiles = TilePath.Between(0, 70_000).ToArray();
        Assert.Equal(273, tiles.Count(t => t is { Level: 0, IsPartial: false }));
        Assert.Equal(["tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"], tiles.Skip(273).Select(t => t.ToString()));
        Assert.Equal(["tile/0/000", "tile/1/000.p/1"], TilePath.Between(0, 256).Select(t => t.ToString()));
        Assert.Empty(TilePath.Between(256, 256));
    }

    [Fact]
    public void Growing_step_by_step_yields_every_tile_of_the_end()
    {
        var (seen, size) = (new HashSet<TilePath>(), 0L);
        foreach (var step in new[] { 1, 255, 1, 700, 65_000, 3, 131_000, 5 })
        {
            seen.UnionWith(TilePath.Between(size, size + step));
            size += step;
        }
        Assert.Superset(TilePath.Between(0, size).ToHashSet(), seen);
    }

    [Fact]
    public void A_bundle_that_is_cut_short_or_too_long_is_refused()
    {
        var bundle = EntryBundle.Encode([new byte[3], ReadOnlyMemory<byte>.Empty, new byte[65_535]]);
        Assert.Equal([3, 0, 65_535], EntryBundle.Decode(bundle).Select(e => e.Length));
        foreach (var length in new[] { 1, 2, 4, 6, bundle.Length - 1 })
            Assert.Throws<StatementFormatException>(() => EntryBundle.Decode(bundle.AsMemory(0, length)));
        Assert.Throws<StatementFormatException>(() => EntryBundle.Decode(new byte[2 * 257]));
        Assert.Throws<ArgumentOutOfRangeException>(() => EntryBundle.Encode([new byte[65_536]]));
    }
}
