using System.Collections.Concurrent;
using System.Collections.Immutable;
using Grid.Node.Containers;
using Grid.Reconciliation;
using Grid.Units;

namespace Grid.Node.Agent;

/// <summary>
/// What failed of each workload, and when it is tried again: soon, and later each time; or, when it was refused, once another version is in force. It is forgotten
/// with the agent, so that another tries everything once.
/// </summary>
internal sealed class Failures(TimeProvider time)
{
    /// <summary>A workload that stayed up so long has its failures forgotten.</summary>
    private static readonly TimeSpan Settled = TimeSpan.FromMinutes(10);

    private readonly ConcurrentDictionary<WorkloadKey, Attempts> _all = new();

    public ImmutableDictionary<WorkloadKey, Attempts> All => _all.ToImmutableDictionary();

    /// <summary>Why a step came to nothing, for people; null when it did not.</summary>
    public static string? Why(Outcome outcome) => outcome switch
    {
        Outcome.Transient t => t.Why,
        Outcome.Refused { MayPass: true } r => r.Refusal.ToString(),
        Outcome.Refused r => $"{r.Refusal} It waits for an amendment.",
        Outcome.Broken b => b.Why,
        _ => null,
    };

    /// <param name="version">in which it was refused; null when trying again may help</param>
    public void Count(WorkloadKey key, string why, StatementId? version) =>
        _all[key] = new Attempts((_all.GetValueOrDefault(key)?.Failures ?? 0) + 1, time.GetUtcNow(), why) { RefusedIn = version };

    /// <summary>In which version this was refused, if it was and no other try can help.</summary>
    public static StatementId? RefusedIn(Step step, Outcome outcome) => (step, outcome) is (Step.Grant { Wish.Version: var version }, Outcome.Refused { MayPass: false }) ? version : null;

    public void Forget(AgreementId agreement)
    {
        foreach (var key in _all.Keys.Where(k => k.Agreement == agreement).ToList())
            _all.TryRemove(key, out _);
    }

    /// <summary>Forgets what stayed up, and says when the next of what is wished is tried again.</summary>
    public DateTimeOffset Next(Desired desired, DateTimeOffset now)
    {
        var next = DateTimeOffset.MaxValue;
        foreach (var (key, attempts) in _all)
        {
            var wish = desired.Wishes.GetValueOrDefault(key);
            if (wish is not null && attempts.RefusedIn == wish.Version)
                continue;
            if ((now - attempts.Last).Duration() > Settled)
                _all.TryRemove(key, out _);
            else if (wish is not null && Reconciler.NotBefore(wish.Workload, attempts) is var at && at > now && at < next)
                next = at;
        }
        return next;
    }
}
