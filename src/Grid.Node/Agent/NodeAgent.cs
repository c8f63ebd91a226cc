using Grid.Agreements;
using Grid.Client;
using Grid.Node.Containers;
using Grid.Node.Logs;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;
using Microsoft.Extensions.Logging;

namespace Grid.Node.Agent;

/// <summary>
/// Looks, plans, applies one step for each thing, looks again. Level-triggered: news from the ledger or the kernel only makes it look sooner,
/// and a sweep every <see cref="Sweep"/> finds whatever was missed.
/// </summary>
internal sealed partial class NodeAgent(
    AgreementFeed feed, LedgerContact contact, Answers answers, Receipts receipts, Drain drain, WorkloadSight sight, Strangers strangers, WorkloadEffects effects, HealthChecks health, StatusFile status, LogDesk logs, EndedLogs ended, NodeVoice voice,
    Bell look, TimeProvider time, ILogger log)
    : IDisposable
{
    public static readonly TimeSpan Sweep = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan LongPoll = TimeSpan.FromSeconds(25), AfterTrouble = TimeSpan.FromSeconds(1);

    // What is about to begin says nothing when it does, so it is looked for: often at first, and the longer it takes the more rarely.
    private static readonly TimeSpan SoonestLook = TimeSpan.FromMilliseconds(5), LatestLook = TimeSpan.FromSeconds(2);

    private readonly Dictionary<WorkloadKey, long> _starting = [];
    private readonly Bell _deliver = new();
    private readonly Failures _failures = new(time);
    private bool _worked = true;

    private SingleFlight Flights => field ??= new SingleFlight(Failed, Look);

    public async Task RunAsync(CancellationToken cancel)
    {
        feed.Restore();
        receipts.Restore();
        using var watch = new ExitWatch(sight.ExitDirectory, Look);
        using var gateways = sight.WatchGateways(Look);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        Task[] loops = [KeepAsync(FollowAsync, ending.Token), KeepAsync(ReconcileAsync, ending.Token), KeepAsync(DeliverAsync, ending.Token)];
        // One that ends before it was asked to has failed: the agent ends with it, aloud, and is started again.
        await Task.WhenAny(loops);
        await ending.CancelAsync();
        await Task.WhenAll(loops);
        await Flights.Landed;
        await logs.Ended;
        await answers.Ended;
    }

    public void Dispose() => Flights.Dispose();

    private void Look() => look.Ring();

    /// <summary>Keeps one of the loops going. A disk that is full or errs is said, and tried again: what runs needs no file of the agent's.</summary>
    private async Task KeepAsync(Func<CancellationToken, Task> loop, CancellationToken cancel)
    {
        while (!cancel.IsCancellationRequested)
        {
            try
            {
                try
                {
                    await loop(cancel);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    DiskFails(e.Message);
                    await Task.Delay(AfterTrouble, time, cancel);
                }
            }
            catch (OperationCanceledException) when (cancel.IsCancellationRequested)
            {
                // The agent stops; what waits is on disk.
            }
        }
    }

    private async Task FollowAsync(CancellationToken cancel)
    {
        for (var wait = TimeSpan.Zero; ; wait = feed.Trouble is null && !answers.Waiting ? Patience() : TimeSpan.Zero)
        {
            if (await feed.PullAsync(wait, cancel))
                Look();
            logs.Take(feed.Asks, cancel);
            if (await answers.AnswerAsync(feed.Agreements, feed.IsAhead, Patience(), cancel))
                Look();
            _deliver.Ring();
            // After trouble the next try comes soon, but not at once.
            if (feed.Trouble is not null || answers.Waiting)
                await Task.Delay(AfterTrouble, time, cancel);
        }
    }

    // An answer comes in time for every agreement that counts the ledger's silence.
    private TimeSpan Patience() => Pausing().Select(o => o.After / 2).Append(LongPoll).Min();

    private IEnumerable<Offline> Pausing() => feed.Agreements.Where(a => a.IsInForce).Select(a => a.Version.Terms.Term.Offline).Where(o => o.Pause);

    private async Task ReconcileAsync(CancellationToken cancel)
    {
        while (true)
        {
            var next = await LookAndActAsync(cancel);
            cancel.ThrowIfCancellationRequested();
            using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            var pause = Task.Delay(next, time, timer.Token);
            if (await Task.WhenAny(pause, look.WaitAsync(timer.Token)) != pause)
                _worked = true;
            else if (next > LatestLook)
                GiveBack();
            await timer.CancelAsync();
        }
    }

    // Nothing has happened for a while. What an flist's files took while they were examined lies where a collector comes only when much more is allocated, which
    // a program that waits never does.
    private void GiveBack()
    {
        if (!_worked || Flights.Moving.Count > 0)
            return;
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        _worked = false;
    }

    // Alone, so that receipts arrive in their order; and beside the rest, for the ledger may be slow to answer.
    private async Task DeliverAsync(CancellationToken cancel)
    {
        while (true)
        {
            await _deliver.WaitAsync(cancel);
            await receipts.DeliverAsync(cancel);
            await drain.TellAsync(cancel);
        }
    }

    /// <returns>how long nothing needs to be done</returns>
    private async Task<TimeSpan> LookAndActAsync(CancellationToken cancel)
    {
        var now = time.GetUtcNow();
        // What was being changed while it was looked at was seen half done: no step and no receipt rests on that look.
        var moving = Flights.Moving;
        var observed = sight.Observe() with { Attempts = _failures.All };
        // A node that never had volumes misses none.
        if (!sight.HasVolumes && !feed.Agreements.Any(HadVolumes))
            observed = observed with { VolumesUnseen = null };
        observed = observed with { Strangers = strangers.Look() };
        await ResolveUnknownAsync(observed, cancel);
        var desired = Desired.Of(voice.Node, feed.Agreements, feed.Unknown, contact.Silence, now, contact.Certain);
        observed = observed with { Health = health.Follow(desired, observed) };
        var steps = Reconciler.Plan(desired, observed, now);
        foreach (var step in steps)
            Begin(step, moving, cancel);
        if (steps.IsEmpty && moving.Count == 0 && observed.Blind is null && observed.Attempts.Values.All(a => a.RefusedIn is not null))
            drain.Rest();
        var still = feed.Agreements.Where(a => !moving.OfType<WorkloadKey>().Any(k => k.Agreement == a.Id));
        foreach (var over in receipts.Write(still, observed))
            Finish(over, desired, observed);
        drain.Note(observed, moving);
        _deliver.Ring();
        status.Write(feed, observed, desired);
        if (observed.Blind is null)
            ended.Clear(k => desired.Wishes.ContainsKey(k) || observed.Containers.ContainsKey(k), f => observed.Flists.ContainsKey(f) || desired.Wishes.Values.Any(w => w.Workload is Runnable r && r.Flist == f));
        return NextLook(desired, now) is var next && UntilStarted(observed) is var started && started < next ? started : next;
    }

    // What is here and belongs to an agreement we do not hold: ask; only the ledger's word makes it an orphan.
    private async Task ResolveUnknownAsync(Observed observed, CancellationToken cancel)
    {
        foreach (var id in observed.Agreements)
        {
            if (feed[id] is null && !feed.Unknown.Contains(id))
            {
                NotKnown(id);
                await feed.ResolveAsync(id, cancel);
            }
        }
    }

    private void Begin(Step step, IReadOnlySet<object> moving, CancellationToken cancel)
    {
        if (moving.Contains(step.Subject))
            return;
        if (step is Step.Stop { Unhealthy: { } why })
            Ends(step.Subject, why);
        Flights.TryBegin(step, () => ApplyAsync(step, cancel), cancel);
    }

    private async Task ApplyAsync(Step step, CancellationToken cancel)
    {
        using var trace = NodeTrace.Begin(step, UsersOf(step));
        // Verified again before every change, not once: the proof on disk must still say so.
        var outcome = step is Step.Grant { Wish: var wish } && !feed.Proves(wish.Key.Agreement, wish.Version)
            ? new Outcome.Transient("The agreement's proof does not hold any more.")
            : await effects.ApplyAsync(step, cancel);
        trace.End(outcome);
        drain.Note(step.Subject, (outcome as Outcome.Broken)?.Why);
        Note(step, outcome);
    }

    private void Failed(Step step, Exception thrown)
    {
        if (Effect.IsOfTheMachine(thrown))
        {
            Note(step, new Outcome.Transient(thrown.Message));
            return;
        }
        Defect(step, thrown);
        Note(step, new Outcome.Transient($"A defect of the agent: {thrown.GetType().Name}; its log says more."));
    }

    private void Note(Step step, Outcome outcome)
    {
        var why = Failures.Why(outcome);
        if (why is null)
            Applied(step);
        else
            NotApplied(step, why);
        foreach (var key in Concerned(step))
        {
            // An exit counts as a failure when the start after it is made, so that what falls over at once waits longer each time.
            if (why is not null || step is Step.Start { Generation: > 1 })
                _failures.Count(key, why ?? ((Step.Start)step).After ?? sight.Unread(((Step.Start)step).Wish.Workload, time.GetUtcNow()) ?? "It ended and was started again.", Failures.RefusedIn(step, outcome));
        }
    }

    // Nobody wishes any more for what is unmounted, and whoever did is still known.
    private IEnumerable<WorkloadKey> UsersOf(Step step) => step is Step.UnmountFlist s ? feed.UsersOf(s.Flist) : Concerned(step);

    // What cannot be ended or held is tried again at once: its workload has not failed.
    private IEnumerable<WorkloadKey> Concerned(Step step) => step switch
    {
        Step.Grant s => [s.Wish.Key],
        Step.DetachVolume or Step.DestroyVolume or Step.CloseGateway or Step.ReleaseAddress => [((Step.Withdraw)step).Key],
        Step.MountFlist m => feed.Agreements.Where(a => a.IsInForce)
            .SelectMany(a => a.Version.Terms.Workloads.OfType<Runnable>().Where(r => r.Node == voice.Node && r.Flist == m.Flist).Select(r => new WorkloadKey(a.Id, r.Name))),
        _ => [],
    };

    // As long as something of it is kept here, so is the proof that it may be.
    private void Finish(AgreementId id, Desired desired, Observed observed)
    {
        _failures.Forget(id);
        if (!desired.Wishes.Keys.Concat(observed.Volumes.Keys).Any(k => k.Agreement == id) && !(observed.VolumesUnseen is not null && feed[id]?.Agreement is { } over && HadVolumes(over)))
        {
            feed.Forget(id);
            receipts.Forget(id);
        }
    }

    // In any of its versions: what an amendment dropped may be kept as well.
    private bool HadVolumes(Agreement agreement) => agreement is Agreement.InForce or Agreement.Ending or Agreement.Ended
        && feed[agreement.Id]?.EveryTerms.Any(t => t.On(voice.Node).Any(w => w is Volume)) is true;

    private TimeSpan UntilStarted(Observed observed)
    {
        var starting = observed.Containers.Where(c => c.Value is Sighting<ContainerSeen>.Present({ Phase: ContainerPhase.Starting })).Select(c => c.Key).ToHashSet();
        foreach (var key in _starting.Keys.Where(k => !starting.Contains(k)).ToList())
            _starting.Remove(key);
        foreach (var key in starting)
            _starting.TryAdd(key, time.GetTimestamp());
        if (_starting.Count == 0)
            return TimeSpan.MaxValue;
        var wait = _starting.Values.Min(since => time.GetElapsedTime(since)) / 4;
        return wait < SoonestLook ? SoonestLook : wait > LatestLook ? LatestLook : wait;
    }

    private TimeSpan NextLook(Desired desired, DateTimeOffset now)
    {
        var soonest = _failures.Next(desired, now);
        var silence = contact.Silence;
        return Pausing().Select(o => o.After - silence).Where(t => t > TimeSpan.Zero).Append(soonest - now).Append(Sweep).Append(strangers.Next).Min();
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Done: {Step}")]
    private partial void Applied(Step step);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Not done: {Step}: {Why}")]
    private partial void NotApplied(Step step, string why);

    [LoggerMessage(Level = LogLevel.Critical, Message = "A defect of the agent: {Step} was not finished")]
    private partial void Defect(Step step, Exception thrown);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Ends {Workload}: {Why}")]
    private partial void Ends(object workload, string why);

    [LoggerMessage(Level = LogLevel.Error, Message = "A file cannot be read or written: {Why}")]
    private partial void DiskFails(string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Something here says it belongs to {Agreement}, which is not known; asking the ledger")]
    private partial void NotKnown(AgreementId agreement);
}
