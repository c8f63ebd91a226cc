using System.Diagnostics;
using System.Globalization;
using Grid.Node.Containers;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Bench.Start;

/// <summary>
/// From the ledger's answer to the last signature until the workload's own program is what its first process executes, and until the ledger says
/// that it runs; beside it, in turn, the OCI runtime alone on the bundle that the node wrote.
/// </summary>
internal static class StartBench
{
    private const int Warm = 3;

    public static async Task<int> RunAsync(string[] args)
    {
        if (args is not ["--programs", var programs, ..] || !TryRounds(args[2..], out var rounds))
        {
            await Console.Error.WriteLineAsync("tools/bench/run start [--rounds N]");
            return 2;
        }
        var directory = Directory.CreateTempSubdirectory("grid-bench-").FullName;
        try
        {
            // PostgreSQL runs as another user and must be able to walk to its directory.
            File.SetUnixFileMode(directory, (UnixFileMode)0b111_101_101);
            await MeasureAsync(Path.GetFullPath(programs), directory, rounds);
            return 0;
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static async Task MeasureAsync(string programs, string directory, int rounds)
    {
        var load = (await File.ReadAllTextAsync("/proc/loadavg")).Split(' ')[0];
        await using var grid = await PrivateGrid.StartAsync(programs, directory);
        // It keeps the flist mounted, as it is where several workloads come from one.
        var first = await StartAsync(grid, "first");
        var crun = new BareRuntime(grid.Paths, Path.Combine(directory, "bare"));
        var (mounted, bare, unmounted) = (new List<Start>(), new List<double>(), new List<Start>());
        for (var i = 0; i < Warm + rounds; i++)
        {
            var start = await StartAsync(grid, $"round-{i}");
            var alone = await crun.RunAsync(start.Container);
            await EndAsync(grid, start.Container.Agreement);
            if (i < Warm)
                continue;
            mounted.Add(start);
            bare.Add(alone);
        }
        await EndAsync(grid, first.Container.Agreement);
        for (var i = 0; i < rounds / 3; i++)
        {
            await UntilAsync("the flist to be unmounted", () => !Directory.Exists(grid.Paths.FlistMount(grid.Flist)));
            unmounted.Add(await StartAsync(grid, $"alone-{i}"));
            await EndAsync(grid, unmounted[^1].Container.Agreement);
        }

        Console.WriteLine($"{Environment.ProcessorCount} cores, load before {load}, {rounds} rounds in turn");
        var table = new Table("what", "p50 ms", "p99 ms", "of bare runtime");
        var limit = Percentile(bare, 0.5);
        Add(table, "bare: crun runs the node's bundle", bare, limit);
        Add(table, "agreed → process runs, flist mounted", mounted.Select(s => s.Executed), limit);
        Add(table, "  agreed → ledger has the node's ready", mounted.Select(s => s.Ready), limit);
        Add(table, "  ready → container made", mounted.Select(s => s.Made - s.Ready), limit);
        Add(table, "  made → process runs", mounted.Select(s => s.Executed - s.Made), limit);
        Add(table, "agreed → ledger says running, flist mounted", mounted.Select(s => s.Running), limit);
        Add(table, "agreed → process runs, flist cached, not mounted", unmounted.Select(s => s.Executed), limit);
        Add(table, "first of all, nothing cached", [first.Executed], limit);
        table.Print(Console.Out);
    }

    /// <summary>All in milliseconds since the ledger's answer.</summary>
    public sealed record Start(ContainerId Container, double Ready, double Made, double Executed, double Running);

    public static Task<Start> StartAsync(PrivateGrid grid, string name) => StartAsync(grid, grid.Container(name));

    public static async Task<Start> StartAsync(PrivateGrid grid, Container wanted)
    {
        var (proposal, countersigned, id) = grid.Draft(wanted);
        var container = new ContainerId(id, wanted.Name);
        await grid.PostAsync(proposal);
        var process = Task.Factory.StartNew(() => Executing.Watch(Path.Combine(grid.Paths.Run, "containers", $"{container}", "pid")), TaskCreationOptions.LongRunning);
        var ledger = StatesAsync(grid, container.Agreement);
        await grid.PostAsync(countersigned);
        var agreed = Stopwatch.GetTimestamp();
        var ((made, executed), (ready, running)) = (await process, await ledger);
        return new Start(container, Since(ready), Since(made), Since(executed), Since(running));

        double Since(long at) => Stopwatch.GetElapsedTime(agreed, at).TotalMilliseconds;
    }

    private static async Task<(long Ready, long Running)> StatesAsync(PrivateGrid grid, AgreementId id)
    {
        long after = -1, ready = 0;
        while (true)
        {
            if (!(await grid.Ledger.NodeAgreementsAsync(grid.Node, after, TimeSpan.FromSeconds(20), default)).Try(out var news, out var refusal))
                throw new InvalidOperationException(refusal.ToString());
            after = news.Index;
            switch (news.Items.FirstOrDefault(i => i.Agreement == id).Status)
            {
                case "ready":
                    ready = Stopwatch.GetTimestamp();
                    break;
                case "running":
                    return (ready == 0 ? Stopwatch.GetTimestamp() : ready, Stopwatch.GetTimestamp());
                case "refused" or "lapsed" or "ended":
                    throw new InvalidOperationException($"{id} came to nothing.");
            }
        }
    }

    public static async Task EndAsync(PrivateGrid grid, AgreementId id)
    {
        await grid.PostAsync(grid.Cancellation(id));
        await UntilAsync($"{id} to be gone", () => !Directory.EnumerateDirectories(Path.Combine(grid.Paths.Run, "containers"), $"{id}.*").Any()
            && !Directory.EnumerateDirectories(grid.Paths.Roots, $"{id}.*").Any());
    }

    public static async Task UntilAsync(string what, Func<bool> holds)
    {
        for (var watch = Stopwatch.StartNew(); !holds(); await Task.Delay(5))
        {
            if (watch.Elapsed > TimeSpan.FromSeconds(60))
                throw new TimeoutException($"Waited for {what}.");
        }
    }

    private static void Add(Table table, string what, IEnumerable<double> milliseconds, double limit)
    {
        var all = milliseconds.ToList();
        var median = Percentile(all, 0.5);
        table.Add(what, Table.Milliseconds(median), Table.Milliseconds(Percentile(all, 0.99)), (median / limit).ToString("0.0", CultureInfo.InvariantCulture));
    }

    public static double Percentile(IEnumerable<double> values, double share)
    {
        var sorted = values.Order().ToList();
        return sorted[(int)((sorted.Count - 1) * share)];
    }

    private static bool TryRounds(string[] args, out int rounds)
    {
        rounds = 40;
        return args is [] || (args is ["--rounds", var text] && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out rounds) && rounds > 2);
    }
}
