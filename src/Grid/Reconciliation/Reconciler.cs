using System.Collections.Immutable;
using Grid.Networks;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Reconciliation;

/// <summary>
/// The difference between what is agreed and what is there, as steps. Pure: it does nothing, waits for nothing and remembers nothing.
/// </summary>
public static class Reconciler
{
    /// <summary>
    /// Safety: a step starts only what is wished; what is unknown, or belongs to an agreement whose say is unknown, is left alone.
    /// Liveness: applying the steps and looking again ends with no steps, once effects succeed.
    /// </summary>
    public static ImmutableArray<Step> Plan(Desired desired, Observed observed, DateTimeOffset now)
    {
        if (observed.Blind is not null)
            return [];
        var steps = ImmutableArray.CreateBuilder<Step>();
        foreach (var wish in desired.Wishes.Values)
        {
            if (wish.Workload is Runnable workload && ForWish(wish, workload, desired, observed, now) is { } step)
                steps.Add(step);
        }
        foreach (var (key, sighting) in observed.Containers)
        {
            if (!desired.Wishes.ContainsKey(key) && desired.Settled.Contains(key.Agreement) && sighting is Sighting<ContainerSeen>.Present(var seen))
                steps.Add(TearDown(key, seen));
        }
        // Whatever is agreed: what is no file of a workload is in no agreement.
        steps.AddRange(observed.Strangers.Where(s => s.IsApart && observed.Containers.GetValueOrDefault(s.Workload) is Sighting<ContainerSeen>.Present { Thing.Phase: ContainerPhase.Running or ContainerPhase.Paused })
            .Select(s => new Step.EndStranger(s)));
        steps.AddRange(VolumePlan.Plan(desired, observed, now));
        steps.AddRange(GatewayPlan.Plan(desired, observed, now));
        steps.AddRange(AddressPlan.Plan(desired, observed, now));
        steps.AddRange(TunnelPlan.Unused(desired, observed));
        steps.AddRange(UnusedFlists(desired, observed));
        return Distinct(steps);
    }

