using System.Collections.Immutable;
using System.Globalization;
using Grid.Node.Containers;

namespace Grid.Node.Volumes;

/// <summary>A place where the file system of a loop device is mounted.</summary>
/// <param name="Root">which directory of it</param>
/// <param name="IsReadOnly">the file system is, whatever the mount says: ext4 stops writing when its disk errs</param>
internal sealed record LoopMount(int Loop, string Root, string Point, bool IsReadOnly)
{
    private const string LoopMajor = "7:";

    public static ImmutableArray<LoopMount> Read() => Parse(File.ReadAllLines("/proc/self/mountinfo"));

    /// <summary>Who else still has the device mounted, in whatever mount namespace; null when nobody has.</summary>
    public static string? HolderOf(int loop)
    {
        var seen = new HashSet<string>();
        foreach (var (pid, args) in Processes.All())
        {
            if (NamespaceOf(pid) is not { } space || !seen.Add(space) || Processes.Read(pid, "mountinfo") is not { } mounts)
                continue;
            if (Parse(mounts.Split('\n', StringSplitOptions.RemoveEmptyEntries)).FirstOrDefault(m => m.Loop == loop) is { } mount)
                return $"{mount.Point} of process {pid} ({args[0]})";
        }
        return null;
    }

    /// <summary>What ext4 counts of the errors of its disk (/sys/fs/ext4, Documentation/ABI/testing/sysfs-fs-ext4), kept in its super block over remounts.</summary>
    public static string? ErrorsOf(int loop)
    {
        try
        {
            var directory = $"/sys/fs/ext4/loop{loop}/";
            string Read(string name) => File.ReadAllText(directory + name).Trim();
            // The first, for it stays the same however many follow.
            return Read("errors_count") is "0" ? null : $"its file system counts errors since {Read("first_error_func")}, block {Read("first_error_block")}";
        }
        catch (Exception e) when (Processes.Gone(e))
        {
            return null;
        }
    }

    // 36 35 7:3 /mnt1 /mnt2 rw,noatime - ext4 /dev/loop3 rw,errors=continue
    private static ImmutableArray<LoopMount> Parse(IEnumerable<string> lines)
    {
        var own = lines.Select(l => (Line: l, Device: l.Split(' ', 4)[2])).Where(l => l.Device.StartsWith(LoopMajor, StringComparison.Ordinal)).ToList();
        return
        [
            .. own.Zip(MountLine.Parse(own.Select(o => o.Line)), (o, m) => new LoopMount(
                int.Parse(o.Device.AsSpan(LoopMajor.Length), CultureInfo.InvariantCulture), m.Root, m.Point,
                m.SuperOptions.Contains("ro") || m.SuperOptions.Contains("emergency_ro"))),
        ];
    }

    private static string? NamespaceOf(int pid)
    {
        try
        {
            return new FileInfo($"/proc/{pid}/ns/mnt").LinkTarget;
        }
        catch (Exception e) when (Processes.Gone(e))
        {
            return null;
        }
    }
}
