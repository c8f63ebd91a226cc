using Grid.Flists.Cache;
using Grid.Flists.Content;

namespace Grid.Hub.Tests;

public sealed class CacheTests
{
    [Fact]
    public async Task Every_read_at_random_places_by_many_threads_of_two_caches_in_one_directory_is_right()
    {
        await using var scene = await Scene.MakeAsync(seed: 11);
        var hub = await scene.FilledHubAsync();
        using var client = Scene.Client(hub.Address);
        await using var one = FlistCache.Open(scene["cache"], client);
        await using var two = FlistCache.Open(scene["cache"], client);
        using var first = await one.OpenAsync(scene.Id, default);
        using var second = await two.OpenAsync(scene.Id, default);
        var expected = scene.Files.ToDictionary(i => i, scene.Expected);
        await Parallel.ForEachAsync(Enumerable.Range(0, 16), new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (thread, _) =>
        {
            var random = new Random(thread);
            var inodes = expected.Keys.ToArray();
            for (var i = 0; i < 100; i++)
            {
                var inode = inodes[random.Next(inodes.Length)];
                var whole = expected[inode];
                var offset = random.Next(whole.Length + 2);
                var buffer = new byte[random.Next(1, 300_000)];
                var read = await (thread % 2 == 0 ? first : second).ReadAsync(inode, offset, buffer, default);
                Assert.Equal(int.Clamp(whole.Length - offset, 0, buffer.Length), read);
                Assert.True(buffer.AsSpan(0, read).SequenceEqual(whole.AsSpan(int.Min(offset, whole.Length), read)));
            }
        });
    }

