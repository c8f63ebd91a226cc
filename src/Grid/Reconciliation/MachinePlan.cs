using System.Collections.Immutable;
using Grid.Machines;
using Grid.Units;

namespace Grid.Reconciliation;

/// <summary>A machine as its emulator tells it.</summary>
/// <param name="Ticks">false while its processors are held</param>
/// <param name="Disks">as large as the guest sees each, in the agreement's order</param>
public sealed record MachineSeen(bool Ticks, ImmutableArray<Bytes> Disks);

/// <summary>
/// The part of the plan that is a machine's alone. All else, to start, stop, pause and restart, is as with containers: its emulator is in one.
/// </summary>
internal static class MachinePlan
{
    /// <summary>What a machine that runs, and shall run, still wants: a cut-short resume finished, and a disk as large as its volume has become.</summary>
    public static Step.Adjust? Keep(Wish wish, Observed observed, DateTimeOffset now)
    {
        if (wish.Workload is not Machine machine || observed.Machines.GetValueOrDefault(wish.Key) is not Sighting<MachineSeen>.Present(var seen)
            || !Reconciler.IsDue(wish, observed, now))
            return null;
        return !seen.Ticks || machine.Disks.Zip(seen.Disks).Any(d => SizeOf(wish.Key with { Name = d.First.Volume }, observed) is { } size && d.Second < size)
            ? new Step.Adjust(wish)
            : null;
    }

    private static Bytes? SizeOf(WorkloadKey volume, Observed observed) =>
        observed.Volumes.GetValueOrDefault(volume) is Sighting<VolumeSeen>.Present({ Attached: true } seen) ? seen.Size : null;
}
