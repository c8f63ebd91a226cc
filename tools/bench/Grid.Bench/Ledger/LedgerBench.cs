using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using Grid.Api;
using Grid.Ledger.Postgres;
using Grid.Ledger.Sequencing;
using Grid.Ledger.Store;
using Grid.Statements;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Bench.Ledger;

/// <summary>
/// Statements accepted per second end to end, beside what the machine can do of each part alone: two signatures checked, decided, durable with
/// fsync, proof returned.
/// </summary>
internal static class LedgerBench
{
    public static async Task<int> RunAsync(string[] args)
    {
        if (!TryParse(args, out var statements, out var callers))
        {
            await Console.Error.WriteLineAsync("tools/bench/run ledger [--statements N] [--callers N]");
            return 2;
        }
        var directory = Directory.CreateTempSubdirectory("grid-bench-").FullName;
        try
        {
            File.SetUnixFileMode(directory, (UnixFileMode)0b111_101_101);
            await MeasureAsync(directory, statements, callers);
            return 0;
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static async Task MeasureAsync(string directory, int count, int callers)
    {
        using var scene = new Scene();
        var agreements = new Statement[count];
        Parallel.For(0, count, i => agreements[i] = scene.Agreement(i));
        var warm = Enumerable.Range(count, 3000).Select(scene.Agreement).ToArray();
        var size = agreements[0].Bytes.Length;
        var sync = SyncMilliseconds(directory);

        var table = new Table("what", "per second", "cpu µs each", "p50 ms", "p99 ms", "of lesser limit");
        var signatures = Signatures(agreements);
        Load single, batched;
        await using (var postgres = await EmbeddedPostgres.StartAsync(Path.Combine(directory, "plain"), PostgresBinaries.Find(), NullLogger<EmbeddedPostgres>.Instance))
        await using (var marten = await PlainMarten.OpenAsync(postgres.ConnectionString))
        {
            await Load.RunAsync(300, 8, _ => marten.AppendAsync(1, size));
            single = await Load.RunAsync(8000, 8, _ => marten.AppendAsync(1, size));
            batched = (await Load.RunAsync(60, 2, _ => marten.AppendAsync(SequencerOptions.MaximumBatch, size))).Times(SequencerOptions.MaximumBatch);
        }
        var limit = double.Min(signatures.PerSecond, batched.PerSecond);
        table.Add("two signatures checked, all cores", Table.Number(signatures.PerSecond), Table.Number(signatures.CpuMicroseconds), "", "", "");
        table.Add("plain Marten, one append a commit, 8 writers", Table.Number(single.PerSecond), Table.Number(single.CpuMicroseconds), "", "", "");
        table.Add($"plain Marten, {SequencerOptions.MaximumBatch} appends a commit, 2 writers", Table.Number(batched.PerSecond), Table.Number(batched.CpuMicroseconds), "", "", "");
        Add(table, $"ledger in process, {callers} callers", await InProcessAsync(Path.Combine(directory, "process"), scene, warm, agreements, callers), limit);
        Add(table, $"ledger over HTTP, {int.Min(callers, 256)} callers", await OverHttpAsync(Path.Combine(directory, "http"), scene, warm, agreements[..(count / 2)], int.Min(callers, 256)), limit);

        Console.WriteLine($"{Environment.ProcessorCount} cores, load before {File.ReadAllText("/proc/loadavg").Split(' ')[0]}, fdatasync of 8 KiB p50 {Table.Milliseconds(sync)} ms, statement of {size} bytes, {count} statements");
        table.Print(Console.Out);
    }

    private static void Add(Table table, string what, Load load, double limit) => table.Add(what, Table.Number(load.PerSecond), Table.Number(load.CpuMicroseconds),
        Table.Milliseconds(load.Median), Table.Milliseconds(load.P99), Percent(load.PerSecond / limit));

    private static Load Signatures(Statement[] statements)
    {
        var sample = statements.Take(20_000).ToArray();
        Parallel.ForEach(sample.Take(2000), s => Require(s.VerifySignatures() is null));
        var (cpu, started) = (Cpu.Seconds(), Stopwatch.GetTimestamp());
        Parallel.ForEach(sample, s => Require(s.VerifySignatures() is null));
        return new Load(sample.Length / Stopwatch.GetElapsedTime(started).TotalSeconds, 0, 0, 1e6 * (Cpu.Seconds() - cpu) / sample.Length);
    }

    private static async Task<Load> InProcessAsync(string directory, Scene scene, Statement[] warm, Statement[] agreements, int callers)
    {
        await using var postgres = await EmbeddedPostgres.StartAsync(directory, PostgresBinaries.Find(), NullLogger<EmbeddedPostgres>.Instance);
        await using var store = await LedgerStore.OpenAsync(postgres.ConnectionString, CancellationToken.None);
        using var key = Scene.Ledger();
        await using var sequencer = await Sequencer.StartAsync(store, new SequencerOptions(Scene.Origin), key, TimeProvider.System, NullLogger<Sequencer>.Instance);
        foreach (var statement in scene.Founding)
            Require(await sequencer.SubmitAsync(statement.Bytes, CancellationToken.None) is Answer.Recorded);
        Func<Statement[], Func<int, Task>> submit = statements => async i =>
            Require(await sequencer.SubmitAsync(statements[i].Bytes, CancellationToken.None) is Answer.Recorded { Known: false });
        await Load.RunAsync(warm.Length, callers, submit(warm));
        var load = await Load.RunAsync(agreements.Length, callers, submit(agreements));
        Require(sequencer.Current.Size == 1 + scene.Founding.Count + warm.Length + agreements.Length);
        var started = Stopwatch.GetTimestamp();
        var replayed = await Replay.ForwardAsync(store, Snapshot.Empty, await store.HeadAsync(CancellationToken.None), Scene.Origin, key.Public, CancellationToken.None);
        await Console.Error.WriteLineAsync($"replay: {Table.Number(replayed.Size / Stopwatch.GetElapsedTime(started).TotalSeconds)} entries/s; commits of {Mean(sequencer.Measurements.BatchEntries):0} entries and {1000 * Mean(sequencer.Measurements.CommitSeconds):0.0} ms on average");
        return load;
    }

    private static async Task<Load> OverHttpAsync(string directory, Scene scene, Statement[] warm, Statement[] agreements, int callers)
    {
        await using var server = await LedgerServer.StartAsync(new LedgerOptions { Origin = Scene.Origin, Data = directory, Listen = "http://127.0.0.1:0", Rate = 0 });
        using var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = callers }) { BaseAddress = new Uri(server.Address) };
        foreach (var statement in scene.Founding)
            await PostAsync(http, statement);
        await Load.RunAsync(warm.Length, callers, i => PostAsync(http, warm[i]));
        return await Load.RunAsync(agreements.Length, callers, i => PostAsync(http, agreements[i]));
    }

    private static async Task PostAsync(HttpClient http, Statement statement)
    {
        using var content = new ReadOnlyMemoryContent(statement.Bytes);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/cose");
        using var response = await http.PostAsync(new Uri("v1/statements", UriKind.Relative), content);
        await response.Content.ReadAsByteArrayAsync();
        Require(response.StatusCode == HttpStatusCode.OK);
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

    private static double Mean(Histogram histogram)
    {
        var (_, count, sum) = histogram.Read();
        return sum / count;
    }

    private static string Percent(double ratio) => ratio.ToString("P0", CultureInfo.InvariantCulture);

    private static void Require(bool holds)
    {
        if (!holds)
            throw new InvalidOperationException("An answer was not what it must be; nothing was measured.");
    }

    private static bool TryParse(string[] args, out int statements, out int callers)
    {
        (statements, callers) = (60_000, 2048);
        for (var i = 0; i < args.Length; i += 2)
        {
            if (i + 1 == args.Length || !int.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out var value) || value < 1)
                return false;
            switch (args[i])
            {
                case "--statements": statements = value; break;
                case "--callers": callers = value; break;
                default: return false;
            }
        }
        return true;
    }
}
