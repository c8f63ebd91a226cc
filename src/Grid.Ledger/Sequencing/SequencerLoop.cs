using System.Diagnostics;
using Grid.Ledger.Store;
using Grid.Log;
using Grid.Statements;
using Grid.Units;
using Grid.World;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Grid.Ledger.Sequencing;

/// <summary>The loop: decide, commit, answer, and find back after a failure. Only it touches the writer and moves the snapshot.</summary>
public sealed partial class Sequencer
{
    private void Run()
    {
        try
        {
            Sequence();
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            // Ended while the store was away: nobody is left to answer.
        }
        catch (Exception e)
        {
            _ready = false;
            LogStopped(e.Message);
            _queue.Writer.TryComplete();
            throw;
        }
        finally
        {
            while (_queue.Reader.TryRead(out var left))
                left.Answer(new Outcome.Unknown("The ledger is ending."));
        }
    }

    private void Sequence()
    {
        var commit = Task.FromResult(true);
        var tentative = _current.ToTentative();
        while (true)
        {
            var pending = new Pending(tentative);
            try
            {
                var more = Fill(pending, commit);
                if (!Wait(commit))
                {
                    // What rested on the failed batch is decided again on what is durable.
                    RecoverAsync().GetAwaiter().GetResult();
                    pending = Again(pending);
                }
                commit = Task.FromResult(true);
                tentative = pending.Tentative;
                if (!pending.HasEntries)
                    pending.Answer(_current);
                else
                    commit = CommitAsync(pending);
                if (!more)
                {
                    Wait(commit);
                    return;
                }
            }
            catch
            {
                pending.AnswerUnknown("The ledger is ending.");
                throw;
            }
        }
    }

    /// <summary>Decides what waits. A batch fills for as long as the one before it is on its way to the disk.</summary>
    /// <returns>false when nothing will come any more</returns>
    private bool Fill(Pending pending, Task<bool> commit)
    {
        while (true)
        {
            DecideDeadlines(pending);
            while (pending.Count < SequencerOptions.MaximumBatch && _queue.Reader.TryRead(out var submission))
            {
                // The alarm may ring between the look above and here.
                if (submission == Submission.Wake)
                    DecideDeadlines(pending);
                else
                    Decide(pending, submission, submission.Statement!);
            }
            if (pending.Count >= SequencerOptions.MaximumBatch || (commit.IsCompleted && (pending.Count > 0 || !Wait(commit))))
                return true;
            _readable ??= _queue.Reader.WaitToReadAsync().AsTask();
            Task.WaitAny(commit.IsCompleted ? [_readable] : [_readable, commit]);
            if (_readable.IsCompleted)
            {
                if (!Wait(_readable))
                    return false;
                _readable = null;
            }
        }
    }

    private static T Wait<T>(Task<T> task) => task.GetAwaiter().GetResult();

    private Pending Again(Pending pending)
    {
        var again = new Pending(_current.ToTentative());
        foreach (var submission in pending.Submissions)
            Decide(again, submission, submission.Statement!);
        return again;
    }

    /// <returns>true when it becomes an entry</returns>
    private bool Decide(Pending pending, Submission submission, Statement statement)
    {
        using var span = LedgerTrace.Decide(submission);
        var now = Now(pending.Tentative.State);
        switch (pending.Tentative.State.Decide(statement, now))
        {
            case Decision.Accepted accepted:
                span?.SetTag(TraceTag.Outcome, "accepted");
                var entry = Entry.Record(pending.Tentative.Tree.Size, now, statement.Bytes);
                pending.Record(submission, new Happened(entry, accepted.Events), pending.Tentative.With(entry, statement.Id, accepted.Events));
                return true;
            case Decision.Known known:
                span?.SetTag(TraceTag.Outcome, "known");
                pending.Defer(submission, snapshot => new Outcome.Recorded(known.Index, null, Known: true, snapshot));
                return false;
            case Decision.Refused refused:
                span?.SetTag(TraceTag.Outcome, refused.Refusal.Code);
                pending.Defer(submission, _ => new Outcome.Refused(refused.Refusal));
                return false;
            case var other:
                throw new UnreachableException(other.ToString());
        }
    }

    // The ledger itself says that a time has come; it is an entry like any other, signed by the ledger's key.
    private void DecideDeadlines(Pending pending)
    {
        var now = Now(pending.Tentative.State);
        foreach (var due in pending.Tentative.State.Due(now).Take(SequencerOptions.MaximumBatch - pending.Count).ToArray())
        {
            var fact = Statement.Sign(new Payload(_options.Origin, null, now, now.AddDays(1), due), _key);
            if (!Decide(pending, new Submission(fact), fact))
                throw new UnreachableException($"{due.Agreement} waits for {due.Due.Text()} and does not take it.");
        }
    }

