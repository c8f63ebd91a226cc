using System.Collections.Immutable;
using Grid.Addresses;
using Grid.Workloads;

namespace Grid.Reconciliation;

public enum Thing
{
    Flist,
    Volume,

    /// <summary>A container, or the one that a machine's emulator is in.</summary>
    Runnable,
    Address,
}

/// <param name="Of">what is made only when all that it needs is there</param>
/// <param name="On">what it needs</param>
/// <param name="Waits">
/// true: what is needed is taken away only when nothing that is there may still need it; false: it does not wait, and what needs it is mended or taken away afterwards
/// </param>
public sealed record Need(Thing Of, Thing On, bool Waits);

/// <summary>
/// What needs what on a node. The plan asks here before it makes what needs something, and before it takes away what something may need.
/// <code>
///  address ─▶ container, machine ─▶ volume
///                                └─▶ flist
/// </code>
/// Tunnels are not among them: each is made with its workload's namespace and goes with it. Nor are gateways: what one leads to may be on another node, and comes and goes.
/// </summary>
public static class Needs
{
    /// <summary>In the order in which they are looked at.</summary>
    public static readonly ImmutableArray<Need> All =
    [
        new(Thing.Runnable, Thing.Volume, Waits: true),
        new(Thing.Runnable, Thing.Flist, Waits: true),
        // What ends a container is not held up by its address: the link is in its namespace, and without it nobody answers.
        new(Thing.Address, Thing.Runnable, Waits: false),
    ];

    /// <summary>The first thing that what is wished needs and that is not seen to be there; null when all is.</summary>
    internal static Thing? Missing(Wish wish, Observed observed)
    {
        foreach (var need in All)
        {
            if (need.Of == Of(wish.Workload) && !IsThere(need.On, wish, observed))
                return need.On;
        }
        return null;
    }

    /// <summary>True when something may still need what the step takes away. What cannot be seen may need anything.</summary>
    internal static bool MayNeed(Step step, Desired desired, Observed observed) => On(step) is { } taken && All.Any(n => n.On == taken && n.Waits) && observed.Containers.Any(c => (step, c.Value) switch
    {
        // What has exited holds nothing open.
        (Step.UnmountFlist s, Sighting<ContainerSeen>.Present(var seen)) => seen.Flist == s.Flist && seen.Phase != ContainerPhase.Exited,
        (Step.UnmountFlist, _) => true,
        // A container that is as the agreement wishes mounts no volume that it does not wish; any other of the agreement may.
        (Step.Withdraw s, Sighting<ContainerSeen>.Present(var seen)) => c.Key.Agreement == s.Key.Agreement && !(desired.Wishes.TryGetValue(c.Key, out var wish) && wish.Spec == seen.Spec),
        (Step.Withdraw s, _) => c.Key.Agreement == s.Key.Agreement,
        _ => false,
    });

    private static Thing? Of(Workload workload) => workload switch
    {
        Runnable => Thing.Runnable,
        PublicAddress => Thing.Address,
        _ => null,
    };

    private static Thing? On(Step step) => step switch
    {
        Step.UnmountFlist => Thing.Flist,
        Step.DetachVolume or Step.DestroyVolume => Thing.Volume,
        _ => null,
    };

    private static bool IsThere(Thing thing, Wish wish, Observed observed) => (thing, wish.Workload) switch
    {
        (Thing.Volume, Runnable runs) => runs.Volumes.All(v => observed.Volumes.GetValueOrDefault(wish.Key with { Name = v }) is Sighting<VolumeSeen>.Present({ Attached: true })),
        (Thing.Flist, Runnable runs) => observed.Flists.GetValueOrDefault(runs.Flist) is Sighting<FlistSeen>.Present({ Serving: true }),
        (Thing.Runnable, PublicAddress address) => observed.Containers.GetValueOrDefault(wish.Key with { Name = address.Workload }) is Sighting<ContainerSeen>.Present({ Phase: ContainerPhase.Running }),
        _ => throw new System.Diagnostics.UnreachableException($"{thing} of a {wish.Workload.Kind}"),
    };
}
