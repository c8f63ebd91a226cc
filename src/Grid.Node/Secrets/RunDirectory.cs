using Grid.Flists.Mount;
using Grid.Node.Containers;

namespace Grid.Node.Secrets;

/// <summary>
/// Where a node keeps what a reboot must end: bundles, sockets, the keys of disks that are open, opened secrets. None of it may reach a disk, so where the machine's own
/// <c>/run</c> is on one, the node's becomes a tmpfs of its own.
/// </summary>
internal static class RunDirectory
{
    private const string Source = "grid-run";

    /// <summary>Some ten KiB for each workload.</summary>
    private const string Size = "256m";

    /// <returns>true when nothing that is written there reaches a disk</returns>
    public static bool Prepare(string path)
    {
        path = Path.GetFullPath(path);
        Directory.CreateDirectory(path);
        if (IsInMemory(path))
            return true;
        // What an earlier agent left there belongs to workloads that run; it is not covered.
        if (!Environment.IsPrivilegedProcess || Directory.EnumerateFileSystemEntries(path).Any())
            return false;
        using var mount = MemoryMount.Make(Source, Size, "0755");
        MountApi.Place(mount, path);
        return true;
    }

    /// <summary>Takes away what <see cref="Prepare"/> mounted, unless something in it is still in use.</summary>
    public static void Leave(string path)
    {
        path = Path.GetFullPath(path);
        if (MountLine.Read("self").LastOrDefault(m => m.Point == path) is { Type: MemoryMount.Tmpfs or MemoryMount.Ramfs, Source: Source })
            MountApi.Unmount(path);
    }

    // By the deepest mount that the path lies in; of several on one point, the last.
    private static bool IsInMemory(string path) =>
        MountLine.Read("self").Where(m => MountLine.Within(path, m.Point)).Aggregate((MountLine?)null, (deepest, m) => m.Point.Length >= (deepest?.Point.Length ?? 0) ? m : deepest)
            is { Type: MemoryMount.Tmpfs or MemoryMount.Ramfs };
}
