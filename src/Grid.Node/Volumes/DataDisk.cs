using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Volumes.Interop;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Volumes;

/// <summary>Where images of volumes lie.</summary>
/// <param name="Directory">
/// exists; nobody makes it here, so that a disk which is not mounted is seen to be missing rather than taken for an empty one
/// (a directory below the mount point serves best). Its file system stores user xattrs: ext4, btrfs, xfs
/// </param>
public sealed record DataDisk(string Directory, Media Media);

/// <summary>A data disk that was there when the agent started.</summary>
internal sealed class OpenDisk
{
    private readonly FileIdentity _identity;

    private OpenDisk(DataDisk disk, string directory, FileIdentity identity) => (Media, Directory, _identity) = (disk.Media, directory, identity);

    public Media Media { get; }

    /// <summary>Without symbolic links, as the kernel names it.</summary>
    public string Directory { get; }

    /// <returns>null and why</returns>
    public static OpenDisk? Open(DataDisk disk, out string why)
    {
        try
        {
            using var handle = FcntlH.Open(disk.Directory, FcntlH.O_RDONLY);
            var directory = new FileInfo($"/proc/self/fd/{Posix.Number(handle)}").LinkTarget!;
            // What it says of itself is proof that it can be written and stores xattrs.
            SysXattr.Set(directory, "user.grid.disk", disk.Media is Media.Ssd ? "ssd" : "hdd");
            why = "";
            return new OpenDisk(disk, directory, SysStat.Identify(directory) ?? throw new IOException("it has no identity"));
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or IOException)
        {
            why = $"the data disk {disk.Directory} cannot be used: {e.Message}";
            return null;
        }
    }

    /// <returns>why it is not what it was; null when it is</returns>
    public string? Missing() => SysStat.Identify(Directory) == _identity ? null : $"the data disk {Directory} is gone";

    /// <summary>What its file system found wrong with it; null when nothing is known to be. What lies on it may be read all the same.</summary>
    /// <param name="mounts">lines of mountinfo</param>
    public string? Fault(IEnumerable<string> mounts)
    {
        var id = $"{_identity.Mount} ";
        var mount = MountLine.Parse(mounts.Where(l => l.StartsWith(id, StringComparison.Ordinal))).FirstOrDefault();
        // By the kernel's name of the device; what was mounted may be another name for it.
        var device = new FileInfo($"/sys/dev/block/{_identity.Major}:{_identity.Minor}").LinkTarget;
        return Ext4.FaultOf(Path.GetFileName(device) ?? "", mount?.IsStopped is true) is { } fault ? $"its data disk {Directory}: {fault}" : null;
    }

    /// <summary>By which file system, for two directories may share one.</summary>
    public (uint Major, uint Minor) Device => (_identity.Major, _identity.Minor);

    public Bytes Free => new(new DriveInfo(Directory).AvailableFreeSpace);

    /// <summary>What an image takes at most: itself, the file system's record of where it lies, and its key.</summary>
    public static Bytes Footprint(Bytes size) => size + new Bytes((size.Value >> 12) + 0x1_0000);

    /// <summary>Every volume of which there is anything. What other files lie there is none of ours.</summary>
    public IEnumerable<VolumeFiles> Find() =>
        from path in System.IO.Directory.EnumerateFiles(Directory)
        let id = VolumeFiles.IdOf(Path.GetFileName(path))
        where id is not null
        group path by id.Value into files
        select new VolumeFiles(this, files.Key);
}
