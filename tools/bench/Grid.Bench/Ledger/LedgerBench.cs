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
        if (!TryParse(args, out var statements, out var callers, out var process))
        {
            await Console.Error.WriteLineAsync("tools/bench/run ledger [--statements N] [--callers N] [--only process]");
            return 2;
        }
        var directory = Directory.CreateTempSubdirectory("grid-bench-").FullName;
        try
        {
            File.SetUnixFileMode(directory, (UnixFileMode)0b111_101_101);
            await MeasureAsync(directory, statements, callers, process);
            return 0;
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static async Task MeasureAsync(string directory, int count, int callers, bool processOnly)
    {
        using var scene = new Scene();
        // As bytes: what was read from them would be a second heap for the collector beside the ledger's own.
        var agreements = new ReadOnlyMemory<byte>[count];
        Parallel.For(0, count, i => agreements[i] = scene.Agreement(i).Bytes);
        // After 15,000 the runtime still spends a second or more on compiling what was measured while it ran.
        var warm = new ReadOnlyMemory<byte>[45_000];
        Parallel.For(0, warm.Length, i => warm[i] = scene.Agreement(count + i).Bytes);
        var size = agreements[0].Length;
        var sync = SyncMilliseconds(directory);

        var table = new Table("what", "per second", "cpu µs each", "PostgreSQL's", "garbage B", "p50 ms", "p99 ms", "of lesser limit");
        var limit = double.NaN;
        if (!processOnly)
            limit = await LimitsAsync(directory, agreements, size, table);
        Add(table, $"ledger in process, {callers} callers", await InProcessAsync(Path.Combine(directory, "process"), scene, warm, agreements, callers), limit);
        if (!processOnly)
            Add(table, $"ledger over HTTP, {int.Min(callers, 256)} callers", await OverHttpAsync(Path.Combine(directory, "http"), scene, warm, agreements[..(count / 2)], int.Min(callers, 256)), limit);

        Console.WriteLine($"{Environment.ProcessorCount} cores, load before {File.ReadAllText("/proc/loadavg").Split(' ')[0]}, fdatasync of 8 KiB p50 {Table.Milliseconds(sync)} ms, statement of {size} bytes, {count} statements");
        table.Print(Console.Out);
    }

    private static async Task<double> LimitsAsync(string directory, ReadOnlyMemory<byte>[] agreements, int size, Table table)
    {
        var signatures = Signatures(agreements);
        await using var postgres = await EmbeddedPostgres.StartAsync(Path.Combine(directory, "plain"), PostgresBinaries.Find(), NullLogger<EmbeddedPostgres>.Instance);
        await using var marten = await PlainMarten.OpenAsync(postgres.ConnectionString);
        await Load.RunAsync(300, 8, _ => marten.AppendAsync(1, size));
        var single = await Load.RunAsync(8000, 8, _ => marten.AppendAsync(1, size));
        var batched = (await Load.RunAsync(60, 2, _ => marten.AppendAsync(SequencerOptions.MaximumBatch, size))).Times(SequencerOptions.MaximumBatch);
        Add(table, "two signatures checked, all cores", signatures, double.NaN);
        Add(table, "plain Marten, one append a commit, 8 writers", single, double.NaN);
        Add(table, $"plain Marten, {SequencerOptions.MaximumBatch} appends a commit, 2 writers", batched, double.NaN);
        return double.Min(signatures.PerSecond, batched.PerSecond);
    }

    private static void Add(Table table, string what, Load load, double limit) => table.Add(what, Table.Number(load.PerSecond), Table.Number(load.CpuMicroseconds),
        Table.Number(load.OthersMicroseconds), Table.Number(load.Garbage), Unless(load.Median == 0, Table.Milliseconds(load.Median)),
        Unless(load.P99 == 0, Table.Milliseconds(load.P99)), Unless(double.IsNaN(limit), (load.PerSecond / limit).ToString("P0", CultureInfo.InvariantCulture)));

    private static string Unless(bool absent, string text) => absent ? "" : text;

    private static Load Signatures(ReadOnlyMemory<byte>[] statements)
    {
        var sample = statements.Take(20_000).Select(Statement.Decode).ToArray();
        Parallel.ForEach(sample.Take(2000), s => Require(s.VerifySignatures() is null));
        var spent = Spent.Now();
        Parallel.ForEach(sample, s => Require(s.VerifySignatures() is null));
        return spent.Until(Spent.Now(), sample.Length);
    }

    private static async Task<Load> InProcessAsync(string directory, Scene scene, ReadOnlyMemory<byte>[] warm, ReadOnlyMemory<byte>[] agreements, int callers)
    {
        await using var postgres = await EmbeddedPostgres.StartAsync(directory, PostgresBinaries.Find(), NullLogger<EmbeddedPostgres>.Instance);
        await using var store = await LedgerStore.OpenAsync(postgres.ConnectionString, CancellationToken.None);
        using var key = Scene.Ledger();
        await using var sequencer = await Sequencer.StartAsync(store, new SequencerOptions(Scene.Origin), key, TimeProvider.System, NullLogger<Sequencer>.Instance);
        foreach (var statement in scene.Founding)
            Require(await sequencer.SubmitAsync(statement.Bytes, CancellationToken.None) is Answer.Recorded);
        Func<ReadOnlyMemory<byte>[], Func<int, Task>> submit = statements => async i =>
            Require(await sequencer.SubmitAsync(statements[i], CancellationToken.None) is Answer.Recorded { Known: false });
        await Load.RunAsync(warm.Length, callers, submit(warm));
        var (compiled, paused, began) = (System.Runtime.JitInfo.GetCompilationTime(), GC.GetTotalPauseDuration(), Stopwatch.GetTimestamp());
        var load = await Load.RunAsync(agreements.Length, callers, submit(agreements));
        var collecting = (GC.GetTotalPauseDuration() - paused) / Stopwatch.GetElapsedTime(began);
        compiled = System.Runtime.JitInfo.GetCompilationTime() - compiled;
        Require(sequencer.Current.Size == 1 + scene.Founding.Count + warm.Length + agreements.Length);
        var started = Stopwatch.GetTimestamp();
        var replayed = await Replay.ForwardAsync(store, Snapshot.Empty, await store.HeadAsync(CancellationToken.None), Scene.Origin, key.Public, CancellationToken.None);
        await Console.Error.WriteLineAsync($"replay: {Table.Number(replayed.Size / Stopwatch.GetElapsedTime(started).TotalSeconds)} entries/s; commits of {Mean(sequencer.Measurements.BatchEntries):0} entries and {1000 * Mean(sequencer.Measurements.CommitSeconds):0.0} ms on average; {compiled.TotalSeconds:0.0} s on compiling, paused by the collector for {collecting:P0} of the time");
        return load;
    }

    private static async Task<Load> OverHttpAsync(string directory, Scene scene, ReadOnlyMemory<byte>[] warm, ReadOnlyMemory<byte>[] agreements, int callers)
    {
        await using var server = await LedgerServer.StartAsync(new LedgerOptions { Origin = Scene.Origin, Data = directory, Listen = "http://127.0.0.1:0", Rate = 0 });
        using var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = callers }) { BaseAddress = new Uri(server.Address) };
        foreach (var statement in scene.Founding)
            await PostAsync(http, statement.Bytes);
        await Load.RunAsync(warm.Length, callers, i => PostAsync(http, warm[i]));
        return await Load.RunAsync(agreements.Length, callers, i => PostAsync(http, agreements[i]));
    }

    private static async Task PostAsync(HttpClient http, ReadOnlyMemory<byte> statement)
    {
        using var content = new ReadOnlyMemoryContent(statement);
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

    private static void Require(bool holds)
    {
        if (!holds)
            throw new InvalidOperationException("An answer was not what it must be; nothing was measured.");
    }

    private static bool TryParse(string[] args, out int statements, out int callers, out bool process)
    {
        // As many in flight as the peer has: two writers of a full batch each.
        (statements, callers, process) = (60_000, 2 * SequencerOptions.MaximumBatch, false);
        for (var i = 0; i < args.Length; i += 2)
        {
            if (args[i..] is ["--only", "process", ..])
                process = true;
            else if (i + 1 == args.Length || !int.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out var value) || value < 1)
                return false;
            else if (args[i] == "--statements")
                statements = value;
            else if (args[i] == "--callers")
                callers = value;
            else
                return false;
        }
        return true;
    }
}