    [Fact]
    public async Task A_chunk_that_many_ask_for_at_once_is_fetched_once()
    {
        await using var scene = await Scene.MakeAsync();
        var hub = await scene.FilledHubAsync();
        var counter = await scene.LiarAsync(hub.Address);
        using var client = Scene.Client(counter.Address);
        await using var cache = FlistCache.Open(scene["cache"], client);
        using var flist = await cache.OpenAsync(scene.Id, default);
        var inode = scene.Files.First(i => scene.Meta[i].Size == 262_144);
        await Task.WhenAll(Enumerable.Range(0, 32).Select(i => Task.Run(async () => await flist.ReadAsync(inode, i, new byte[100], default))));
        Assert.Equal(1, counter.Asked.Count(a => a.Contains("/packs/", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_large_file_read_in_order_needs_few_requests_and_becomes_an_object()
    {
        await using var scene = await Scene.MakeAsync();
        var hub = await scene.FilledHubAsync();
        var counter = await scene.LiarAsync(hub.Address);
        using var client = Scene.Client(counter.Address);
        await using var cache = FlistCache.Open(scene["cache"], client);
        using var flist = await cache.OpenAsync(scene.Id, default);
        var inode = scene.Files.First(i => scene.Meta[i].Size == 3_500_000);
        var all = new byte[3_500_000];
        for (var at = 0; at < all.Length; at += 131_072)
            await flist.ReadAsync(inode, at, all.AsMemory(at, int.Min(131_072, all.Length - at)), default);
        Assert.Equal(scene.Expected(inode), all);
        Assert.InRange(counter.Asked.Count(a => a.Contains("/packs/", StringComparison.Ordinal)), 1, 7);
        await flist.CompleteAsync(inode, default);
        using var complete = flist.TryOpenComplete(inode);
        Assert.Equal(3_500_000, RandomAccess.GetLength(complete!));
        var path = Directory.GetFiles(scene["cache/objects"], "*", SearchOption.AllDirectories).Single(p => new FileInfo(p).Length == 3_500_000);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.GroupRead | UnixFileMode.OtherRead, new FileInfo(path).UnixFileMode);
    }

    [Fact]
    public async Task Completing_an_flist_makes_every_file_an_object_that_needs_no_hub()
    {
        await using var scene = await Scene.MakeAsync();
        var hub = await scene.FilledHubAsync();
        using (var client = Scene.Client(hub.Address))
        {
            await using var cache = FlistCache.Open(scene["cache"], client);
            using var flist = await cache.OpenAsync(scene.Id, default);
            await flist.CompleteAsync(null, default);
        }
        Assert.Empty(Directory.GetFiles(scene["cache/partial"], "*", SearchOption.AllDirectories));
        using var nobody = Scene.Client("http://127.0.0.1:1");
        await using var again = FlistCache.Open(scene["cache"], nobody);
        using var offline = await again.OpenAsync(scene.Id, default);
        foreach (var inode in scene.Files)
        {
            using var file = offline.TryOpenComplete(inode);
            var bytes = new byte[scene.Meta[inode].Size];
            Assert.Equal(bytes.Length, RandomAccess.Read(file!, bytes, 0));
            Assert.True(scene.Expected(inode).AsSpan().SequenceEqual(bytes));
        }
    }

    [Fact]
    public async Task Completing_behind_asks_nothing_while_a_read_waits_and_then_fetches_the_rest()
    {
        await using var scene = await Scene.MakeAsync();
        var hub = await scene.FilledHubAsync();
        var gate = await scene.LiarAsync(hub.Address);
        using var client = Scene.Client(gate.Address);
        var time = new SteppedTime();
        await using var cache = FlistCache.Open(scene["cache"], client, time: time);
        using var flist = await cache.OpenAsync(scene.Id, default);
        using var open = new ManualResetEventSlim();
        gate.Lie = answer =>
        {
            if (answer.Path.Contains("/packs/", StringComparison.Ordinal))
                open.Wait(TimeSpan.FromSeconds(30));
        };
        int Asked() => gate.Asked.Count(a => a.Contains("/packs/", StringComparison.Ordinal));

        var inode = scene.Files.First(i => scene.Meta[i].Size == 262_144);
        var read = flist.ReadAsync(inode, 0, new byte[100], default).AsTask();
        Assert.True(SpinWait.SpinUntil(() => Asked() == 1, TimeSpan.FromSeconds(10)));
        var behind = flist.CompleteBehindAsync(TimeSpan.FromSeconds(1), default);
        // However long the read waits, it looks again and asks nothing.
        for (var look = 1; look <= 3; look++)
        {
            Assert.True(SpinWait.SpinUntil(() => time.Waiting == 1, TimeSpan.FromSeconds(10)));
            Assert.Equal(1, Asked());
            time.Step(TimeSpan.FromSeconds(1));
        }
        open.Set();
        Assert.Equal(100, await read);
        while (!behind.IsCompleted)
            time.Step(TimeSpan.FromSeconds(1));
        await behind;

        foreach (var file in scene.Files)
        {
            using var complete = flist.TryOpenComplete(file);
            Assert.NotNull(complete);
        }
    }

    [Fact]
    public async Task An_object_that_was_changed_on_disk_is_found_out_and_fetched_again()
    {
        await using var scene = await Scene.MakeAsync();
        var hub = await scene.FilledHubAsync();
        using var client = Scene.Client(hub.Address);
        await using var cache = FlistCache.Open(scene["cache"], client);
        using var flist = await cache.OpenAsync(scene.Id, default);
        await flist.CompleteAsync(null, default);
        foreach (var path in Directory.GetFiles(scene["cache/objects"], "*", SearchOption.AllDirectories).Where(p => new FileInfo(p).Length > 0))
            Flip(path);
        foreach (var inode in scene.Files.Where(i => scene.Meta[i].Size > 0))
        {
            Assert.Null(flist.TryOpenComplete(inode));
            var bytes = new byte[scene.Meta[inode].Size];
            await flist.ReadAsync(inode, 0, bytes, default);
            Assert.True(scene.Expected(inode).AsSpan().SequenceEqual(bytes));
        }
    }

    [Fact]
    public async Task After_a_boot_nothing_is_believed_until_it_is_hashed_again()
    {
        await using var scene = await Scene.MakeAsync();
        var hub = await scene.FilledHubAsync();
        using var client = Scene.Client(hub.Address);
        await using (var cache = FlistCache.Open(scene["cache"], client))
        {
            using var flist = await cache.OpenAsync(scene.Id, default);
            await flist.CompleteAsync(null, default);
        }
        // As after a boot: the proofs are those of another one.
        var proofs = Directory.GetDirectories(scene["cache/proofs"]).Single();
        Directory.Move(proofs, scene["cache/proofs/00000000-0000-0000-0000-000000000000"]);
        var torn = Directory.GetFiles(scene["cache/objects"], "*", SearchOption.AllDirectories).First(p => new FileInfo(p).Length == 65_537);
        using (var file = new FileStream(torn, FileMode.Open, FileAccess.Write))
            file.SetLength(0);
        using var nobody = Scene.Client("http://127.0.0.1:1");
        await using var again = FlistCache.Open(scene["cache"], nobody);
        using var offline = await again.OpenAsync(scene.Id, default);
        foreach (var inode in scene.Files)
        {
            using var complete = offline.TryOpenComplete(inode);
            Assert.Equal(scene.Meta[inode].Size != 65_537, complete is not null);
        }
        Assert.False(Directory.Exists(scene["cache/proofs/00000000-0000-0000-0000-000000000000"]));
    }

    [Fact]
    public async Task A_mark_in_a_partial_file_proves_nothing()
    {
        await using var scene = await Scene.MakeAsync();
        var hub = await scene.FilledHubAsync();
        using var client = Scene.Client(hub.Address);
        var inode = scene.Files.First(i => scene.Meta[i].Size == 3_500_000);
        await using (var cache = FlistCache.Open(scene["cache"], client))
        {
            using var flist = await cache.OpenAsync(scene.Id, default);
            await flist.ReadAsync(inode, 2_000_000, new byte[10], default);
        }
        var map = Directory.GetFiles(scene["cache/partial"], "*.map", SearchOption.AllDirectories).Single();
        File.WriteAllBytes(map, [.. Enumerable.Repeat((byte)1, 14)]);
        Flip(map[..^4], at: 2_000_000);
        await using var again = FlistCache.Open(scene["cache"], client);
        using var second = await again.OpenAsync(scene.Id, default);
        var bytes = new byte[3_500_000];
        await second.ReadAsync(inode, 0, bytes, default);
        Assert.True(scene.Expected(inode).AsSpan().SequenceEqual(bytes));
    }

    [Fact]
    public async Task A_proof_that_another_process_is_writing_is_no_failure_of_a_read()
    {
        await using var scene = await Scene.MakeAsync();
        var hub = await scene.FilledHubAsync();
        using var client = Scene.Client(hub.Address);
        await using var cache = FlistCache.Open(scene["cache"], client);
        using var flist = await cache.OpenAsync(scene.Id, default);
        var inode = scene.Files.First(i => scene.Meta[i].Size == 65_537);
        var expected = scene.Expected(inode);
        var bytes = new byte[expected.Length];
        await flist.ReadAsync(inode, 0, bytes, default);
        var proof = Directory.GetFiles(scene["cache/proofs"], "*", SearchOption.AllDirectories).Single();
        var said = File.ReadAllBytes(proof);
        using var read = new CancellationTokenSource();
        var other = Task.Factory.StartNew(() =>
        {
            while (!read.IsCancellationRequested)
                File.WriteAllBytes(proof, said);
        }, TaskCreationOptions.LongRunning);
        try
        {
            for (var i = 0; i < 5_000; i++)
            {
                await flist.ReadAsync(inode, 0, bytes, default);
                Assert.True(expected.AsSpan().SequenceEqual(bytes));
            }
        }
        finally
        {
            await read.CancelAsync();
            await other;
        }
    }

    [Fact]
    public async Task Eviction_keeps_what_is_open_and_drops_the_rest_to_the_size()
    {
        await using var scene = await Scene.MakeAsync(seed: 1);
        await using var other = await Scene.MakeAsync(seed: 2);
        var hub = await scene.FilledHubAsync();
        using var client = Scene.Client(hub.Address);
        await Flists.Hub.Transfer.PushAsync(other.Local, other.Id, client.Hubs[0], null, default);
        await using var cache = FlistCache.Open(scene["cache"], client, new CacheOptions(MaximumBytes: 6_500_000));
        using (var gone = await cache.OpenAsync(other.Id, default))
            await gone.CompleteAsync(null, default);
        using var kept = await cache.OpenAsync(scene.Id, default);
        await kept.CompleteAsync(null, default);
        await Eventually(() => Length(scene["cache/objects"]) <= 6_500_000);
        foreach (var inode in scene.Files)
        {
            using var complete = kept.TryOpenComplete(inode);
            Assert.NotNull(complete);
        }
    }

    [Fact]
    public async Task A_reader_who_gives_up_does_not_stop_the_others()
    {
        await using var scene = await Scene.MakeAsync();
        var hub = await scene.FilledHubAsync();
        using var client = Scene.Client(hub.Address);
        await using var cache = FlistCache.Open(scene["cache"], client);
        using var flist = await cache.OpenAsync(scene.Id, default);
        var inode = scene.Files.First(i => scene.Meta[i].Size == 1_000_000);
        using var given = new CancellationTokenSource();
        var quitter = Task.Run(async () => await flist.ReadAsync(inode, 0, new byte[1_000_000], given.Token));
        var bytes = new byte[1_000_000];
        var stayer = flist.ReadAsync(inode, 0, bytes, default);
        await given.CancelAsync();
        await stayer;
        Assert.True(scene.Expected(inode).AsSpan().SequenceEqual(bytes));
        await Task.WhenAny(quitter);
    }

    [Fact]
    public async Task An_flist_that_no_hub_has_is_an_error_that_says_so()
    {
        await using var scene = await Scene.MakeAsync(large: false);
        var hub = await scene.HubAsync();
        using var client = Scene.Client(hub.Address);
        await using var cache = FlistCache.Open(scene["cache"], client);
        var error = await Assert.ThrowsAsync<FlistReadException>(() => cache.OpenAsync(scene.Id, default));
        Assert.Contains(scene.Id.ToString(), error.Message);
        Assert.Empty(Directory.GetFiles(scene["cache/pins"]));
    }

    private static void Flip(string path, long at = 0)
    {
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
        Span<byte> one = [0];
        RandomAccess.Read(file, one, at);
        one[0] ^= 1;
        RandomAccess.Write(file, one, at);
    }

    // Files may vanish while they are counted; then it is too early to count.
    private static long Length(string directory)
    {
        try
        {
            return new DirectoryInfo(directory).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length);
        }
        catch (FileNotFoundException)
        {
            return long.MaxValue;
        }
    }

    private static async Task Eventually(Func<bool> condition)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (!condition())
            Assert.True(await timer.WaitForNextTickAsync(deadline.Token));
    }
}