    private async Task<bool> CommitAsync(Pending pending)
    {
        var started = Stopwatch.GetTimestamp();
        var tree = pending.Tentative.Tree;
        var entries = pending.Entries;
        Histories histories;
        var checkpoint = new Checkpoint(_options.Origin, tree.Size, tree.Root).Sign(_key).ToString();
        var spans = LedgerTrace.Commit(pending);
        try
        {
            var commit = _writer!.CommitAsync(new Batch(entries, tree, checkpoint));
            // Whatever nobody has to wait for is done while the disk is.
            histories = _current.Histories.With(entries, pending.Tentative.State);
            Entries.Keep(await commit);
        }
        catch (Exception e) when (IsStoreFailure(e))
        {
            // Not retried here: it may have been recorded. Recovery reads what was.
            _ready = false;
            spans.Ended(committed: false);
            Measurements.CountFailedCommit();
            LogCommitFailed(entries[0].Entry.Index, entries.Length, e.Message);
            pending.AnswerUnknown("The store failed while it was recorded.");
            _queue.Writer.TryWrite(Submission.Wake);
            return false;
        }
        catch
        {
            pending.AnswerUnknown("The ledger is ending.");
            throw;
        }
        spans.Ended(committed: true);
        Measurements.CommitSeconds.Record(Stopwatch.GetElapsedTime(started).TotalSeconds);
        Measurements.BatchEntries.Record(entries.Length);
        Publish(new Snapshot(pending.Tentative, histories, checkpoint));
        pending.Answer(_current);
        return true;
    }

    private async Task RecoverAsync()
    {
        for (var pause = TimeSpan.FromMilliseconds(50); ; pause = TimeSpan.FromMilliseconds(Math.Min(2000, pause.TotalMilliseconds * 2)))
        {
            try
            {
                await TakeOverAsync(_stopping.Token);
                LogRecovered(_current.Size);
                return;
            }
            catch (Exception e) when (IsStoreFailure(e))
            {
                await Task.Delay(pause, _stopping.Token);
            }
        }
    }

    private async Task TakeOverAsync(CancellationToken stop)
    {
        if (_writer is not null)
            await _writer.DisposeAsync();
        _writer = null;
        _writer = await _store.BecomeWriterAsync(_options.TakeOver, stop);
        var snapshot = await Replay.ForwardAsync(_store, _current, _writer.Head, _options.Origin, _key.Public, stop);
        if (snapshot.Size > 0 && (snapshot.State.Origin != _options.Origin || snapshot.State.LedgerKey != _key.Public))
            throw new LogDamagedException(0, $"it opens the ledger '{snapshot.State.Origin}' of {snapshot.State.LedgerKey}, not '{_options.Origin}' of {_key.Public}");
        Publish(snapshot);
        _ready = true;
    }

    private void Publish(Snapshot next)
    {
        var before = _current;
        if (next.Size == before.Size && before.Size > 0)
            return;
        _current = next;
        before.FollowedBy(next);
        if (next.State.Deadlines is [var soonest, ..])
        {
            var wait = soonest.At - _clock.GetUtcNow();
            // No longer than an hour, for clocks are set.
            _alarm.Change(TimeSpan.FromTicks(Math.Clamp(wait.Ticks, 0, TimeSpan.TicksPerHour)), Timeout.InfiniteTimeSpan);
        }
    }

    // A clock that went back does not take the log with it.
    private DateTimeOffset Now(GridState state)
    {
        var now = DateTimeOffset.FromUnixTimeSeconds(_clock.GetUtcNow().ToUnixTimeSeconds());
        return now > state.Time ? now : state.Time;
    }

    private static bool IsStoreFailure(Exception e) => e is NpgsqlException or IOException or TimeoutException or System.Net.Sockets.SocketException;

    [LoggerMessage(Level = LogLevel.Error, Message = "The batch of {Count} from entry {First} may not be durable: {Reason}")]
    private partial void LogCommitFailed(long first, int count, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The store is back; the log has {Size} entries")]
    private partial void LogRecovered(long size);

    [LoggerMessage(Level = LogLevel.Critical, Message = "The sequencer stopped: {Reason}")]
    private partial void LogStopped(string reason);
}