    // What has no policy of its own is tried again soon, and then every minute.
    private static readonly RestartPolicy Again = new(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1));

    /// <summary>True when a step towards this wish may be tried: it was not refused in the version that says it, and has waited long enough after its failures.</summary>
    public static bool IsDue(Wish wish, Observed observed, DateTimeOffset now) =>
        observed.Attempts.GetValueOrDefault(wish.Key) is not { } attempts || (attempts.RefusedIn != wish.Version && IsDue(wish.Workload, attempts, now));

    /// <summary>True when a step for this workload, or for what is left of one, may be tried after its failures. One that lies ahead was made by a clock that has been put back, and holds up nothing.</summary>
    public static bool IsDue(Placed? workload, Attempts? attempts, DateTimeOffset now) => now < attempts?.Last || now >= NotBefore(workload, attempts);

    /// <summary>When a step for this workload, or for what is left of one, may be tried again after its failures.</summary>
    public static DateTimeOffset NotBefore(Placed? workload, Attempts? attempts) => NotBefore((workload as Runnable)?.Restart ?? Again, attempts);

    /// <summary>When this workload may be started again after its failures: the wait doubles from the first to the largest.</summary>
    public static DateTimeOffset NotBefore(RestartPolicy policy, Attempts? attempts)
    {
        if (attempts is null or { Failures: 0 })
            return DateTimeOffset.MinValue;
        var doublings = int.Min(attempts.Failures - 1, 30);
        // Terms may say a century: what is more than the largest is not reckoned out.
        var wait = policy.First.Ticks <= policy.Max.Ticks >> doublings ? policy.First * (1L << doublings) : policy.Max;
        return attempts.Last.Later(wait);
    }

    private static Step? ForWish(Wish wish, Runnable workload, Desired desired, Observed observed, DateTimeOffset now)
    {
        var sighting = observed.Containers.GetValueOrDefault(wish.Key);
        return sighting switch
        {
            Sighting<ContainerSeen>.Unknown => null,
            null => Begin(wish, workload, 1, desired, observed, now),
            Sighting<ContainerSeen>.Present(var seen) when seen.Spec != wish.Spec => TearDown(wish.Key, seen),
            Sighting<ContainerSeen>.Present(var seen) => seen.Phase switch
            {
                // A root that no longer answers fails every read: the workload is down, whatever its process says.
                ContainerPhase.Created or ContainerPhase.Starting or ContainerPhase.Running when seen.Rootless || Dead(workload.Flist, observed) => new Step.Stop(wish.Key),
                ContainerPhase.Running or ContainerPhase.Paused when HealthPlan.End(wish, workload, seen, observed) is { } end => end,
                ContainerPhase.Running => wish.Paused ? new Step.Pause(wish.Key) : (Step?)TunnelPlan.Reconnect(wish, observed, now) ?? MachinePlan.Keep(wish, observed, now),
                ContainerPhase.Paused => wish.Paused ? null : new Step.Resume(wish.Key),
                // A start that was cut short is finished, by the same start; one that is just happening is not disturbed by it.
                ContainerPhase.Starting => null,
                ContainerPhase.Created => Begin(wish, workload, seen.Generation, desired, observed, now),
                ContainerPhase.Exited => StartsAgain(workload.Restart, seen) ? Begin(wish, workload, seen.Generation + 1, desired, observed, now, seen.Health?.Unhealthy) : null,
                _ => new Step.Remove(wish.Key),
            },
            _ => null,
        };
    }

    private static Step? Begin(Wish wish, Runnable workload, long generation, Desired desired, Observed observed, DateTimeOffset now, string? after = null)
    {
        if (wish.Paused || !IsDue(wish, observed, now) || !TunnelPlan.IsFree(wish, observed))
            return null;
        return Needs.Missing(wish, observed) switch
        {
            null => new Step.Start(wish, generation, after),
            Thing.Flist => Mount(workload.Flist, desired, observed),
            _ => null,
        };
    }

    // A mount behind which nobody answers is made anew.
    private static Step? Mount(FlistId flist, Desired desired, Observed observed) => observed.Flists.GetValueOrDefault(flist) switch
    {
        null => new Step.MountFlist(flist),
        Sighting<FlistSeen>.Present when new Step.UnmountFlist(flist) is var unmount && !Needs.MayNeed(unmount, desired, observed) => unmount,
        _ => null,
    };

    private static bool Dead(FlistId flist, Observed observed) =>
        observed.Flists.GetValueOrDefault(flist) is null or Sighting<FlistSeen>.Present({ Serving: false });

    private static bool StartsAgain(RestartPolicy policy, ContainerSeen seen) => policy.When switch
    {
        RestartWhen.Always => true,
        RestartWhen.OnFailure => seen.ExitCode != 0 || seen.Health is { Unhealthy: not null },
        _ => false,
    };

    // A teardown that has begun is finished even if the wish comes back: what is half gone cannot be trusted to be whole.
    private static Step TearDown(WorkloadKey key, ContainerSeen seen) => seen.Phase is ContainerPhase.Created or ContainerPhase.Starting or ContainerPhase.Running or ContainerPhase.Paused
        ? new Step.Stop(key)
        : new Step.Remove(key);

    private static IEnumerable<Step> UnusedFlists(Desired desired, Observed observed)
    {
        var wished = desired.Wishes.Values.Select(w => w.Workload).OfType<Runnable>().Select(r => r.Flist).ToHashSet();
        foreach (var (flist, sighting) in observed.Flists.OrderBy(f => f.Key.Value))
        {
            if (sighting is Sighting<FlistSeen>.Present && !wished.Contains(flist) && new Step.UnmountFlist(flist) is var unmount && !Needs.MayNeed(unmount, desired, observed))
                yield return unmount;
        }
    }

    // Several workloads may wait for one flist; it is mounted once.
    private static ImmutableArray<Step> Distinct(ImmutableArray<Step>.Builder steps) => [.. steps.Distinct()];
}
