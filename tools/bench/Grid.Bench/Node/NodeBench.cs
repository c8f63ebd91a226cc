using System.Diagnostics;
using System.Globalization;
using Grid.Bench.Start;

namespace Grid.Bench.Node;

/// <summary>
/// The numbers that a node should reach, on the published programs, in one run: one grid of one node, with the OCI runtime alone and podman in turn with it.
/// </summary>
internal static class NodeBench
{
    private const int Warm = 3, Starts = 30, Kills = 100, Ends = 10, Deaf = 3, Many = 50, Hundred = 100, Hundreds = 2;

    // What Ankaios and k3s take, as published.
    private const string Elsewhere = "Ankaios, server and agent: 11.2 MB, 0.2 % (on a Pi 4 11.0 MiB); k3s, whole node: 490.5 MB, 44.9 %, its agent 275 MB, 3 %";

    // As many as the node starts at a time.
    private const int Together = 4;

    public static async Task<int> RunAsync(string[] args)
    {
        if (args is not ["--programs", var programs, .. [] or ["--only", "idle"]])
        {
            await Console.Error.WriteLineAsync("tools/bench/run node [--only idle]");
            return 2;
        }
        var directory = Directory.CreateTempSubdirectory("grid-bench-").FullName;
        try
        {
            // PostgreSQL runs as another user and must be able to walk to its directory.
            File.SetUnixFileMode(directory, (UnixFileMode)0b111_101_101);
            var load = Load();
            var table = new NumberTable();
            // A hundred small containers want more than two cores by their limits, not by what they do.
            await using (var grid = await PrivateGrid.StartAsync(Path.GetFullPath(programs), directory, "--cpu", "32000", "--memory", $"{16L << 30}", "--ssd", $"{1L << 30}"))
            await using (var podman = await Podman.OpenAsync(Path.Combine(directory, "podman"), grid.Tree, $"{grid.Paths.Cgroup}-podman"))
            {
                if (args.Length > 2)
                    await IdleAsync(grid, table);
                else
                    await MeasureAsync(grid, podman, directory, table);
                // Before what was started is taken down, which may fail.
                Console.WriteLine($"{Environment.ProcessorCount} cores, load before {load}, after {Load()}");
                table.Print(Console.Out);
            }
            return 0;
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static string Load() => File.ReadAllText("/proc/loadavg").Split(' ')[0];

    private static async Task IdleAsync(PrivateGrid grid, NumberTable table)
    {
        Idle(table, "0", await Use.OfIdleAsync(grid), 30, Elsewhere);
        var many = await Crowd.StartAsync(grid, Many);
        many.UntilAllRun();
        Idle(table, $"{Many}", await Use.OfIdleAsync(grid), 60, "");
        await Endings.CancelAsync(grid, many.Id);
    }

    private static async Task MeasureAsync(PrivateGrid grid, Podman podman, string directory, NumberTable table)
    {
        var empty = await Use.OfIdleAsync(grid);
        await StartsAsync(grid, podman, directory, table);
        await ColdAsync(grid, table);
        Idle(table, "0", empty, 30, Elsewhere);
        await ManyAsync(grid, table);
        await HundredAsync(grid, podman, new BareRuntime(grid.Paths, Path.Combine(directory, "hundred")), table);
        var (plan, wishes) = Plans.Measure(grid.Container("pattern"));
        table.Times("plan of 10,000 workloads with no difference", plan, 50);
        table.Times("  the wishes made anew, as before every plan", wishes);
        await CancelsAsync(grid, podman, table);
    }

    private static async Task StartsAsync(PrivateGrid grid, Podman podman, string directory, NumberTable table)
    {
        // It keeps the flist mounted.
        var first = await StartBench.StartAsync(grid, "first");
        var (ours, bare, older, peer) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
        var (crun, runc) = (new BareRuntime(grid.Paths, Path.Combine(directory, "crun")), new BareRuntime(grid.Paths, Path.Combine(directory, "runc"), BareRuntime.Runc));
        for (var i = 0; i < Warm + Starts; i++)
        {
            var start = await StartBench.StartAsync(grid, $"round-{i}");
            var (alone, likewise) = (await crun.RunAsync(start.Container), await runc.RunAsync(start.Container));
            await StartBench.EndAsync(grid, start.Container.Agreement);
            var other = await podman.RunAsync($"round-{i}");
            await podman.RemoveAllAsync();
            if (i < Warm)
                continue;
            ours.Add(start.Executed);
            bare.Add(alone);
            older.Add(likewise);
            peer.Add(other);
        }
        await StartBench.EndAsync(grid, first.Container.Agreement);
        table.Times("agreed → process runs, flist cached and mounted", ours, 150, 500, "nginx applied → running: Ankaios 515 ms, k3s 2306 ms; → its page: 624 and 2481 ms");
        table.Times("  bare: crun runs the node's bundle", bare);
        table.Times("  bare: runc runs the node's bundle", older);
        table.Times("  podman runs the same tree with crun", peer);
    }

    private static async Task ColdAsync(PrivateGrid grid, NumberTable table)
    {
        var (times, share) = await ColdStarts.MeasureAsync(grid);
        table.Times("the same with a cold 50 MB flist on a local hub", times, 1500);
        table.Amount("  of its bytes fetched by then", Percent(share), "< 25 %", share < 0.25);
    }

    private static async Task ManyAsync(PrivateGrid grid, NumberTable table)
    {
        var many = await Crowd.StartAsync(grid, Many);
        many.UntilAllRun();
        var use = await Use.OfIdleAsync(grid);
        Idle(table, $"{Many}", use, 60, "");
        table.Amount($"  beside it: {Many} shims (conmon)", Mebibytes(use.Shims));
        table.Amount("  beside it: the flist's supervisor and daemon", Mebibytes(use.Mounts));

        var (adopted, same) = (new List<double>(), 0);
        for (var i = 0; i < Kills; i++)
        {
            var (took, kept) = await many.AdoptAsync();
            adopted.Add(took);
            same += kept;
        }
        table.Times($"agent start → adopted {Many} workloads, after kill -9", adopted, 1000, elsewhere: "start → API up: Ankaios 68 ms, k3s 480 ms");
        table.Amount("  first processes that are the same", $"{same}", "all", same == Kills * Many, of: $"{Kills * Many}");

        var back = new List<double>();
        // Another each time: one that ends often is made to wait.
        foreach (var container in many.Containers.Take(Ends))
            back.Add(await Executing.KillAsync(many.PidFile(container)));
        table.Times("a killed workload is back", back, 2000);
        await Endings.CancelAsync(grid, many.Id);
    }

    private static async Task HundredAsync(PrivateGrid grid, Podman podman, BareRuntime crun, NumberTable table)
    {
        var (ours, ended, bare, peer) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
        for (var i = 0; i < Hundreds; i++)
        {
            var crowd = await Crowd.StartAsync(grid, Hundred);
            ours.Add(crowd.Milliseconds);
            crowd.UntilAllRun();
            bare.Add(await crun.RunAsync(crowd.Containers, Together));
            ended.Add(await Endings.CancelAsync(grid, crowd.Id));
            peer.Add(await podman.RunAsync([.. Enumerable.Range(0, Hundred).Select(n => $"many-{i}-{n}")], Together));
            await podman.RemoveAllAsync();
        }
        table.Times($"agreed → all of {Hundred} containers run", ours, 10_000);
        table.Times($"  bare: crun runs their bundles, {Together} at a time", bare);
        table.Times($"  podman runs {Hundred}, {Together} at a time", peer);
        table.Times($"  cancel recorded → all {Hundred} gone", ended);
    }

    private static async Task CancelsAsync(PrivateGrid grid, Podman podman, NumberTable table)
    {
        foreach (var (what, script, rounds) in new[] { ("heeds TERM", PrivateGrid.Idle, Ends), ("does not", Endings.Deaf, Deaf) })
        {
            var times = new List<double>();
            for (var i = 0; i < rounds; i++)
            {
                var start = await StartBench.StartAsync(grid, grid.Container($"ends-{i}", script));
                times.Add(await Endings.CancelAsync(grid, start.Container.Agreement));
            }
            table.Times($"cancel recorded → gone, {what}", times, 5000);
        }
        var peer = new List<double>();
        for (var i = 0; i < Ends; i++)
        {
            await podman.RunAsync($"ends-{i}");
            var began = Stopwatch.GetTimestamp();
            await podman.EndAsync($"ends-{i}");
            peer.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }
        table.Times("  podman stops and removes one that heeds TERM", peer);
    }

    private static void Idle(NumberTable table, string workloads, Use use, double mebibytes, string elsewhere)
    {
        table.Amount($"agent idle, {workloads} workloads: PSS", Mebibytes(use.Agent), $"≤ {mebibytes:0} MiB", use.Agent <= mebibytes, elsewhere);
        table.Amount($"agent idle, {workloads} workloads: of a core", Percent(use.Core), "≤ 0.5 %", use.Core <= 0.005);
    }

    private static string Mebibytes(double value) => value.ToString("0.0 MiB", CultureInfo.InvariantCulture);

    private static string Percent(double share) => (100 * share).ToString("0.00", CultureInfo.InvariantCulture) + " %";
}
