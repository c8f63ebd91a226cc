using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Volumes.Interop;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Volumes;

/// <summary>Where images of volumes lie.</summary>
/// <param name="Directory">
/// exists; nobody makes it here, so that a disk which is not mounted is seen to be missing rather than taken for an empty one, the first time too
/// (a directory below the mount point serves best). Its file system stores user xattrs: ext4, btrfs, xfs
/// </param>
public sealed record DataDisk(string Directory, Media Media);

/// <summary>
/// A data disk that was there when the agent started. What is known of it is an extended attribute of its directory:
/// <code>
/// user.grid.disk    "ssd" or "hdd"
/// user.grid.id      which disk it is, 32 hexadecimal digits, since it was first used
/// user.grid.erred   the first error of what it lies on; it stays until the farmer, who has seen to it, takes it back
/// </code>
/// </summary>
internal sealed class OpenDisk
{
    private const string MediaName = "user.grid.disk", IdName = "user.grid.id", ErrorName = "user.grid.erred";

    private readonly FileIdentity _identity;
    private string? _unwritten;

    private OpenDisk(DataDisk disk, string directory, FileIdentity identity) => (Media, Directory, _identity) = (disk.Media, directory, identity);

    public Media Media { get; }

    /// <summary>Null until it is used for the first time.</summary>
    public string? Id
    {
        get => SysXattr.Get(Directory, IdName);
        set => SysXattr.Set(Directory, IdName, value!);
    }

    /// <summary>Without symbolic links, as the kernel names it.</summary>
    public string Directory { get; }

    /// <returns>null and why</returns>
    public static OpenDisk? Open(DataDisk disk, out string why, KnownDisks? known = null)
    {
        try
        {
            using var handle = FcntlH.Open(disk.Directory, FcntlH.O_RDONLY);
            var directory = new FileInfo($"/proc/self/fd/{Posix.Number(handle)}").LinkTarget!;
            var opened = new OpenDisk(disk, directory, SysStat.Identify(directory) ?? throw new IOException("it has no identity"));
            if (known?.Meet(opened) is { } another)
            {
                why = another;
                return null;
            }
            // What it says of itself is proof that it can be written and stores xattrs.
            SysXattr.Set(directory, MediaName, disk.Media is Media.Ssd ? "ssd" : "hdd");
            why = "";
            return opened;
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or IOException)
        {
            why = $"the data disk {disk.Directory} cannot be used: {e.Message}";
            return null;
        }
    }

    /// <returns>why it is not what it was; null when it is</returns>
    public string? Missing() => SysStat.Identify(Directory) == _identity ? null : $"the data disk {Directory} is gone";

    /// <summary>What its file system found wrong with it, or the kernel with what that lies on; null when nothing is known to be. What lies on it may be read all the same.</summary>
    /// <param name="mounts">lines of mountinfo</param>
    public string? Fault(IEnumerable<string> mounts) =>
        Ext4.FaultOf(BlockDevices.NameOf(_identity.Major, _identity.Minor) ?? "", MountOf(mounts)?.IsStopped is true) ?? _unwritten ?? Written();

    /// <summary>A disk erred. If this is on it, that is written down here, the first time, for whoever looks later.</summary>
    public void Hear(DiskError error, IEnumerable<string> mounts, DateTimeOffset now)
    {
        if (Fault(mounts) is not null || !BlockDevices.Below(_identity.Major, _identity.Minor, MountOf(mounts)).Contains(error.Disk))
            return;
        var text = $"{error}, {now:yyyy-MM-dd'T'HH:mm:ss'Z'}";
        try
        {
            SysXattr.Set(Directory, ErrorName, text);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            // It cannot be written, which is no less of a fault.
            _unwritten = text;
        }
    }

    /// <returns>what had been written down; null when nothing had</returns>
    /// <exception cref="System.ComponentModel.Win32Exception">there is no such directory, or nothing can be written there</exception>
    public static string? Forget(string directory)
    {
        var noted = SysXattr.Get(directory, ErrorName);
        SysXattr.Remove(directory, ErrorName);
        return noted;
    }

    private string? Written()
    {
        try
        {
            return SysXattr.Get(Directory, ErrorName);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return e.Message;
        }
    }

    private MountLine? MountOf(IEnumerable<string> mounts)
    {
        var id = $"{_identity.Mount} ";
        return MountLine.Parse(mounts.Where(l => l.StartsWith(id, StringComparison.Ordinal))).FirstOrDefault();
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
