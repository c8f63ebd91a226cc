using System.Collections.Immutable;

namespace Grid.Node.Containers;

/// <summary>
/// How the mounts of a runtime and its shim differ from the node's. crun 1.8 refuses a machine that has version 1 cgroups and, beside them,
/// a version 2 hierarchy; so it is started where an empty file system covers that one. And because such a private copy of the mount table
/// would keep every other workload's file tree alive for as long as the shim lives, it lets go of all mounts that this container does not need.
/// </summary>
internal sealed record PrivateMounts(ImmutableArray<string> Covered, ImmutableArray<string> Detached)
{
    private static readonly ImmutableArray<string> System = ["/proc", "/sys", "/dev", "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"];

    /// <param name="covered">mount points of the hierarchies to hide</param>
    /// <param name="needed">absolute paths that must stay reachable with all that is mounted below them</param>
    public static PrivateMounts Plan(ImmutableArray<MountLine> mounts, ImmutableArray<string> covered, ImmutableArray<string> needed) => new(
        covered,
        [
            .. mounts.Select(m => m.Point).Distinct()
                .Where(point => !System.Any(s => Within(point, s)) && !needed.Any(n => Within(point, n) || Within(n, point)))
                .OrderBy(point => point, StringComparer.Ordinal),
        ]);

    private static bool Within(string path, string ancestor) =>
        path == ancestor || ancestor == "/" || (path.Length > ancestor.Length && path.StartsWith(ancestor, StringComparison.Ordinal) && path[ancestor.Length] == '/');
}
