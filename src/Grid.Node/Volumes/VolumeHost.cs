using System.Collections.Immutable;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Grid.Flists.Mount;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Machines;
using Grid.Node.Volumes.Interop;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Volumes;

/// <summary>
/// Makes, grows, observes, detaches and destroys the volumes of this node; decides nothing. Every effect may run twice and may be cut short anywhere:
/// <see cref="Observe"/> finds what it left. Effects on one volume must not overlap; on different ones they may.
/// <code>
/// data disk   agr1….data.image ── loop device ── ext4 ── run/volumes/agr1….data/data ── a view per container, in its own range of ids
///             agr1….data.key   ── sealed to the node ──┘ key in the kernel
/// </code>
/// A disk, which is a machine's, is an image that is not mounted here: behind a LUKS header lies what the machine writes, and the emulator is given the key.
/// An image is formatted once, before anybody could write to it, under another name. What has the name of an image is only ever mounted.
/// </summary>
public sealed partial class VolumeHost : IDisposable
{
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(2), Moment = TimeSpan.FromMilliseconds(500);

    private readonly ImmutableArray<OpenDisk> _disks;
    private readonly string _mounts;
    private readonly VolumeKeys _keys;
    private readonly TimeProvider _time;

    private VolumeHost(ImmutableArray<OpenDisk> disks, string mounts, VolumeKeys keys, TimeProvider time)
    {
        (_disks, _mounts, _keys, _time) = (disks, mounts, keys, time);
        _log = KernelLog.Open(out var deaf);
        Deaf = deaf;
    }

    /// <summary>Looks for what this machine offers.</summary>
    /// <param name="run">what does not survive a reboot; the volumes are mounted below</param>
    /// <param name="secret">the node's, 32 bytes; it opens the keys of the volumes</param>
    /// <param name="known">the file that says which disks were there before, see <see cref="KnownDisks"/>; null where that does not matter</param>
    /// <returns>null, and in <paramref name="why"/> what is missing</returns>
    public static VolumeHost? Open(ImmutableArray<DataDisk> disks, string run, ReadOnlySpan<byte> secret, TimeProvider time, out string why, string? known = null)
    {
        why = "";
        if (!Environment.IsPrivilegedProcess)
            why = "volumes need root";
        else if (disks.IsEmpty)
            why = "no data disk is named";
        else if (!File.Exists("/dev/loop-control"))
            why = "the kernel has no loop devices";
        else
            why = Ext4.Missing() ?? "";
        var open = ImmutableArray.CreateBuilder<OpenDisk>();
        foreach (var disk in why.Length == 0 ? disks : [])
        {
            if (OpenDisk.Open(disk, out why, known is null ? null : new KnownDisks(known)) is not { } opened)
                return null;
            open.Add(opened);
        }
        return why.Length == 0 ? new VolumeHost(open.ToImmutable(), Path.Combine(Path.GetFullPath(run), "volumes"), new VolumeKeys(secret), time) : null;
    }

    /// <summary>What can be offered as <see cref="Capacity.Ssd"/> and <see cref="Capacity.Hdd"/>: what volumes hold and what is free for more.</summary>
    /// <exception cref="IOException">a disk does not answer</exception>
    public Capacity Capacity()
    {
        Bytes Of(Media media) => new(_disks.Where(d => d.Media == media).GroupBy(d => d.Device).Sum(g =>
        {
            var held = g.Sum(d => d.Find().Select(f => new FileInfo(f.Image)).Where(f => f.Exists).Sum(f => f.Length));
            var all = held + g.First().Free.Value;
            // Volumes have a footprint beyond their size; a thousandth is enough for any but very many very small ones.
            return (all - (all >> 10)) & ~0xF_FFFFL;
        }));
        return Units.Capacity.None with { Ssd = Of(Media.Ssd), Hdd = Of(Media.Hdd) };
    }

    /// <summary>Reads directories, attributes and the mount table; nothing is started.</summary>
    public VolumeSightings Observe()
    {
        var seen = new Dictionary<WorkloadKey, VolumeSighting>();
        string? blind = null;
        var lines = ReadMounts();
        var faults = Faults(lines);
        var mounts = LoopMount.Parse(lines).ToLookup(m => m.Point);
        foreach (var disk in _disks)
        {
            try
            {
                if (disk.Missing() is { } missing)
                {
                    blind = missing;
                    continue;
                }
                var fault = faults.TryGetValue(disk, out var why) ? $"its data disk {disk.Directory}: {why}" : null;
                foreach (var files in disk.Find())
                {
                    var key = files.Id.Key;
                    seen[key] = seen.ContainsKey(key) ? new VolumeSighting.Unknown("it is on two disks") : Observe(files, mounts[MountPointOf(files.Id)].FirstOrDefault(), fault);
                }
            }
            catch (Exception e) when (Effect.IsOfTheMachine(e))
            {
                blind = $"the data disk {disk.Directory} does not answer: {e.Message}";
            }
        }
        return new VolumeSightings(seen.ToImmutableDictionary(), blind) { Fault = Said(faults) };
    }

