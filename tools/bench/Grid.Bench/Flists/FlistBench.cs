namespace Grid.Bench.Flists;

/// <summary>
/// Building an flist beside archives of the same tree, and reading it mounted beside the plain directory and another FUSE file system; the aims are those
/// of the design. Interleaved rounds, medians.
/// </summary>
internal static class FlistBench
{
    private const int Count = 3;
    private const string DefaultTree = "/usr/lib/x86_64-linux-gnu";

    public static async Task<int> RunAsync(string[] arguments)
    {
        var tree = DefaultTree;
        var (build, read) = (true, true);
        for (var left = arguments.AsSpan(); !left.IsEmpty;)
        {
            switch (left)
            {
                case ["--tree", var given, ..]:
                    tree = Path.GetFullPath(given);
                    left = left[2..];
                    break;
                case ["--only", "build" or "read", ..]:
                    (build, read) = (left[1] == "build", left[1] == "read");
                    left = left[2..];
                    break;
                default:
                    await Console.Error.WriteLineAsync($"tools/bench/run flists [--tree DIR] [--only build|read]    (default {DefaultTree})");
                    return 2;
            }
        }
        if (Environment.UserName != "root")
        {
            await Console.Error.WriteLineAsync("tools/bench/run flists mounts: run as root.");
            return 1;
        }
        // The processes that are started run as the programs do, not as this one.
        Environment.SetEnvironmentVariable("DOTNET_gcServer", "0");
        var load = File.ReadAllText("/proc/loadavg").Split(' ')[0];
        var (files, bytes) = (Shell.RunAsync($"find '{tree}' -type f | wc -l"), Shell.RunAsync($"find '{tree}' -type f -exec cat {{}} + | wc -c"));
        Console.WriteLine($"{tree}: {(await files).Trim()} files, {long.Parse(await bytes) >> 20} MiB; {Environment.ProcessorCount} cores, load {load} before; medians of {Count} interleaved rounds\n");
        var work = Directory.CreateTempSubdirectory("grid-bench-").FullName;
        try
        {
            var rounds = new Rounds();
            if (build)
                await BuildRows.MeasureAsync(rounds, tree, work, Count);
            if (read)
                await ReadRows.MeasureAsync(rounds, tree, work, Count);
            rounds.Print(Console.Out);
            Console.WriteLine($"\nload {File.ReadAllText("/proc/loadavg").Split(' ')[0]} after");
            return 0;
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }
}
