using System.Diagnostics;
using System.Globalization;
using Grid.Flists.Build;
using Grid.Flists.Hub;
using Grid.Flists.Mount;
using Grid.Flists.Packs;
using Grid.Flists.Store;
using Grid.Hub;
using Grid.Units;

namespace Grid.Bench.Flists;

/// <summary>
/// Building an flist beside <c>tar | zstd -3</c> and <c>mkfs.erofs -zlz4</c> of the same tree, and reading it mounted beside reading the tree itself.
/// Three interleaved rounds, medians, warm page cache on every side but the one that says cold.
/// </summary>
internal static class FlistBench
{
    private const int Rounds = 3;
    private const string DefaultTree = "/usr/lib/x86_64-linux-gnu";

    public static async Task<int> RunAsync(string[] arguments)
    {
        if (arguments is not ([] or ["--tree", _]))
        {
            await Console.Error.WriteLineAsync($"tools/bench/run flists [--tree DIR]    (default {DefaultTree})");
            return 2;
        }
        var tree = arguments is ["--tree", var given] ? Path.GetFullPath(given) : DefaultTree;
        var work = Directory.CreateTempSubdirectory("grid-bench-").FullName;
        try
        {
            await MeasureAsync(tree, work);
            return 0;
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    private static async Task MeasureAsync(string tree, string work)
    {
        var (files, bytes) = ReadAll(tree);
        Console.WriteLine($"{tree}: {files} files, {bytes >> 20} MiB; {Environment.ProcessorCount} cores; medians of {Rounds} interleaved rounds\n");
        var times = new Dictionary<string, List<double>>();
        FlistId id = default;
        for (var round = 0; round < Rounds; round++)
        {
            await TimeAsync(times, "flist build, packed", async () => id = await BuildAsync(tree, Path.Combine(work, $"store-{round}")));
            await TimeAsync(times, "tar | zstd -3", () => ShellAsync($"tar -cf - -C '{tree}' . | zstd -q -3 -T0 -o '{work}/tar-{round}.zst'"));
            await TimeAsync(times, "mkfs.erofs -zlz4", () => ShellAsync($"mkfs.erofs -zlz4 '{work}/erofs-{round}' '{tree}'"));
        }
        await using (var hub = await HubServer.StartAsync(new HubOptions { Store = Path.Combine(work, "hub"), Listen = "http://127.0.0.1:0" }))
        {
            using var store = DirectoryStore.Open(Path.Combine(work, "store-0"));
            using var client = new HubClient([hub.Address]);
            await Transfer.PushAsync(store, id, client.Hubs[0], null, default);
            var mountpoint = Directory.CreateDirectory(Path.Combine(work, "mount")).FullName;
            await TimeAsync(times, "mount", async () =>
            {
                var outcome = await FlistMount.StartAsync(
                    new MountSpec(id, mountpoint, Path.Combine(work, "cache"), [new Uri(hub.Address)], Path.Combine(work, "mount.log")), TimeSpan.FromMinutes(1), default);
                if (outcome is MountOutcome.Failed failed)
                    throw new IOException(failed.Reason);
            });
            try
            {
                await TimeAsync(times, "read everything, cold from a hub", () => Task.FromResult(ReadAll(mountpoint)));
                for (var round = 0; round < Rounds; round++)
                {
                    await TimeAsync(times, "read everything, mounted", () => Task.FromResult(ReadAll(mountpoint)));
                    await TimeAsync(times, "read everything, plain", () => Task.FromResult(ReadAll(tree)));
                    await TimeAsync(times, "find + stat, mounted", () => Task.FromResult(Walk(mountpoint)));
                    await TimeAsync(times, "find + stat, plain", () => Task.FromResult(Walk(tree)));
                }
            }
            finally
            {
                FlistMount.Stop(mountpoint, detach: true);
            }
        }

        double Median(string name) => times[name].Order().ElementAt(times[name].Count / 2);
        var table = new Table("what", "ms", "beside", "ms", "ratio of speeds");
        void Row(string name, string peer) => table.Add(
            name, Table.Milliseconds(Median(name)), peer, Table.Milliseconds(Median(peer)), (Median(peer) / Median(name)).ToString("0.00", CultureInfo.InvariantCulture));
        Row("flist build, packed", "tar | zstd -3");
        Row("flist build, packed", "mkfs.erofs -zlz4");
        Row("read everything, mounted", "read everything, plain");
        Row("read everything, cold from a hub", "read everything, plain");
        Row("find + stat, mounted", "find + stat, plain");
        table.Add("mount", Table.Milliseconds(Median("mount")), "-", "-", "-");
        table.Print(Console.Out);
    }

    private static async Task<FlistId> BuildAsync(string tree, string directory)
    {
        using var store = DirectoryStore.Open(directory);
        await using var writer = new PackWriter(store);
        var built = await FlistBuilder.BuildAsync(new DirectorySource(tree), BuildOptions.Default, writer, default);
        await writer.CompleteAsync(default);
        store.PutMeta(built.Meta);
        return store.Publish(built.Manifest.Id, built.Manifest.Encode(), default) is { } refusal ? throw new IOException(refusal.ToString()) : built.Manifest.Id;
    }

    private static (int Files, long Bytes) ReadAll(string directory)
    {
        var (files, bytes) = (0, 0L);
        var buffer = new byte[1 << 20];
        foreach (var path in Files(directory))
        {
            using var handle = File.OpenHandle(path);
            var position = 0L;
            for (int read; (read = RandomAccess.Read(handle, buffer, position)) > 0; position += read)
            {
            }
            bytes += position;
            files++;
        }
        return (files, bytes);
    }

    private static long Walk(string directory) => Files(directory).Sum(f => new FileInfo(f).Length);

    private static IEnumerable<string> Files(string directory) => Directory.EnumerateFiles(
        directory, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = false });

    private static async Task TimeAsync<T>(Dictionary<string, List<double>> times, string name, Func<Task<T>> run)
    {
        var watch = Stopwatch.StartNew();
        await run();
        (times.TryGetValue(name, out var all) ? all : times[name] = []).Add(watch.Elapsed.TotalMilliseconds);
    }

    private static Task TimeAsync(Dictionary<string, List<double>> times, string name, Func<Task> run) => TimeAsync<object?>(times, name, async () =>
    {
        await run();
        return null;
    });

    private static async Task ShellAsync(string line)
    {
        using var process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", line]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
            throw new IOException($"{line}: {await errors}{await output}");
    }
}
