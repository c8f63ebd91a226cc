using System.Collections.Immutable;
using Grid.Node.Containers;

namespace Grid.Node.Volumes;

/// <summary>The block devices below a file system, as sysfs shows them (Documentation/ABI/stable/sysfs-block).</summary>
internal static class BlockDevices
{
    private const string Devices = "/sys/dev/block", Names = "/sys/class/block", Btrfs = "/sys/fs/btrfs";

    /// <summary>
    /// All disks that hold anything of it, by their names in /sys/block: a partition's disk, and what lies below a mapping (dm-crypt, LVM) or an array. One half of a
    /// mirror is among them.
    /// </summary>
    /// <param name="mount">where it is mounted, for one that has no device of its own (btrfs); null when that is not known</param>
    public static ImmutableHashSet<string> Below(uint major, uint minor, MountLine? mount)
    {
        var found = ImmutableHashSet.CreateBuilder<string>();
        foreach (var name in NameOf(major, minor) is { } own ? [own] : mount is null ? [] : Members(mount.Source))
            Add(name);
        return found.ToImmutable();

        void Add(string name)
        {
            var link = new FileInfo($"{Names}/{name}").LinkTarget;
            if (link is null)
                return;
            var disk = File.Exists($"{Names}/{name}/partition") ? Path.GetFileName(Path.GetDirectoryName(link))! : name;
            if (found.Add(disk) && Directory.Exists($"{Names}/{name}/slaves"))
            {
                foreach (var slave in Directory.EnumerateFileSystemEntries($"{Names}/{name}/slaves"))
                    Add(Path.GetFileName(slave));
            }
        }
    }

    /// <summary>The kernel's name of a device; what was mounted may be another name for it. Null when there is none such.</summary>
    public static string? NameOf(uint major, uint minor) => Path.GetFileName(new FileInfo($"{Devices}/{major}:{minor}").LinkTarget);

    private static IEnumerable<string> Members(string source)
    {
        var name = Path.GetFileName(File.ResolveLinkTarget(source, returnFinalTarget: true)?.FullName ?? source);
        var all = Directory.Exists(Btrfs) ? Directory.EnumerateDirectories(Btrfs).Select(d => $"{d}/devices").FirstOrDefault(d => Directory.Exists($"{d}/{name}")) : null;
        return all is null ? [name] : Directory.EnumerateFileSystemEntries(all).Select(d => Path.GetFileName(d));
    }
}
