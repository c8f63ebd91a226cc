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

    /// <summary>What its file system found wrong with its disk; null when nothing.</summary>
    public string? Fault => Ext4.FaultOf($"loop{Loop}", IsReadOnly);

    /// <summary>Who else still has the device mounted, in whatever mount namespace; null when nobody has.</summary>
    public static string? HolderOf(int loop)
    {
        var seen = new HashSet<string>();
        foreach (var (pid, args) in Processes.All())
        {
            if (Processes.NamespaceOf(pid, "mnt") is not { } space || !seen.Add(space) || Processes.Read(pid, "mountinfo") is not { } mounts)
                continue;
            if (Parse(mounts.Split('\n', StringSplitOptions.RemoveEmptyEntries)).FirstOrDefault(m => m.Loop == loop) is { } mount)
                return $"{mount.Point} of process {pid} ({args[0]})";
        }
        return null;
    }

    // 36 35 7:3 /mnt1 /mnt2 rw,noatime - ext4 /dev/loop3 rw,errors=continue
    public static ImmutableArray<LoopMount> Parse(IEnumerable<string> lines)
    {
        var own = lines.Select(l => (Line: l, Device: l.Split(' ', 4)[2])).Where(l => l.Device.StartsWith(LoopMajor, StringComparison.Ordinal)).ToList();
        return
        [
            .. own.Zip(MountLine.Parse(own.Select(o => o.Line)), (o, m) => new LoopMount(
                int.Parse(o.Device.AsSpan(LoopMajor.Length), CultureInfo.InvariantCulture), m.Root, m.Point, m.IsStopped)),
        ];
    }
}
