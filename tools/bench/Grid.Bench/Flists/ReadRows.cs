using System.Diagnostics;
using System.IO.MemoryMappedFiles;
using System.Text;
using Grid.Flists.Cache;
using Grid.Flists.Hub;
using Grid.Flists.Mount;
using Grid.Flists.Store;
using Grid.Hub;
using Grid.Units;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Grid.Bench.Flists;

/// <summary>
/// One tree as a plain directory, as an flist shown by the kernel (engine K) and served by a daemon (engine F), as a squashfs image mounted by squashfuse_ll, and
/// as an EROFS image mounted by the kernel.
/// </summary>
internal static class ReadRows
{
    private const string Cold = "big file read once, nothing here, hub on loopback";
    private const string Curl = "curl, zstd -d, sha256sum";
    private const string Mount = "mount of 100,001 files, all here";
    private const string MountServed = "the same by engine F";
    private const string Composed = "engine K", Served = "engine F";

    private static readonly string[] Sides = [Composed, Served, "ext4", "squashfuse_ll", "erofs"];

    public static async Task MeasureAsync(Rounds rounds, string tree, string work, int count)
    {
        var corpus = await Corpus.MakeAsync(Path.Combine(work, "ext4"), tree);
        var id = await BuildRows.BuildAsync(corpus.Directory, Path.Combine(work, "store"));
        await Shell.RunAsync($"zstd -q -3 -T0 '{corpus.Directory}/{Corpus.Big}' -o '{work}/big.zst'; mksquashfs '{corpus.Directory}' '{work}/image' -quiet -no-progress -comp zstd -Xcompression-level 3; mkfs.erofs -zlz4 '{work}/image.erofs' '{corpus.Directory}'");
        await using var hub = await HubServer.StartAsync(new HubOptions { Store = Path.Combine(work, "hub"), Listen = "http://127.0.0.1:0" });
        using var client = new HubClient([hub.Address]);
        using (var store = DirectoryStore.Open(Path.Combine(work, "store")))
            await Transfer.PushAsync(store, id, client.Hubs[0], null, default);
        await using var files = await ServeAsync(Path.Combine(work, "big.zst"));

        for (var round = 0; round < count; round++)
        {
            // Before the mount, which fetches by itself as soon as it is there.
            HostMemory.Take(4 * (nuint)Corpus.BigBytes);
            await ColdAsync(rounds, work, hub.Address, id, round);
            HostMemory.Take(4 * (nuint)Corpus.BigBytes);
            await rounds.TimeAsync(Curl, () => Shell.RunAsync($"curl -sf {files.Urls.Single()}/big | zstd -dc | sha256sum"));
        }
        rounds.Row(Cold, Curl, Corpus.BigBytes / 1e6, "MB/s", "1.50");

        var cache = Path.Combine(work, "cache");
        await using (var filling = FlistCache.Open(cache, client))
        {
            using var flist = await filling.OpenAsync(id, default);
            await rounds.TimeAsync("complete", () => flist.CompleteAsync(null, default));
        }
        for (var round = 0; round < count; round++)
        {
            if (round > 0)
                await UnmountAsync(At(work, Served));
            await rounds.TimeAsync(MountServed, () => MountAsync(At(work, Served), work, hub.Address, id, cache));
        }
        await rounds.TimeAsync("image", () => WholeAsync(cache, id));
        for (var round = 0; round < count; round++)
        {
            if (round > 0)
                await UnmountAsync(At(work, Composed));
            await rounds.TimeAsync(Mount, () => MountAsync(At(work, Composed), work, hub.Address, id, cache));
        }
        if (FlistMount.Find(At(work, Composed)) is not { IsComposed: true })
            throw new IOException("This kernel shows no flist by itself.");
        var image = Directory.CreateDirectory(At(work, "squashfuse_ll")).FullName;
        var erofs = Directory.CreateDirectory(At(work, "erofs")).FullName;
        await Shell.RunAsync($"squashfuse_ll '{work}/image' '{image}'; mount -t erofs -o loop,ro '{work}/image.erofs' '{erofs}'");
        try
        {
            await LocalAsync(rounds, work, count);
            rounds.Alone(Mount, $"{1000 * rounds.Median(Mount):0} ms", "≤ 50 ms");
            rounds.Alone(MountServed, $"{1000 * rounds.Median(MountServed):0} ms", "≤ 50 ms");
            rounds.Alone("its daemon's resident memory after all this", $"{BuildRows.Memory(DaemonOf(At(work, Served)), "VmRSS") >> 20} MiB", "≤ 70 MiB");
            rounds.Alone("all looked at and the image made, once a boot", $"{1000 * rounds.Median("image"):0} ms", "");
            rounds.Alone("all 100,001 files fetched into an empty cache", $"{1000 * rounds.Median("complete"):0} ms", "");
        }
        finally
        {
            await UnmountAsync(At(work, Composed));
            await UnmountAsync(At(work, Served));
            await Shell.RunAsync($"umount -l '{image}' '{erofs}'");
        }
    }

