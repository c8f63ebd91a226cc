using System.Collections.Immutable;
using Grid.Node.Containers;
using Grid.Reconciliation;
using Grid.Workloads;
using Microsoft.Extensions.Logging;

namespace Grid.Node.Agent;

/// <summary>
/// Asks the containers that want it how they are, each on its own, one question at a time, and counts what they say; decides nothing.
/// What it knows goes with the process that said it.
/// </summary>
internal sealed partial class HealthChecks(WorkloadSight sight, WorkloadEffects effects, Bell changed, TimeProvider time, ILogger log) : IAsyncDisposable
{
    // Until it was healthy once somebody waits for it.
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(100);

    private readonly Dictionary<WorkloadKey, Check> _checks = [];
    private readonly List<Check> _ending = [];

    /// <summary>Begins to ask what began to run, goes on with what does, and stops with what does not any more. Called by one at a time.</summary>
    /// <returns>what is known of them</returns>
    public ImmutableSortedDictionary<WorkloadKey, HealthSeen> Follow(Desired desired, Observed observed)
    {
        // What was not seen may still run: neither begun nor ended.
        if (observed.Blind is null)
        {
            foreach (var key in _checks.Keys.Where(k => !Continues(k, desired, observed)).ToList())
                End(key);
            foreach (var wish in desired.Wishes.Values.Where(w => HealthPlan.IsAsked(w, observed) && !_checks.ContainsKey(w.Key)))
            {
                if (sight.ProcessOf(wish.Key) is { } process)
                    Begin((Container)wish.Workload, wish.Key, process, proven: ((Sighting<ContainerSeen>.Present)observed.Containers[wish.Key]).Thing.Health is not null);
            }
        }
        foreach (var over in _ending.Concat(_checks.Values).Where(c => c.Asking.IsCompleted).ToList())
        {
            // One that failed, and was not ended, takes the agent with it, aloud.
            over.Asking.GetAwaiter().GetResult();
            over.Dispose();
            _ending.Remove(over);
        }
        return _checks.ToImmutableSortedDictionary(c => c.Key, c => c.Value.Seen);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var key in _checks.Keys.ToList())
            End(key);
        foreach (var check in _ending)
        {
            await check.Asking;
            check.Dispose();
        }
    }

    private bool Continues(WorkloadKey key, Desired desired, Observed observed) =>
        observed.Containers.GetValueOrDefault(key) is Sighting<ContainerSeen>.Unknown
        || (desired.Wishes.TryGetValue(key, out var wish) && HealthPlan.IsAsked(wish, observed) && sight.ProcessOf(key) == _checks[key].Process);

    private void Begin(Container container, WorkloadKey key, ProcessIdentity process, bool proven)
    {
        var check = new Check(key, container.Health!, process, new HealthProbe(container.Name, container.Health!, [.. container.Networks.Select(n => n.Address)], time), proven);
        check.Asking = Task.Run(() => AskAsync(check));
        _checks[key] = check;
    }

    private void End(WorkloadKey key)
    {
        if (!_checks.Remove(key, out var check))
            return;
        check.End();
        _ending.Add(check);
    }

    private async Task AskAsync(Check check)
    {
        var cancel = check.Ending;
        var began = time.GetTimestamp();
        var pause = Soon;
        try
        {
            while (true)
            {
                var asked = time.GetTimestamp();
                var answer = await check.Probe.AskAsync(check.Process, cancel).ConfigureAwait(false);
                if (answer is HealthAnswer.Unknown(var why))
                    NotAsked(check.Key, why);
                if (Take(check, answer, time.GetElapsedTime(began)))
                    changed.Ring();
                pause = check.Seen.Proven || pause * 2 > check.Health.Every || time.GetElapsedTime(began) > check.Health.Grace ? check.Health.Every : pause * 2;
                if (pause - time.GetElapsedTime(asked) is { Ticks: > 0 } rest)
                    await Task.Delay(rest, time, cancel).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // It ended, or nobody wants to know any more.
        }
    }

    // Who must be told: that it serves now, that it does not and why, and that it has failed often enough. How often it wavers is its own matter.
    private bool Take(Check check, HealthAnswer answer, TimeSpan up)
    {
        var (before, after) = (check.Seen, check.Seen.Then(answer, check.Health, up));
        check.Seen = after;
        if (after.Proven && !before.Proven)
            check.Unless(() => Mark(check.Key));
        return after.Proven != before.Proven || after.IsUnhealthy(check.Health) != before.IsUnhealthy(check.Health) || (!after.Proven && before.Why is null && after.Why is not null);
    }

    private void Mark(WorkloadKey key)
    {
        try
        {
            effects.Mark(key, new HealthMark(null));
        }
        catch (IOException e)
        {
            // It serves all the same; an agent that comes after this one asks again before it says so.
            NotMarked(key, e.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The health of {Workload} could not be asked: {Why}")]
    private partial void NotAsked(WorkloadKey workload, string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "That {Workload} is healthy could not be written on it: {Why}")]
    private partial void NotMarked(WorkloadKey workload, string why);

    /// <summary>The questions to one process.</summary>
    private sealed class Check(WorkloadKey key, Health health, ProcessIdentity process, HealthProbe probe, bool proven) : IDisposable
    {
        private readonly CancellationTokenSource _ending = new();
        private readonly Lock _writing = new();
        private bool _over;
        private volatile HealthSeen _seen = new(proven, 0, null);

        public WorkloadKey Key => key;

        public Health Health => health;

        public ProcessIdentity Process => process;

        public HealthProbe Probe => probe;

        public CancellationToken Ending => _ending.Token;

        /// <summary>Written by its asking alone.</summary>
        public HealthSeen Seen { get => _seen; set => _seen = value; }

        public Task Asking { get; set; } = Task.CompletedTask;

        public void Dispose() => _ending.Dispose();

        /// <summary>Once this has returned, nothing is written on the container any more: the next may have its place.</summary>
        public void End()
        {
            lock (_writing)
                _over = true;
            _ending.Cancel();
        }

        public void Unless(Action write)
        {
            lock (_writing)
            {
                if (!_over)
                    write();
            }
        }
    }
}
