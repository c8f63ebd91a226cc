using System.Diagnostics;
using System.Runtime;
using Grid.Ledger.Postgres;
using Grid.Ledger.Sequencing;
using Grid.Ledger.Store;
using Grid.Statements;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Bench.Ledger;

/// <summary>The ledger without its API: what it is told is decided, durable and proven when the call returns.</summary>
internal sealed class InProcess(EmbeddedPostgres postgres, LedgerStore store, SigningKey key, Sequencer sequencer) : IAsyncDisposable
{
    private TimeSpan _paused, _compiled, _ran;

    public static async Task<InProcess> OpenAsync(string directory, Scene scene)
    {
        var postgres = await EmbeddedPostgres.StartAsync(directory, PostgresBinaries.Find(), NullLogger<EmbeddedPostgres>.Instance);
        var store = await LedgerStore.OpenAsync(postgres.ConnectionString, CancellationToken.None);
        var key = Scene.Ledger();
        var opened = new InProcess(postgres, store, key, await Sequencer.StartAsync(store, new SequencerOptions(Scene.Origin), key, TimeProvider.System, NullLogger<Sequencer>.Instance));
        foreach (var statement in scene.Founding)
            await opened.SubmitAsync(statement.Bytes);
        return opened;
    }

    public async Task SubmitAsync(ReadOnlyMemory<byte> statement)
    {
        if (await sequencer.SubmitAsync(statement, CancellationToken.None) is not Answer.Recorded { Known: false } and var answer)
            throw new InvalidOperationException($"The ledger answered {answer}.");
    }

    public async Task<Load> RunAsync(int from, int count, int callers, ReadOnlyMemory<byte>[] statements)
    {
        var (compiled, paused, began) = (JitInfo.GetCompilationTime(), GC.GetTotalPauseDuration(), Stopwatch.GetTimestamp());
        var load = await Load.RunAsync(from, count, callers, i => SubmitAsync(statements[i]));
        _ran += Stopwatch.GetElapsedTime(began);
        _paused += GC.GetTotalPauseDuration() - paused;
        _compiled += JitInfo.GetCompilationTime() - compiled;
        return load;
    }

    /// <summary>Reads back all that was recorded, and says what the measured time went on.</summary>
    /// <param name="expected">entries, of which one is the ledger's own</param>
    public async Task<string> ReplayAsync(long expected)
    {
        var started = Stopwatch.GetTimestamp();
        var replayed = await Replay.ForwardAsync(store, Snapshot.Empty, await store.HeadAsync(CancellationToken.None), Scene.Origin, key.Public, CancellationToken.None);
        if (replayed.Size != expected || sequencer.Current.Size != expected)
            throw new InvalidOperationException($"{replayed.Size} entries where {expected} were recorded.");
        return $"replay: {Table.Number(replayed.Size / Stopwatch.GetElapsedTime(started).TotalSeconds)} entries/s; commits of {Mean(sequencer.Measurements.BatchEntries):0} entries and "
            + $"{1000 * Mean(sequencer.Measurements.CommitSeconds):0.0} ms on average; {_compiled.TotalSeconds:0.0} s on compiling, paused by the collector for {_paused / _ran:P0} of the time";
    }

    public async ValueTask DisposeAsync()
    {
        await sequencer.DisposeAsync();
        key.Dispose();
        await store.DisposeAsync();
        await postgres.DisposeAsync();
    }

    private static double Mean(Histogram histogram)
    {
        var (_, count, sum) = histogram.Read();
        return sum / count;
    }
}