    private static async Task LocalAsync(Rounds rounds, string work, int count)
    {
        var buffer = new byte[1 << 20];
        // Pages that writing left are as large as what was written at a time. Dropped, all sides have those that reading makes.
        await Shell.RunAsync("sync");
        await File.WriteAllTextAsync("/proc/sys/vm/drop_caches", "1");
        // What the kernel knows of names and inodes is dropped on all sides; pages stay.
        await EachAsync("find + stat, uncached", async at =>
        {
            await File.WriteAllTextAsync("/proc/sys/vm/drop_caches", "2");
            return () => Shell.RunAsync($"find '{at}' -printf '%s %m %T@\\n'");
        });
        await EachAsync("find + stat, cached", at => Task.FromResult<Func<Task>>(() => Shell.RunAsync($"find '{at}' -printf '%s %m %T@\\n'")));
        await EachAsync("big file, sequential", at => Task.FromResult(() => Run(() => ReadAll($"{at}/{Corpus.Big}", buffer))));
        await EachAsync("big file, mapped, a byte a page", at => Task.FromResult(() => Run(() => Touch($"{at}/{Corpus.Big}"))));
        await EachAsync("big file, random 4 KiB", at => Task.FromResult(() => Run(() => Jump($"{at}/{Corpus.Big}", buffer))));
        await EachAsync("small files, open + read + close", at =>
        {
            var paths = Corpus.Small.Select(p => Encoding.UTF8.GetBytes($"{at}/{p}\0")).ToArray();
            return Task.FromResult(() => Run(() => ReadSmall(paths, buffer)));
        });
        Rows("big file, sequential", Corpus.BigBytes / 1e6, "MB/s", "0.95", "");
        Rows("big file, mapped, a byte a page", Corpus.BigBytes / 1e6, "MB/s", "0.95", "");
        Rows("big file, random 4 KiB", RandomReads / 1e3, "k/s", "0.95", "");
        Rows("find + stat, cached", Corpus.AllFiles / 1e3, "k/s", "0.90", "");
        Rows("find + stat, uncached", Corpus.AllFiles / 1e3, "k/s", "0.45", "1.50");
        Rows("small files, open + read + close", Corpus.SmallFiles / 1e3, "k/s", "0.60", "5.00");

        async Task EachAsync(string what, Func<string, Task<Func<Task>>> prepare)
        {
            foreach (var side in Sides)
                await (await prepare(At(work, side)))();
            for (var round = 0; round < count; round++)
            {
                foreach (var side in Sides)
                {
                    var run = await prepare(At(work, side));
                    await rounds.TimeAsync($"{what}: {side}", run);
                }
            }
        }

        void Rows(string what, double amount, string unit, string plain, string fuse)
        {
            rounds.Row($"{what}: {Composed}", $"{what}: ext4", amount, unit, plain);
            rounds.Row($"{what}: {Composed}", $"{what}: squashfuse_ll", amount, unit, fuse);
            rounds.Row($"{what}: {Composed}", $"{what}: erofs", amount, unit, "");
            rounds.Row($"{what}: {Served}", $"{what}: ext4", amount, unit, plain);
            rounds.Row($"{what}: {Served}", $"{what}: squashfuse_ll", amount, unit, fuse);
        }
    }

    private const int RandomReads = 200_000;

    private static Task Run(Action act)
    {
        act();
        return Task.CompletedTask;
    }

