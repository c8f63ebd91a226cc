using Grid.Flists.Build;
using Grid.Flists.Tests.Identity;
using Grid.Units;
using static Grid.Flists.Tests.Identity.Trees;

namespace Grid.Flists.Tests.Build;

public sealed class ContentDelivery
{
    [Fact]
    public async Task The_sink_gets_every_distinct_chunk_once_in_the_order_of_the_meta_file()
    {
        for (var seed = 0; seed < 20; seed++)
        {
            var sink = new Collected();
            var meta = (await Collected.Build(TarBytes.Of(Sketch.Of(seed), TarFormat.Pax, seed), sink: sink)).Meta;
            Assert.Equal(Enumerable.Range(0, meta.DistinctChunkCount).Select(meta.DistinctChunk), sink.Chunks.Select(c => c.Hash));
            Assert.All(sink.Chunks, c => Assert.Equal(c.Hash, Digest.Of(c.Bytes)));
        }
    }

    [Fact]
    public async Task A_sink_that_fails_ends_the_build_with_its_own_error()
    {
        var tar = TarBytes.Of([.. Enumerable.Range(0, 400).Select(n => File($"f{n}", $"{n}"))], TarFormat.Pax);
        await Assert.ThrowsAsync<IOException>(() => Collected.Build(tar, sink: new Full()));
    }

    [Fact]
    public async Task A_build_can_be_cancelled_while_it_hashes()
    {
        using var stop = new CancellationTokenSource();
        var tar = TarBytes.Of([.. Enumerable.Range(0, 400).Select(n => File($"f{n}", $"{n}"))], TarFormat.Pax);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            FlistBuilder.BuildAsync(new TarSource(new MemoryStream(tar)), BuildOptions.Default, new Stopping(stop), stop.Token));
    }

    [Fact]
    public async Task A_file_that_changes_while_it_is_read_is_noticed()
    {
        using var scratch = new Scratch();
        var tree = scratch.NewDirectory("tree");
        for (var n = 0; n < 300; n++)
            System.IO.File.WriteAllText(Path.Combine(tree, $"f{n:d3}"), $"{n}");
        using var source = await new DirectorySource(tree).ReadAsync(BuildOptions.Default, TestContext.Current.CancellationToken);
        System.IO.File.AppendAllText(Path.Combine(tree, "f250"), "more");
        var e = Assert.Throws<FlistBuildException>(() => source.Open((FileNode)source.Tree.Find("f250"u8)!, Bytes("f250")));
        Assert.Equal(FlistBuildCode.SourceChanged, e.Code);
    }

    [Fact]
    public async Task Times_are_clamped_and_start_values_and_origin_go_into_the_manifest()
    {
        var options = BuildOptions.Default with { LatestMtime = 1000, Platform = "linux/arm64", Source = new Dictionary<string, string> { ["commit"] = "abc" } };
        var built = await Collected.Build(TarBytes.Of([Dir("") with { Mtime = 999 }, File("f") with { Mtime = 1001 }], TarFormat.Gnu), options);
        Assert.Equal([999, 1000], [built.Meta[0].MtimeSeconds, built.Meta[1].MtimeSeconds]);
        Assert.Equal(("linux/arm64", "commit", "abc"), (built.Manifest.Platform, built.Manifest.Source[0].Key, built.Manifest.Source[0].Value));
        Assert.Equal(new TreeCounts(1, 1, 0, 0), built.Manifest.Counts);
    }

    [Fact]
    public async Task What_is_left_out_is_reported()
    {
        using var scratch = new Scratch();
        var tree = scratch.NewDirectory("tree");
        using var socket = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, 0);
        socket.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(Path.Combine(tree, "s")));
        var built = await Collected.Build(new DirectorySource(tree));
        Assert.Equal([new Dropped("socket", 1, "s")], built.Dropped);

        var labelled = File("f") with { Xattrs = [(Bytes("security.selinux"), Bytes("x")), (Bytes("user.kept"), Bytes("y"))] };
        var tar = await Collected.Build(TarBytes.Of([labelled, File("g") with { Xattrs = labelled.Xattrs }], TarFormat.Pax));
        Assert.Equal([new Dropped("xattr security.selinux", 2, "f")], tar.Dropped);
    }

    [Fact]
    public async Task Devices_are_refused_unless_they_are_to_be_dropped_or_kept()
    {
        var tar = new TarBytes(TarFormat.Gnu).Raw(Bytes("null"), '3', [], File(""), 0, b => { Bytes("0000001\0").CopyTo(b, 329); Bytes("0000003\0").CopyTo(b, 337); }).End();
        var e = await Assert.ThrowsAsync<FlistBuildException>(() => Collected.Build(tar));
        Assert.Equal(FlistBuildCode.DeviceRefused, e.Code);
        Assert.Equal(1, (await Collected.Build(tar, BuildOptions.Default with { Devices = Devices.Drop })).Meta.Count);
        Assert.Equal(0x103u, (await Collected.Build(tar, BuildOptions.Default with { Devices = Devices.Keep })).Meta[1].Rdev);
    }

    [Fact]
    public async Task A_hundred_thousand_entries_become_a_tree()
    {
        var tar = new TarBytes(TarFormat.Gnu);
        for (var n = 0; n < 100_000; n++)
            tar.Raw(Bytes($"d{n % 300}/f{n}"), '0', [], File(""), 0);
        Assert.Equal(100_301, (await Collected.Build(tar.End())).Meta.Count);
        var e = await Assert.ThrowsAsync<FlistBuildException>(() => Collected.Build(tar.End(), BuildOptions.Default with { MaximumEntries = 100_299 }));
        Assert.Equal(FlistBuildCode.TooLarge, e.Code);
    }

    private sealed class Full : IContentSink
    {
        private int _count;

        public ValueTask AddAsync(ChunkBytes chunk, CancellationToken cancellation)
        {
            chunk.Dispose();
            return ++_count == 200 ? throw new IOException("no space") : ValueTask.CompletedTask;
        }
    }

    private sealed class Stopping(CancellationTokenSource stop) : IContentSink
    {
        public ValueTask AddAsync(ChunkBytes chunk, CancellationToken cancellation)
        {
            chunk.Dispose();
            return new ValueTask(stop.CancelAsync());
        }
    }
}