    /// <summary>The volume as the node sees it, when it is mounted. Containers are given a view of it, see <see cref="AttachAsync"/>.</summary>
    public string PathOf(WorkloadKey key) => Path.Combine(MountPointOf(IdOf(key)), Ext4.DataDirectory);

    /// <summary>Absent: made and mounted. Idle: mounted. Smaller: grown, while workloads write. A volume that would have to shrink is refused.</summary>
    /// <param name="promised">what else has to find a place on the disks</param>
    public Task<Outcome> MakeAsync(WorkloadKey key, Volume volume, ImmutableDictionary<WorkloadKey, Volume>? promised = null) => OnDisk(() =>
    {
        var outcome = Make(IdOf(key), volume, promised ?? ImmutableDictionary<WorkloadKey, Volume>.Empty);
        // Written once it is there; until then nothing destroys it.
        if (outcome is Outcome.Done && Locate(IdOf(key), out _) is { } files && files.Keep != volume.Keep)
        {
            files.Keep = volume.Keep;
            files.SyncImage();
        }
        return outcome;
    });

    /// <summary>
    /// Shows a mounted volume to one container: an idmapped mount, in which uid 0 of the volume is the first of <paramref name="uids"/>. Containers with different
    /// ranges see the same owners. Whoever removes the container detaches the view.
    /// </summary>
    /// <param name="at">where; made when it is not there, and what was mounted there before is detached</param>
    public Task<Outcome> AttachAsync(WorkloadKey key, string at, UidRange uids) => OnDisk(() =>
    {
        if (LoopMount.Read().All(m => m.Point != MountPointOf(IdOf(key))))
            return new Outcome.Transient($"the volume {key} is not mounted");
        Directory.CreateDirectory(at);
        while (MountLine.Read("self").Any(m => m.Point == at))
            Posix.Detach(at);
        IdmappedBind.Create(PathOf(key), at, uids.Ids, writable: true);
        return new Outcome.Done();
    });

