using Grid.Workloads;

namespace Grid.Reconciliation;

/// <summary>What came of asking a container how it is, once.</summary>
public abstract record HealthAnswer
{
    private HealthAnswer()
    {
    }

    public sealed record Healthy : HealthAnswer;

    /// <param name="Why">for people: "connection refused on 8080"</param>
    public sealed record Unhealthy(string Why) : HealthAnswer;

    /// <summary>It could not be asked, which says nothing of it.</summary>
    public sealed record Unknown(string Why) : HealthAnswer;
}

/// <summary>What the answers of one running process come to.</summary>
/// <param name="Proven">it was healthy at least once</param>
/// <param name="Failures">unhealthy answers in a row, of those that count</param>
/// <param name="Why">the last answer, when that was unhealthy</param>
public sealed record HealthSeen(bool Proven, int Failures, string? Why)
{
    /// <summary>Who starts has time: until it was healthy once, nothing counts before <see cref="Health.Grace"/> is over.</summary>
    /// <param name="up">for how long it has run, or has been looked at</param>
    public HealthSeen Then(HealthAnswer answer, Health health, TimeSpan up) => answer switch
    {
        HealthAnswer.Healthy => new HealthSeen(true, 0, null),
        HealthAnswer.Unhealthy(var why) => this with { Failures = Proven || up >= health.Grace ? int.Min(Failures + 1, health.Failures) : 0, Why = why },
        _ => this,
    };

    public bool IsUnhealthy(Health health) => Failures >= health.Failures;

    public override string ToString() => Why is null ? "healthy" : Failures == 0 ? $"not healthy yet: {Why}" : $"unhealthy: {Why}, {Failures} {(Failures == 1 ? "time" : "times")}";
}

/// <summary>What was found of a container's health, as written on it: it outlives whoever asked.</summary>
/// <param name="Unhealthy">why it is ended, or was; null: it was healthy once</param>
public sealed record HealthMark(string? Unhealthy);

/// <summary>
/// The part of the plan that is about health. A container is ended for it in one case only: it was asked and found unhealthy as often as its
/// agreement says, its files answer, and nothing else is to be done with it. What is not known of its health does nothing.
/// </summary>
public static class HealthPlan
{
    /// <summary>True when it runs as is wished and its agreement wants it asked.</summary>
    public static bool IsAsked(Wish wish, Observed observed) => wish is { Paused: false, Workload: Container { Health: not null } }
        && observed.Containers.GetValueOrDefault(wish.Key) is Sighting<ContainerSeen>.Present({ Phase: ContainerPhase.Running, Health: null or { Unhealthy: null } } seen) && seen.Spec == wish.Spec;

    /// <summary>It runs for others when it was healthy once since its start, or nobody asks.</summary>
    public static bool Serves(Workload workload, ContainerSeen seen, HealthSeen? found) =>
        workload is not Container { Health: not null } || seen.Health is { Unhealthy: null } || (seen.Health is null && found is { Proven: true });

    /// <summary>Why it does not serve, or was ended; null when health is not the reason, or not known.</summary>
    public static string? Why(Workload workload, ContainerSeen seen, HealthSeen? found) =>
        seen.Health?.Unhealthy is { } ended ? (workload is Runnable { Restart.When: RestartWhen.Never } ? $"{ended}; it is never restarted" : ended)
        : seen.Phase is ContainerPhase.Running && !Serves(workload, seen, found) && found?.Why is not null ? $"{found}"
        : null;

    /// <summary>An end that has begun is finished: whether it was told to end already nobody knows.</summary>
    internal static Step.Stop? End(Wish wish, Runnable workload, ContainerSeen seen, Observed observed)
    {
        if (seen.Health?.Unhealthy is { } begun)
            return new Step.Stop(wish.Key, begun);
        return workload is Container { Health: { } health } && !wish.Paused && seen.Phase is ContainerPhase.Running && observed.Health.GetValueOrDefault(wish.Key) is { } found && found.IsUnhealthy(health)
            && observed.Flists.GetValueOrDefault(workload.Flist) is Sighting<FlistSeen>.Present({ Serving: true })
            ? new Step.Stop(wish.Key, $"{found}")
            : null;
    }
}
