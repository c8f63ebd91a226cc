using System.Collections.Immutable;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Volumes;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Agent;

/// <summary>
/// The volumes of this node, and each container's own views of those it mounts, in its range of user ids.
/// <code>RUN/views/agr1….web/data    the view that the container "web" has of the volume "data"</code>
/// </summary>
/// <param name="promised">to whom volumes are promised that have yet to find a place</param>
internal sealed class VolumeViews(VolumeHost host, string directory, Func<ImmutableDictionary<WorkloadKey, Volume>>? promised = null)
{
    public VolumeHost Host => host;

    /// <returns>
    /// and why a volume that is not among them may be there all the same: the disk that does not answer may hold it. Null when it cannot be. And what is wrong with
    /// a disk that does answer
    /// </returns>
    public (ImmutableSortedDictionary<WorkloadKey, Sighting<VolumeSeen>> Seen, string? Unseen, string? Fault) Observe()
    {
        var seen = host.Observe();
        return (seen.Volumes.ToImmutableSortedDictionary(v => v.Key, v => Seen(v.Value)), seen.Blind, seen.Fault);
    }

    public Task<Outcome> MakeAsync(WorkloadKey key, Volume volume) => host.MakeAsync(key, volume, promised?.Invoke());

    public Task<Outcome> DetachAsync(WorkloadKey key) => host.DetachAsync(key);

    public Task<Outcome> DestroyAsync(WorkloadKey key) => host.DestroyAsync(key);

    /// <summary>Shows a container the volumes that it mounts.</summary>
    /// <param name="anew">false: a view that is there is its own, and perhaps in use</param>
    /// <returns>where each is, by its name; or why not</returns>
    public async Task<(ImmutableDictionary<string, string> Paths, Outcome Outcome)> ShowAsync(WorkloadKey key, Container container, UidRange uids, bool anew)
    {
        var paths = ImmutableDictionary.CreateBuilder<string, string>();
        var place = Of(ContainerId.Of(key));
        if (await Effect.Run(() =>
        {
            ContainerPlace.Make(place, uids);
            return new Outcome.Done();
        }) is not Outcome.Done and var unmade)
            return (ImmutableDictionary<string, string>.Empty, unmade);
        foreach (var volume in container.Mounts.Select(m => m.Volume).Distinct())
        {
            var at = Path.Combine(place, volume);
            if ((anew || !MountLine.Read("self").Any(m => m.Point == at)) && await host.AttachAsync(key with { Name = volume }, at, uids) is not Outcome.Done and var failed)
                return (ImmutableDictionary<string, string>.Empty, failed);
            paths[volume] = at;
        }
        return (paths.ToImmutable(), new Outcome.Done());
    }

    /// <summary>The containers that have views, whether or not anything else of them is there.</summary>
    public IEnumerable<ContainerId> Viewers() => ContainerId.NamedIn(directory);

    /// <summary>Takes a container's views away. Directories are removed only when they are empty: behind one that is not lies somebody's data.</summary>
    public void Hide(ContainerId id)
    {
        var all = Of(id);
        if (!Directory.Exists(all))
            return;
        MountLine.DetachBelow(all);
        foreach (var view in Directory.EnumerateDirectories(all))
            Directory.Delete(view);
        Directory.Delete(all);
    }

    private string Of(ContainerId id) => Path.Combine(directory, id.ToString());

    private static Sighting<VolumeSeen> Seen(VolumeSighting sighting) => sighting switch
    {
        VolumeSighting.Mounted m => new Sighting<VolumeSeen>.Present(new VolumeSeen(m.Size, Attached: true, null, m.Keep) { Fault = m.Fault }),
        VolumeSighting.Idle i => new Sighting<VolumeSeen>.Present(new VolumeSeen(i.Size, Attached: false, i.Since, i.Keep)),
        // Nobody's data is in these: what is left of them goes at once.
        VolumeSighting.Partial or VolumeSighting.Wiped => new Sighting<VolumeSeen>.Present(new VolumeSeen(Bytes.Zero, Attached: false, DateTimeOffset.UnixEpoch, TimeSpan.Zero)),
        VolumeSighting.Unknown u => new Sighting<VolumeSeen>.Unknown(u.Why),
        VolumeSighting.Lost l => new Sighting<VolumeSeen>.Unknown(l.Why),
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
