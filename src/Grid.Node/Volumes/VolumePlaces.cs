using System.Collections.Immutable;
using Grid.Node.Containers;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Volumes;

/// <summary>On which disk a volume comes to lie: one with room for it, and with which there is room for all the others that are promised one.</summary>
public sealed partial class VolumeHost
{
    // What looks for a place and what takes one do so one after the other.
    private readonly Lock _placing = new();

    /// <summary>Whether volumes can be there beside all that is promised: those that exist stay where they are and as they are, and grow there.</summary>
    /// <param name="wanted">by one version of an agreement</param>
    /// <param name="promised">by all that this node has to keep, the version before that one among them</param>
    /// <returns>null when they can</returns>
    /// <exception cref="IOException">a disk does not answer</exception>
    public Refusal? Examine(ImmutableDictionary<WorkloadKey, Volume> wanted, ImmutableDictionary<WorkloadKey, Volume> promised)
    {
        if (wanted.IsEmpty)
            return null;
        if (_disks.Select(d => d.Missing()).OfType<string>().FirstOrDefault() is { } missing)
            return new Refusal(RefusalCode.Capacity, $"On this node {missing}; what there is room for is not known.", "Ask again when it is back, or another node.");
        lock (_placing)
        {
            var there = There();
            foreach (var (key, volume) in wanted)
            {
                if (there.GetValueOrDefault(IdOf(key)) is { } stands && Unlike(stands, volume) is { } unlike)
                    return unlike;
                if ((there.TryGetValue(IdOf(key), out var files) && File.Exists(files.Image) ? files.Size : promised.GetValueOrDefault(key)?.Size) is { } has && CannotGrow(volume, has) is { } cannot)
                    return cannot;
            }
            if (wanted.All(w => there.TryGetValue(IdOf(w.Key), out var files) && Growth(files, w.Value) == 0))
                return null;
            var (free, wants) = Room(there, promised.SetItems(wanted));
            var faults = Faults();
            return free.Values.All(f => f >= 0) && Placing.Fits(wants, Places(faults), free) ? null : new Refusal(
                RefusalCode.Capacity, $"A volume lies on one disk, and no disk of this node has room for {string.Join(" and ", wanted.Values.Select(v => $"'{v.Name}' of {v.Size} ({(v.Media is Media.Ssd ? "ssd" : "hdd")})"))} beside what is promised{(Said(faults) is { } said ? $"; {said}" : "")}.",
                "Ask for smaller ones, or another node.");
        }
    }

    private ImmutableArray<(Media Media, (uint, uint) Device)> Places(ImmutableDictionary<OpenDisk, string> faults) =>
        [.. _disks.Where(d => !faults.ContainsKey(d)).Select(d => (d.Media, d.Device)).Distinct()];

    private Dictionary<ContainerId, VolumeFiles> There() => _disks.SelectMany(d => d.Find()).GroupBy(f => f.Id).ToDictionary(g => g.Key, g => g.First());

    /// <summary>A file system that is mounted grows for CAP_SYS_RESOURCE only.</summary>
    private static Refusal? CannotGrow(Volume volume, Bytes has) => CanGrow || has >= volume.Size || volume.Form is VolumeForm.Disk ? null : new Refusal(
        RefusalCode.GrowthUnsupported, $"The volume '{volume.Name}' has {has} and cannot grow to {volume.Size} on this node: ext4 wants CAP_SYS_RESOURCE, which its agent does not have.",
        "Add a new volume and copy.");

    /// <summary>What is free on each file system once those that exist have grown, and what the others need, by medium.</summary>
    private (Dictionary<(uint, uint), long> Free, List<(Media, long)> Wants) Room(Dictionary<ContainerId, VolumeFiles> there, IEnumerable<KeyValuePair<WorkloadKey, Volume>> volumes)
    {
        var free = _disks.GroupBy(d => d.Device).ToDictionary(g => g.Key, g => g.First().Free.Value);
        var wants = new List<(Media, long)>();
        foreach (var (key, volume) in volumes)
        {
            if (there.TryGetValue(IdOf(key), out var files))
                free[files.Disk.Device] -= Growth(files, volume);
            else
                wants.Add((volume.Media, OpenDisk.Footprint(LengthOf(volume.Size, volume.Form)).Value));
        }
        return (free, wants);
    }

    private static long Growth(VolumeFiles files, Volume volume)
    {
        var image = new FileInfo(File.Exists(files.Image) ? files.Image : files.MakingImage);
        var length = LengthOf(volume.Size, volume.Form).Value;
        return image.Exists && image.Length < length ? OpenDisk.Footprint(new Bytes(length - image.Length)).Value : 0;
    }

    /// <summary>Of the sound disks with room the one with most of it, unless with that some other volume would find none.</summary>
    private OpenDisk? Choose(ContainerId id, Volume volume, ImmutableDictionary<WorkloadKey, Volume> promised)
    {
        var need = OpenDisk.Footprint(LengthOf(volume.Size, volume.Form)).Value;
        var faults = Faults();
        var candidates = _disks.Where(d => d.Media == volume.Media && !faults.ContainsKey(d) && d.Free.Value >= need).OrderByDescending(d => d.Free).ToList();
        if (candidates.Count < 2)
            return candidates.FirstOrDefault();
        var (free, wants) = Room(There(), promised.Where(p => IdOf(p.Key) != id));
        return candidates.Find(d => Placing.Fits(wants, Places(faults), new(free) { [d.Device] = free[d.Device] - need })) ?? candidates[0];
    }
}

/// <summary>Things of several sizes on disks of several kinds.</summary>
internal static class Placing
{
    // All ways are too many where there are many of each; what was not found by then counts as not fitting.
    private const int MostTries = 20_000;

    /// <summary>Whether each finds a place: the largest first, and where most is free first.</summary>
    public static bool Fits<T>(IEnumerable<(Media Media, long Need)> wants, ImmutableArray<(Media Media, T Device)> places, Dictionary<T, long> free)
        where T : notnull
    {
        var (sorted, left, tries) = (wants.OrderByDescending(w => w.Need).ToList(), new Dictionary<T, long>(free), 0);
        return Fit(0);

        bool Fit(int at)
        {
            if (at == sorted.Count)
                return true;
            var (media, need) = sorted[at];
            // Two with as much room are one for this.
            foreach (var device in places.Where(p => p.Media == media && left[p.Device] >= need).Select(p => p.Device).Distinct().OrderByDescending(d => left[d]).DistinctBy(d => left[d]).ToList())
            {
                if (++tries > MostTries)
                    return false;
                left[device] -= need;
                if (Fit(at + 1))
                    return true;
                left[device] += need;
            }
            return false;
        }
    }
}
