using System.Globalization;
using Grid.Flists.Build;
using Grid.Flists.Packs;
using Grid.Flists.Store;
using Grid.Units;

namespace Grid.Bench.Flists;

/// <summary>
/// Building an flist into an empty store beside archives and images of the same tree. Every side is a process of its own, reads from the page cache and
/// writes to the same disk; only ours promises that what it wrote is durable, so tar is there with a sync as well.
/// </summary>
internal static class BuildRows
{
    public const string Verb = "flists-build";

    private const string Ours = "flist build, packed, durable";
    private const string Tar = "tar | zstd -3 -T0";
    private const string TarDurable = "tar | zstd -3 -T0, sync";
    private const string Erofs = "mkfs.erofs -zlz4";
    private const string Squash = "mksquashfs, zstd -3";

    public static async Task MeasureAsync(Rounds rounds, string tree, string work, int count)
    {
        var bytes = double.Parse(await Shell.RunAsync($"tar -cf - -C '{tree}' . | wc -c"), CultureInfo.InvariantCulture);
        var peak = 0L;
        for (var round = 0; round < count; round++)
        {
            await OneAsync(Ours, async to => peak = long.Max(peak, long.Parse(
                await Shell.RunAsync($"'{Environment.ProcessPath}' {Verb} '{tree}' '{to}'"), CultureInfo.InvariantCulture)));
            await OneAsync(Tar, to => Shell.RunAsync($"tar -cf - -C '{tree}' . | zstd -q -3 -T0 -o '{to}'"));
            await OneAsync(TarDurable, to => Shell.RunAsync($"tar -cf - -C '{tree}' . | zstd -q -3 -T0 -o '{to}' && sync '{to}'"));
            await OneAsync(Erofs, to => Shell.RunAsync($"mkfs.erofs -zlz4 '{to}' '{tree}'"));
            await OneAsync(Squash, to => Shell.RunAsync($"mksquashfs '{tree}' '{to}' -quiet -no-progress -comp zstd -Xcompression-level 3"));
        }
        foreach (var peer in (ReadOnlySpan<string>)[Tar, TarDurable, Erofs, Squash])
            rounds.Row(Ours, peer, bytes / 1e6, "MB/s", peer == Tar ? "1.00" : "");
        rounds.Alone("its peak of resident memory", $"{peak >> 20} MiB", "≤ 200 MiB");

        async Task OneAsync(string name, Func<string, Task> run)
        {
            // What the one before left to write is not this one's.
            await Shell.RunAsync("sync");
            var to = Path.Combine(work, "built");
            await rounds.TimeAsync(name, () => run(to));
            await Shell.RunAsync($"rm -r '{to}'");
        }
    }

    /// <summary>Builds as <c>grid flist build</c> does.</summary>
    public static async Task<FlistId> BuildAsync(string tree, string directory)
    {
        using var store = DirectoryStore.Open(directory);
        await using var writer = new PackWriter(store);
        var built = await FlistBuilder.BuildAsync(new DirectorySource(tree), BuildOptions.Default, writer, default);
        await writer.CompleteAsync(default);
        store.PutMeta(built.Meta);
        return store.Publish(built.Manifest.Id, built.Manifest.Encode(), default) is { } refusal ? throw new IOException(refusal.ToString()) : built.Manifest.Id;
    }

    /// <summary>The process that is measured: builds, and says how much memory it had at most, in bytes.</summary>
    public static async Task<int> RunAsync(string tree, string directory)
    {
        await BuildAsync(tree, directory);
        Console.WriteLine(Memory("self", "VmHWM"));
        return 0;
    }

    /// <summary>A line of <c>/proc/PID/status</c>, in bytes.</summary>
    public static long Memory(string process, string line) => 1024 * long.Parse(
        File.ReadLines($"/proc/{process}/status").First(l => l.StartsWith(line + ":", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
}