    private static async Task ColdAsync(Rounds rounds, string work, string hub, FlistId id, int round)
    {
        var cache = Path.Combine(work, $"cold-{round}");
        await MountAsync(At(work, Served), work, hub, id, cache);
        try
        {
            rounds.Time(Cold, () => ReadAll($"{At(work, Served)}/{Corpus.Big}", new byte[1 << 20]));
        }
        finally
        {
            await UnmountAsync(At(work, Served));
        }
        await Shell.RunAsync($"rm -r '{cache}'");
    }

    private static async Task MountAsync(string at, string work, string hub, FlistId id, string cache)
    {
        Directory.CreateDirectory(cache);
        Directory.CreateDirectory(at);
        var outcome = await FlistMount.StartAsync(new MountSpec(id, at, cache, [new Uri(hub)], Path.Combine(work, "mount.log")), TimeSpan.FromMinutes(1), default);
        if (outcome is MountOutcome.Failed failed)
            throw new IOException(failed.Reason);
    }

    private static async Task UnmountAsync(string mountpoint)
    {
        FlistMount.Stop(mountpoint, detach: true);
        await WaitForEndAsync(mountpoint);
    }

    private static async Task WholeAsync(string cache, FlistId id)
    {
        for (var started = Stopwatch.GetTimestamp(); WholeFlist.TryFind(cache, id) is null; await Task.Delay(10))
        {
            if (Stopwatch.GetElapsedTime(started) > TimeSpan.FromMinutes(5))
                throw new IOException("The flist's daemon made no image.");
        }
    }

    private static string At(string work, string side) => Path.Combine(work, side.Replace(' ', '-'));

    private static string DaemonOf(string mountpoint) => TryDaemonOf(mountpoint) ?? throw new IOException($"Nobody serves {mountpoint}.");

    private static string? TryDaemonOf(string mountpoint) => Directory.EnumerateDirectories("/proc").Select(p => Path.GetFileName(p)!)
        .FirstOrDefault(p => int.TryParse(p, out _) && Arguments(p) is [_, MountVerbs.Daemon, _, var at, ..] && at == mountpoint);

    private static string[] Arguments(string process)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/cmdline").Split('\0');
        }
        catch (IOException)
        {
            // It ended meanwhile.
            return [];
        }
    }

    private static async Task WaitForEndAsync(string mountpoint)
    {
        for (var started = Stopwatch.GetTimestamp(); TryDaemonOf(mountpoint) is not null; await Task.Delay(10))
        {
            if (Stopwatch.GetElapsedTime(started) > TimeSpan.FromMinutes(1))
                throw new IOException($"{mountpoint} is served a minute after its unmount.");
        }
    }

    // The peer's file, by a server that sends it from the kernel.
    private static async Task<WebApplication> ServeAsync(string path)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        var server = builder.Build();
        server.Urls.Add("http://127.0.0.1:0");
        server.MapGet("/big", () => Results.File(path));
        await server.StartAsync();
        return server;
    }

    private static void ReadAll(string path, byte[] buffer)
    {
        using var file = File.OpenHandle(path);
        for (var at = 0L; RandomAccess.Read(file, buffer, at) is var read and > 0; at += read)
        {
        }
    }

    private static unsafe void Touch(string path)
    {
        using var map = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        using var view = map.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        byte* start = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        // Safe: the view is as long as the file and is released below only.
        for (var at = 0L; at < Corpus.BigBytes; at += 4096)
            _ = Volatile.Read(ref start[at]);
        view.SafeMemoryMappedViewHandle.ReleasePointer();
    }

    private static void Jump(string path, byte[] buffer)
    {
        using var file = File.OpenHandle(path);
        var random = new Random(3);
        for (var n = 0; n < RandomReads; n++)
            _ = RandomAccess.Read(file, buffer.AsSpan(0, 4096), random.NextInt64(Corpus.BigBytes / 4096) * 4096);
    }

    private static void ReadSmall(byte[][] paths, byte[] buffer)
    {
        foreach (var path in paths)
        {
            var file = Libc.Open(path, 0);
            if (file < 0 || Libc.Read(file, buffer, 16 << 10) <= 0)
                throw new IOException($"{Encoding.UTF8.GetString(path)} cannot be read.");
            _ = Libc.Close(file);
        }
    }
}
