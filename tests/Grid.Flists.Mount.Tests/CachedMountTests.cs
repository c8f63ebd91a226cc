using System.Diagnostics;
using Grid.Flists.Build;
using Grid.Flists.Hub;
using Grid.Flists.Packs;
using Grid.Flists.Store;
using Grid.Hub;

namespace Grid.Flists.Mount.Tests;

/// <summary>The whole way: a directory, built, pushed to a hub, mounted by its id from an empty cache.</summary>
public sealed class CachedMountTests
{
    [Fact]
    public async Task A_flist_mounts_from_a_hub_into_an_empty_cache_and_is_the_directory_it_was_built_from()
    {
        await using var scene = new TestFlist();
        RandomTree.Fill(scene, 11, 150);
        var large = new byte[20 << 20];
        new Random(5).NextBytes(large);
        scene.Add("large", large);
        RandomTree.WritePlain(scene);
        var store = DirectoryStore.Open(Path.Combine(scene.Home, "local"));
        await using var writer = new PackWriter(store);
        var built = await FlistBuilder.BuildAsync(new DirectorySource(scene.Plain), BuildOptions.Default, writer, default);
        await writer.CompleteAsync(default);
        store.PutMeta(built.Meta);
        var id = built.Manifest.Id;
        Assert.Null(store.Publish(id, built.Manifest.Encode(), default));
        var hub = await HubServer.StartAsync(new HubOptions { Store = Path.Combine(scene.Home, "hub"), Listen = "http://127.0.0.1:0" });
        await using (hub)
        {
            using var client = new HubClient([hub.Address]);
            await Transfer.PushAsync(store, id, client.Hubs[0], null, default);
            scene.Store(lazy: true);
            Assert.Equal(scene.Meta.Root, built.Meta.Root);
            var cache = Directory.CreateDirectory(Path.Combine(scene.Home, "cache")).FullName;
            var outcome = await FlistMount.StartAsync(
                new MountSpec(id, scene.Mountpoint, cache, [new Uri(hub.Address)], scene.LogPath), TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
            Assert.True(outcome is MountOutcome.Mounted { Mount: var mounted } && mounted.Flist == id, $"{outcome} {scene.Log()}");

            Assert.Equal(await Tools.StatAllAsync(scene.Plain), await Tools.StatAllAsync(scene.Mountpoint));
            var hashes = Tools.HashAllAsync(scene.Mountpoint);
            Process.GetProcessById(Assert.Single(scene.Processes(MountVerbs.Daemon))).Kill();
            Assert.Equal(await Tools.HashAllAsync(scene.Plain), await hashes);
        }
        store.Dispose();
        // The hub is gone; what was read is here.
        Assert.Equal(await Tools.HashAllAsync(scene.Plain), await Tools.HashAllAsync(scene.Mountpoint));
        await TestFlist.UnmountedAsync(scene.Mountpoint);
    }

    [Fact]
    public async Task A_mount_that_nobody_reads_fetches_everything_by_itself_and_then_needs_no_hub()
    {
        await using var scene = new TestFlist();
        RandomTree.Fill(scene, 12, 60);
        scene.Add("large", new byte[300_000].Select((_, n) => (byte)(n * 31 / 7)).ToArray());
        RandomTree.WritePlain(scene);
        scene.Store(lazy: true);
        using var store = DirectoryStore.Open(Path.Combine(scene.Home, "local"));
        await using var writer = new PackWriter(store);
        var built = await FlistBuilder.BuildAsync(new DirectorySource(scene.Plain), BuildOptions.Default, writer, default);
        await writer.CompleteAsync(default);
        store.PutMeta(built.Meta);
        var id = built.Manifest.Id;
        Assert.Null(store.Publish(id, built.Manifest.Encode(), default));
        var cache = Directory.CreateDirectory(Path.Combine(scene.Home, "cache")).FullName;
        await using (var hub = await HubServer.StartAsync(new HubOptions { Store = Path.Combine(scene.Home, "hub"), Listen = "http://127.0.0.1:0" }))
        {
            using var client = new HubClient([hub.Address]);
            await Transfer.PushAsync(store, id, client.Hubs[0], null, default);
            var outcome = await FlistMount.StartAsync(
                scene.Spec with { Flist = id, CacheDirectory = cache, Hubs = [new Uri(hub.Address)] }, TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
            Assert.True(outcome is MountOutcome.Mounted, $"{outcome} {scene.Log()}");
            // Empty files need no fetch and become objects when they are opened.
            var contents = Enumerable.Range(0, built.Meta.Count).Where(i => built.Meta[i] is { Type: EntryType.File, Size: > 0 }).Select(built.Meta.Content).Distinct().ToArray();
            Assert.True(await TestFlist.Eventually(
                () => contents.All(c => File.Exists(Path.Combine(cache, "objects", c.ToString()[..2], c.ToString())))));
        }

        Assert.Equal(await Tools.HashAllAsync(scene.Plain), await Tools.HashAllAsync(scene.Mountpoint));
        await TestFlist.UnmountedAsync(scene.Mountpoint);
    }

    [Fact]
    public async Task A_flist_that_no_hub_has_is_unavailable()
    {
        await using var scene = new TestFlist();
        scene.Store(lazy: true);
        var cache = Directory.CreateDirectory(Path.Combine(scene.Home, "cache")).FullName;
        await using var hub = await HubServer.StartAsync(new HubOptions { Store = Path.Combine(scene.Home, "hub"), Listen = "http://127.0.0.1:0" });
        var outcome = await FlistMount.StartAsync(scene.Spec with { CacheDirectory = cache, Hubs = [new Uri(hub.Address)] }, TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);

        Assert.Equal(MountFailure.FlistUnavailable, Assert.IsType<MountOutcome.Failed>(outcome).Failure);
        Assert.Null(FlistMount.Find(scene.Mountpoint));
    }
}
