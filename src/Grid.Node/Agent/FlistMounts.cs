using System.Collections.Immutable;
using Grid.Flists.Mount;
using Grid.Node.Containers;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Agent;

/// <summary>The mounts of flists, and the view of one that each container has as its root, in its own range of user ids.</summary>
/// <param name="hubs">where flists are fetched from</param>
internal sealed class FlistMounts(NodePaths paths, ImmutableArray<Uri> hubs)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan LookPatience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Recent = TimeSpan.FromMinutes(1);

    /// <summary>The flists mounted in this mount namespace, by mount point.</summary>
    public static ILookup<string, MountedFlist> Look() => FlistMount.All().ToLookup(m => m.Mountpoint);

    /// <summary>Of those, the node's own, and whether each is served.</summary>
    public ImmutableDictionary<FlistId, Sighting<FlistSeen>> Seen(ILookup<string, MountedFlist> mounts) =>
        mounts.SelectMany(m => m).Where(m => m.Mountpoint == paths.FlistMount(m.Flist)).Select(m => m.Flist).Distinct().ToImmutableDictionary(f => f, f => Answers(paths.FlistMount(f)));

    /// <summary>Nobody answers behind a container's root, which is shown by another mount than the node's own of the flist.</summary>
    public bool IsDead(MountedFlist root, ILookup<string, MountedFlist> mounts) =>
        !mounts[paths.FlistMount(root.Flist)].Any(m => m.Device == root.Device) && Answers(root.Mountpoint) is Sighting<FlistSeen>.Present({ Serving: false });

    public bool IsMounted(FlistId flist) => FlistMount.Find(paths.FlistMount(flist)) is not null;

    /// <summary>Mounts what is not mounted yet.</summary>
    public async Task<Outcome> MountAsync(FlistId flist, CancellationToken cancel)
    {
        var mountpoint = paths.FlistMount(flist);
        Directory.CreateDirectory(paths.FlistMounts, DirectoryModes.Private);
        Directory.CreateDirectory(mountpoint);
        Directory.CreateDirectory(paths.Logs, DirectoryModes.Private);
        return OutcomeOf(await FlistMount.StartAsync(SpecOf(flist), Patience, cancel));
    }

    /// <summary>Done also when it is not mounted; tried again while it is in use.</summary>
    public Outcome Unmount(FlistId flist) => Unmount(paths.FlistMount(flist), detach: false);

    /// <summary>Shows a container its root.</summary>
    /// <param name="anew">one that a cut-short start left may be of another range of ids than is free now</param>
    public Task<Outcome> ShowAsync(ContainerId id, FlistId flist, UidRange uids, bool anew, CancellationToken cancel) => Effect.Run(() =>
    {
        var root = paths.Root(id);
        if (!anew && FlistMount.Find(root)?.Flist == flist && FlistMount.IsServed(root))
            return new Outcome.Done();
        if (Unmount(root, detach: true) is not Outcome.Done and var busy)
            return busy;
        ContainerPlace.Make(paths.RootPlace(id), uids);
        Directory.CreateDirectory(root, DirectoryModes.Private);
        return OutcomeOf(FlistMount.ShowAsync(SpecOf(flist), root, uids.Ids, Patience, cancel).GetAwaiter().GetResult());
    });

    /// <summary>Takes a container's root away; done also when it has none.</summary>
    public Outcome Hide(ContainerId id)
    {
        if (Unmount(paths.Root(id), detach: true) is not Outcome.Done and var busy)
            return busy;
        if (Directory.Exists(paths.RootPlace(id)))
            Directory.Delete(paths.RootPlace(id));
        return new Outcome.Done();
    }

    /// <summary>Why a file of what runs could not be read, a little while ago; null when all could.</summary>
    public string? Unread(Workload workload, DateTimeOffset now) =>
        workload is Runnable runs && paths.FlistLog(runs.Flist) is var log && now - File.GetLastWriteTimeUtc(log) < Recent
            && ReadFailure.Last(log) is { } failure && now - failure.At < Recent ? Because(failure.Failure, failure.Reason) : null;

    private MountSpec SpecOf(FlistId flist) => new(flist, paths.FlistMount(flist), paths.Cache, hubs, paths.FlistLog(flist));

    private static Outcome OutcomeOf(MountOutcome outcome) => outcome switch
    {
        MountOutcome.Mounted => new Outcome.Done(),
        MountOutcome.Failed { Failure: MountFailure.MachineCannot } f => new Outcome.Broken(f.Reason),
        MountOutcome.Failed f => new Outcome.Transient(Because(f.Failure, f.Reason)),
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    private static Outcome Unmount(string mountpoint, bool detach)
    {
        while (FlistMount.Find(mountpoint) is not null)
        {
            if (!FlistMount.Stop(mountpoint, detach))
                return new Outcome.Transient($"{mountpoint} is still in use.");
        }
        if (Directory.Exists(mountpoint))
            Directory.Delete(mountpoint);
        return new Outcome.Done();
    }

    // With the code that a version would have been refused with, had this been known when it was answered.
    private static string Because(MountFailure failure, string reason) => failure switch
    {
        MountFailure.FlistInvalid => new Refusal(RefusalCode.FlistInvalid, reason).ToString(),
        MountFailure.FlistUnavailable or MountFailure.TimedOut => new Refusal(RefusalCode.FlistIncomplete, reason).ToString(),
        _ => reason,
    };

    // A mount whose daemon is gone for good answers at once with an error; one whose daemon is coming back makes the caller wait.
    private static Sighting<FlistSeen> Answers(string mountpoint)
    {
        var look = Task.Run(() => FlistMount.IsServed(mountpoint));
        return look.Wait(LookPatience)
            ? new Sighting<FlistSeen>.Present(new FlistSeen(look.Result))
            : new Sighting<FlistSeen>.Unknown($"{mountpoint} does not answer within {LookPatience.TotalSeconds} s.");
    }
}
