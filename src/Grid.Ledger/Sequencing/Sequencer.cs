using System.Diagnostics;
using System.Threading.Channels;
using Grid.Ledger.Store;
using Grid.Log;
using Grid.Statements;
using Grid.Units;
using Microsoft.Extensions.Logging;

namespace Grid.Ledger.Sequencing;

/// <summary>
/// The one writer of a log. Statements are read and their signatures checked on the callers' threads; one loop, on a thread of its own, decides them in
/// order over immutable state; while one batch is committed the next is decided on what will be true then; callers are answered when it is durable.
/// </summary>
public sealed partial class Sequencer : IAsyncDisposable
{
    private readonly LedgerStore _store;
    private readonly SequencerOptions _options;
    private readonly SigningKey _key;
    private readonly TimeProvider _clock;
    private readonly ILogger _logger;
    private readonly Channel<Submission> _queue;
    private readonly CancellationTokenSource _stopping = new();
    private readonly ITimer _alarm;
    private Task<bool>? _readable;
    private LedgerWriter? _writer;
    private volatile Snapshot _current;
    private volatile bool _ready;
    private int _disposed;

    private Sequencer(LedgerStore store, SequencerOptions options, SigningKey key, TimeProvider clock, ILogger logger)
    {
        (_store, _options, _key, _clock, _logger, _current) = (store, options, key, clock, logger, Snapshot.Empty);
        Entries = new EntryReader(store);
        // What a writer to the queue runs of the reader's is only that its thread wakes.
        _queue = Channel.CreateBounded<Submission>(new BoundedChannelOptions(options.QueueLimit) { SingleReader = true, AllowSynchronousContinuations = true });
        _alarm = clock.CreateTimer(_ => _queue.Writer.TryWrite(Submission.Wake), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        Completion = Task.CompletedTask;
    }

    /// <summary>The newest durable state.</summary>
    public Snapshot Current => _current;

    public PublicKey Key => _key.Public;

    public string Origin => _options.Origin;

    public EntryReader Entries { get; }

    public Measurements Measurements { get; } = new();

    /// <summary>False while the store is away.</summary>
    public bool IsReady => _ready;

    /// <summary>Ends when the sequencer does; faulted when it cannot go on, as when another writer took over or the stored log is damaged.</summary>
    public Task Completion { get; private set; }

    /// <summary>Shuts out earlier writers, replays the log, writes its first entry if it has none, and starts.</summary>
    /// <exception cref="LogDamagedException">the stored log is not what was recorded, or is another ledger's</exception>
    /// <exception cref="WriterReplacedException">another process has it</exception>
    public static async Task<Sequencer> StartAsync(
        LedgerStore store, SequencerOptions options, SigningKey key, TimeProvider clock, ILogger<Sequencer> logger, CancellationToken stop = default)
    {
        var sequencer = new Sequencer(store, options, key, clock, logger);
        try
        {
            await sequencer.TakeOverAsync(stop);
            sequencer.Completion = Task.Factory.StartNew(sequencer.Run, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            if (sequencer.Current.Size == 0)
                await sequencer.OpenAsync(stop);
            return sequencer;
        }
        catch
        {
            await sequencer.DisposeAsync();
            throw;
        }
    }

    /// <summary>Takes a statement in. The costly part runs on the caller's thread, so callers run side by side.</summary>
    public async Task<Answer> SubmitAsync(ReadOnlyMemory<byte> bytes, CancellationToken stop)
    {
        var started = Stopwatch.GetTimestamp();
        using var span = LedgerTrace.Submit();
        var answer = await IntakeAsync(bytes, span, stop);
        span.Ended(answer);
        Measurements.Count(answer, Stopwatch.GetElapsedTime(started));
        return answer;
    }

    /// <summary>The recorded statement with a proof against the newest checkpoint; null when it is not in the log.</summary>
    public async Task<Recording?> FindAsync(StatementId id, CancellationToken stop)
    {
        var snapshot = _current;
        return snapshot.State.Known.TryGetValue(id, out var index) ? await ProveAsync(snapshot, id, index, null, stop) : null;
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        _ready = false;
        await _alarm.DisposeAsync();
        // What waits is still decided and answered; then the loop ends by itself.
        _queue.Writer.TryComplete();
        await _stopping.CancelAsync();
        await Completion.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_writer is not null)
            await _writer.DisposeAsync();
        _stopping.Dispose();
    }

    private async Task<Answer> IntakeAsync(ReadOnlyMemory<byte> bytes, Activity? span, CancellationToken stop)
    {
        Statement statement;
        try
        {
            statement = Statement.Decode(bytes);
        }
        catch (StatementFormatException e)
        {
            return new Answer.Refused(e.ToRefusal());
        }
        span.About(statement);
        if (statement.VerifySignatures() is { } forged)
            return new Answer.Refused(forged);
        // What is recorded was let in: evidence that is gone since takes nothing back.
        if (_options.Admission is { } admission && !_current.State.Known.ContainsKey(statement.Id) && await admission(statement, stop) is { } refusal)
            return new Answer.Refused(refusal);
        if (!_ready)
            return new Answer.Unknown("The ledger's store is away.");
        var submission = new Submission(statement) { Trace = span?.Context ?? default };
        if (!_queue.Writer.TryWrite(submission))
            return new Answer.Busy();
        try
        {
            return await submission.Outcome.WaitAsync(_options.Patience, _clock, stop) switch
            {
                Outcome.Recorded r => new Answer.Recorded(await ProveAsync(r.Snapshot, statement.Id, r.Index, r.Entry, stop), r.Known),
                Outcome.Refused r => new Answer.Refused(r.Refusal),
                Outcome.Unknown u => new Answer.Unknown(u.Detail),
                var other => throw new UnreachableException(other.ToString()),
            };
        }
        catch (TimeoutException)
        {
            return new Answer.Unknown("The ledger took too long to answer.");
        }
    }

    private async Task<Recording> ProveAsync(Snapshot snapshot, StatementId id, long index, Entry? fresh, CancellationToken stop)
    {
        var entry = fresh ?? Entry.Decode(await Entries.EntryAsync(index, stop));
        return new Recording(id, index, entry.Time, entry.Bytes, snapshot.Size, snapshot.Tree.InclusionPath(index, snapshot.Size),
            snapshot.Checkpoint, snapshot.Histories.Names[(int)index]);
    }

    private async Task OpenAsync(CancellationToken stop)
    {
        var now = Now(_current.State);
        var open = Statement.Sign(new Payload(_options.Origin, null, now, now.AddDays(1), new OpenLedger(_key.Public)), _key);
        var answer = await SubmitAsync(open.Bytes, stop);
        if (answer is not Answer.Recorded)
            throw new InvalidOperationException($"The ledger cannot be opened: {answer}.");
    }
}
