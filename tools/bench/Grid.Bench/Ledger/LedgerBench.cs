using System.Diagnostics;
using System.Globalization;
using Grid.Ledger.Postgres;
using Grid.Ledger.Sequencing;
using Grid.Statements;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Bench.Ledger;

/// <summary>
/// Statements accepted per second end to end, beside what the machine can do of each part alone: two signatures checked, decided, durable with
/// fsync, proof returned. All take turns, so that an hour in which the machine is slow is slow for all.
/// </summary>
internal static class LedgerBench
{
    // Half a second each at the least, so that beginning and end, when not all have work, are a small part of it.
    private const int Rounds = 10, SinglesARound = 4000, BatchesARound = 40, HttpCallers = 256;

    public static async Task<int> RunAsync(string[] args)
    {
        if (!TryParse(args, out var statements, out var callers, out var process))
        {
            await Console.Error.WriteLineAsync($"tools/bench/run ledger [--statements N, at least {Rounds}] [--callers N] [--only process]");
            return 2;
        }
        var directory = Directory.CreateTempSubdirectory("grid-bench-").FullName;
        try
        {
            File.SetUnixFileMode(directory, (UnixFileMode)0b111_101_101);
            await MeasureAsync(directory, statements / Rounds, callers, process);
            return 0;
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static async Task MeasureAsync(string directory, int each, int callers, bool processOnly)
    {
        using var scene = new Scene();
        // As bytes: what was read from them would be a second heap for the collector beside the ledger's own.
        var agreements = new ReadOnlyMemory<byte>[each * Rounds];
        Parallel.For(0, agreements.Length, i => agreements[i] = scene.Agreement(i).Bytes);
        // After 15,000 the runtime still spends a second or more on compiling what was measured while it ran.
        var warm = new ReadOnlyMemory<byte>[45_000];
        Parallel.For(0, warm.Length, i => warm[i] = scene.Agreement(agreements.Length + i).Bytes);
        var size = agreements[0].Length;
        var sync = SyncMilliseconds(directory);
        var load = File.ReadAllText("/proc/loadavg").Split(' ')[0];

        await using var inProcess = await InProcess.OpenAsync(Path.Combine(directory, "process"), scene);
        await Load.RunAsync(0, warm.Length, callers, i => inProcess.SubmitAsync(warm[i]));
        List<Contender> contenders = [];
        if (processOnly)
            contenders.Add(new("ledger in process", false, r => inProcess.RunAsync(r * each, each, callers, agreements)));
        await using var postgres = processOnly ? null : await EmbeddedPostgres.StartAsync(Path.Combine(directory, "plain"), PostgresBinaries.Find(), NullLogger<EmbeddedPostgres>.Instance);
        await using var marten = postgres is null ? null : await PlainMarten.OpenAsync(postgres.ConnectionString);
        await using var http = processOnly ? null : await OverHttp.OpenAsync(Path.Combine(directory, "http"), HttpCallers, scene);
        if (marten is not null && http is not null)
        {
            await Load.RunAsync(0, 300, 8, _ => marten.AppendAsync(1, size));
            await Load.RunAsync(0, 20, 2, _ => marten.AppendAsync(SequencerOptions.MaximumBatch, size));
            await Load.RunAsync(0, warm.Length, HttpCallers, i => http.PostAsync(warm[i]));
            contenders.AddRange([
                new("two signatures checked, all cores", true, r => Task.FromResult(Signatures(agreements.AsSpan(r * each, each)))),
                new($"plain Marten, {SequencerOptions.MaximumBatch} appends a commit, 2 writers", true, async r =>
                {
                    var batches = await Load.RunAsync(0, BatchesARound, 2, _ => marten.AppendAsync(SequencerOptions.MaximumBatch, size));
                    return batches with { Count = batches.Count * SequencerOptions.MaximumBatch };
                }),
                new($"ledger in process, {callers} callers", false, r => inProcess.RunAsync(r * each, each, callers, agreements)),
                new($"ledger over HTTP, {HttpCallers} callers", false, r => Load.RunAsync(r * each, each / 2, HttpCallers, i => http.PostAsync(agreements[i]))) { IsElsewhere = true },
                new("plain Marten, one append a commit, 8 writers", false, r => Load.RunAsync(0, SinglesARound, 8, _ => marten.AppendAsync(1, size)))]);
        }

        for (var round = 0; round < Rounds; round++)
        {
            // There and back: whoever follows whom is not always the same.
            foreach (var contender in round % 2 == 0 ? contenders : contenders.AsEnumerable().Reverse())
                contender.Measured.Add(await contender.RunAsync(round));
        }
        await Console.Error.WriteLineAsync(await inProcess.ReplayAsync(1 + scene.Founding.Count + warm.Length + agreements.Length));
        Console.WriteLine($"{Environment.ProcessorCount} cores, load before {load}, fdatasync of 8 KiB p50 {Table.Milliseconds(sync)} ms, statement of {size} bytes, {Rounds} rounds of {each} statements");
        Print(contenders);
    }

    private static void Print(List<Contender> contenders)
    {
        var limits = contenders.Where(c => c.IsLimit).ToList();
        var table = new Table("what", "per second", "cpu µs each", "PostgreSQL's", "garbage B", "p50 ms", "p99 ms", "of lesser limit");
        foreach (var contender in contenders)
        {
            var all = Load.Sum(contender.Measured);
            var ratios = contender.IsLimit || limits.Count == 0 ? [] : contender.Measured.Select((l, r) => l.PerSecond / limits.Min(x => x.Measured[r].PerSecond)).Order().ToArray();
            table.Add(contender.What, Table.Number(all.PerSecond), Table.Number(1e6 * all.Cpu.All / all.Count), Table.Number(1e6 * all.Cpu.Postgres / all.Count), Unless(contender.IsElsewhere, Table.Number(all.Garbage / all.Count)),
                Unless(contender.IsLimit, Table.Milliseconds(all.Median)), Unless(contender.IsLimit, Table.Milliseconds(all.P99)), ratios is [] ? "" : $"{Percent(ratios[Rounds / 2])} ({Percent(ratios[0])}–{Percent(ratios[^1])})");
        }
        table.Print(Console.Out);
    }

    private static string Percent(double ratio) => ratio.ToString("P0", CultureInfo.InvariantCulture);

    private static string Unless(bool absent, string text) => absent ? "" : text;

    private static Load Signatures(ReadOnlySpan<ReadOnlyMemory<byte>> statements)
    {
        var sample = statements.ToArray().Select(Statement.Decode).ToArray();
        var spent = Spent.Now();
        Parallel.ForEach(sample, s =>
        {
            if (s.VerifySignatures() is { } refusal)
                throw new InvalidOperationException($"{refusal}");
        });
        return spent.Until(Spent.Now(), sample.Length);
    }

    private static double SyncMilliseconds(string directory)
    {
        using var file = File.OpenHandle(Path.Combine(directory, "sync"), FileMode.Create, FileAccess.ReadWrite, FileShare.None);
        var page = new byte[8192];
        var took = new double[500];
        for (var i = 0; i < took.Length; i++)
        {
            var started = Stopwatch.GetTimestamp();
            RandomAccess.Write(file, page, 0);
            RandomAccess.FlushToDisk(file);
            took[i] = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        }
        Array.Sort(took);
        return took[took.Length / 2];
    }

    private static bool TryParse(string[] args, out int statements, out int callers, out bool process)
    {
        // As many in flight as the peer has: two writers of a full batch each.
        (statements, callers, process) = (200_000, 2 * SequencerOptions.MaximumBatch, false);
        for (var i = 0; i < args.Length; i += 2)
        {
            if (args[i..] is ["--only", "process", ..])
                process = true;
            else if (i + 1 == args.Length || !int.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out var value) || value < 1)
                return false;
            else if (args[i] == "--statements" && value >= Rounds)
                statements = value;
            else if (args[i] == "--callers")
                callers = value;
            else
                return false;
        }
        return true;
    }

    /// <param name="IsLimit">no ledger that does both can be faster</param>
    /// <param name="RunAsync">one round of it</param>
    private sealed record Contender(string What, bool IsLimit, Func<int, Task<Load>> RunAsync)
    {
        /// <summary>What it allocates, another process does.</summary>
        public bool IsElsewhere { get; init; }

        public List<Load> Measured { get; } = [];
    }
}