    /// <summary>Shows a disk to one machine, as <see cref="AttachAsync"/> does with files, and writes down what opens it.</summary>
    /// <param name="at">a file, there already</param>
    /// <param name="secret">a file that is made, for that machine's root alone, on a tmpfs; the passphrase of the disk's LUKS header</param>
    public Task<Outcome> AttachDiskAsync(WorkloadKey key, string at, string secret, UidRange uids) => OnDisk(() =>
    {
        if (Locate(IdOf(key), out var fault) is not { Form: VolumeForm.Disk, Detached: null } files)
            return fault ?? new Outcome.Transient($"the disk {key} is not there");
        Span<byte> opener = stackalloc byte[LinuxFscrypt.KeySize];
        try
        {
            if (!_keys.TryOpen(files.Id, File.ReadAllBytes(files.Key), opener))
                return new Outcome.Broken($"{files.Key} is not the key of {files.Id}, or not this node's");
            var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite };
            using var file = new FileStream(secret, options);
            file.Write(LuksHeader.Passphrase(opener));
            SysStat.SetOwner(secret, uids.First, uids.First);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(opener);
        }
        IdmappedBind.Create(files.Image, at, uids.Ids, writable: true);
        return new Outcome.Done();
    });

    /// <summary>Unmounts it; with the last mount the kernel forgets the key. The data stays, and since when is written down the first time.</summary>
    public Task<Outcome> DetachAsync(WorkloadKey key) => OnDisk(() => Locate(IdOf(key), out var fault) switch
    {
        { } files => Detach(files),
        null => fault ?? new Outcome.Done(),
    });

    /// <summary>Detaches it, destroys the key, then removes what nobody can read any more.</summary>
    public Task<Outcome> DestroyAsync(WorkloadKey key) => OnDisk(() => Locate(IdOf(key), out var fault) switch
    {
        { } files => Destroy(files),
        null => fault ?? new Outcome.Done(),
    });

    public void Dispose()
    {
        _log?.Dispose();
        _keys.Dispose();
    }

    /// <summary>Whether files that are mounted can grow here.</summary>
    // CAP_SYS_RESOURCE is bit 24 (capability.h).
    public static bool CanGrow { get; } = File.ReadLines("/proc/self/status").FirstOrDefault(l => l.StartsWith("CapEff:", StringComparison.Ordinal)) is { } line
        && (ulong.Parse(line.AsSpan(7).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture) & (1UL << 24)) != 0;

    private static ContainerId IdOf(WorkloadKey key) => new(key.Agreement, key.Name);

    private string MountPointOf(ContainerId id) => Path.Combine(_mounts, id.ToString());

    /// <param name="fault">of its data disk; a file system of the volume's own says more</param>
    private static VolumeSighting Observe(VolumeFiles files, LoopMount? mount, string? fault)
    {
        var media = files.Disk.Media;
        if (mount is not null && File.Exists(files.Image))
            return new VolumeSighting.Mounted(files.Size, media, mount.Fault ?? fault) { Keep = files.Keep };
        var key = File.Exists(files.Key) ? File.ReadAllBytes(files.Key) : null;
        return (Image: File.Exists(files.Image), Key: key) switch
        {
            (_, { } k) when VolumeKeys.IsWiped(k) => new VolumeSighting.Wiped(media),
            (true, null) => new VolumeSighting.Lost(media, $"{files.Key} is not there"),
            (_, { } k) when !VolumeKeys.IsKey(k) => new VolumeSighting.Lost(media, $"{files.Key} is not a key"),
            (true, _) when files.Form is VolumeForm.Disk && files.Detached is null => new VolumeSighting.Mounted(files.Size, media, fault) { Keep = files.Keep },
            (true, _) => new VolumeSighting.Idle(files.Size, media, files.Detached) { Keep = files.Keep },
            (false, { }) when !File.Exists(files.MakingImage) => new VolumeSighting.Lost(media, $"{files.Image} is not there, and its key is"),
            _ => new VolumeSighting.Partial(media),
        };
    }

    /// <returns>null when there is none, or when that cannot be told</returns>
    private VolumeFiles? Locate(ContainerId id, out Outcome? fault)
    {
        fault = _disks.Select(d => d.Missing()).OfType<string>().FirstOrDefault() is { } missing ? new Outcome.Broken(missing) : null;
        var found = _disks.SelectMany(d => d.Find()).Where(f => f.Id == id).ToList();
        if (found.Count > 1)
            fault = new Outcome.Broken($"{id} is on two disks");
        return found is [var files] ? files : null;
    }

    private Outcome Detach(VolumeFiles files)
    {
        var point = MountPointOf(files.Id);
        while (LoopMount.Read().Any(m => m.Point == point))
        {
            // What is just being started anywhere in the agent holds copies of all that is open here, until it is executed.
            for (var clock = Stopwatch.StartNew(); !MountApi.Unmount(point); Thread.Sleep(5))
            {
                if (clock.Elapsed > Moment)
                    return new Outcome.Transient($"files of {files.Id} are open");
            }
        }
        Posix.RemoveDirectory(point);
        if (!File.Exists(files.Image))
            return new Outcome.Done();
        for (var clock = Stopwatch.StartNew(); ; Thread.Sleep(1))
        {
            using (var device = LoopDevice.Find(files.Image))
            {
                if (device is null)
                    break;
                if (clock.Elapsed > Settle)
                    return new Outcome.Transient($"{files.Id} is still held by {LoopMount.HolderOf(device.Number) ?? "somebody"}");
            }
        }
        if (files.Detached is null)
        {
            files.Detached = _time.GetUtcNow();
            files.SyncImage();
        }
        return new Outcome.Done();
    }

    private Outcome Destroy(VolumeFiles files)
    {
        if (Detach(files) is not Outcome.Done and var held)
            return held;
        if (File.Exists(files.Key))
            VolumeKeys.Wipe(files.Key);
        File.Delete(files.Image);
        Discard(files);
        files.SyncNames();
        File.Delete(files.Key);
        files.SyncNames();
        return new Outcome.Done();
    }

    private static Task<Outcome> OnDisk(Func<Outcome> effect) => Effect.Run(effect, e =>
    {
        var errno = e is Win32Exception native ? native.NativeErrorCode : e.HResult & 0xFFFF;
        // The disk itself says so: what is asked of it next would not be better.
        return errno is FcntlH.EIO or FcntlH.EROFS or FcntlH.EUCLEAN ? new Outcome.Broken(e.Message) : new Outcome.Transient(e.Message);
    });
}
