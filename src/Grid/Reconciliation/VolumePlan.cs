using Grid.Workloads;

namespace Grid.Reconciliation;

/// <summary>A volume as the disk shows it.</summary>
/// <param name="Attached">its key is in the kernel and its files are there</param>
/// <param name="DetachedAt">since when nobody wants it; null while it is attached</param>
/// <param name="Keep">how long from then the data stays, as the last agreement on it said</param>
public sealed record VolumeSeen(Units.Bytes Size, bool Attached, DateTimeOffset? DetachedAt, TimeSpan Keep)
{
    /// <summary>What is wrong with its disk, though its files are there; null when nothing is known to be.</summary>
    public string? Fault { get; init; }
}

public static class VolumeFaults
{
    /// <summary>Why a volume is not as it should be, as far as a look can tell; null when nothing is known against it.</summary>
    public static string? Why(this Sighting<VolumeSeen> sighting) => sighting switch
    {
        Sighting<VolumeSeen>.Present(var seen) => seen.Fault,
        Sighting<VolumeSeen>.Unknown(var why) => why,
        _ => null,
    };

    /// <summary>The same of those that a workload uses, the first of them; it may run all the same, and fail at what it writes.</summary>
    public static string? WhyOfVolumes(this Observed observed, WorkloadKey key, Workload workload) => workload is not Runnable runs ? null : runs.Volumes
        .Select(v => observed.VolumeOf(key with { Name = v })?.Why() is { } why ? $"its volume '{v}': {why}" : null).FirstOrDefault(why => why is not null);
}

/// <summary>
/// The part of the plan that is about volumes. Data is destroyed in one case only: its agreement is proven to be over or to have dropped the
/// volume, it is detached, and the time it was to be kept has passed since, by the node's clock and by the ledger's.
/// </summary>
internal static class VolumePlan
{
    public static IEnumerable<Step> Plan(Desired desired, Observed observed, DateTimeOffset now)
    {
        foreach (var wish in desired.Wishes.Values)
        {
            if (wish.Workload is Volume volume && IsWanting(volume, observed.VolumeOf(wish.Key))
                && Reconciler.IsDue(wish, observed, now))
                yield return new Step.MakeVolume(wish);
        }
        foreach (var (key, sighting) in observed.Volumes)
        {
            if (desired.Wishes.ContainsKey(key) || !desired.Settled.Contains(key.Agreement) || sighting is not Sighting<VolumeSeen>.Present(var seen)
                || !Reconciler.IsDue(null, observed.Attempts.GetValueOrDefault(key), now))
                continue;
            Step? step = seen.Attached || seen.DetachedAt is null ? new Step.DetachVolume(key) : desired.IsOver(key, seen.DetachedAt.Value, seen.Keep) ? new Step.DestroyVolume(key) : null;
            if (step is not null && !Needs.MayNeed(step, desired, observed))
                yield return step;
        }
    }

    private static bool IsWanting(Volume wished, Sighting<VolumeSeen>? sighting) => sighting switch
    {
        null => true,
        Sighting<VolumeSeen>.Present(var seen) => !seen.Attached || seen.Size < wished.Size || seen.Keep != wished.Keep,
        _ => false,
    };
}
