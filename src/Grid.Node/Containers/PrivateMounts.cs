using System.Collections.Immutable;

namespace Grid.Node.Containers;

/// <summary>
/// How the mounts of a runtime and its shim differ from the node's. crun 1.8 refuses a machine that has version 1 cgroups and, beside them,
/// a version 2 hierarchy; so it is started where an empty file system covers that one. And because such a private copy of the mount table
/// would keep every other workload's file tree alive for as long as the shim lives, it lets go of all mounts that this container does not need.
/// And its device nodes are its own: conmon opens /dev/null as the container's stdin, crun gives stdin to the container's user (fchown), and both
/// put the nodes of their /dev into the container. On the node's /dev the tenant would own everybody's /dev/null.
/// </summary>
/// <param name="Stage">a directory that is there; the device nodes are made above it, and it is seen again afterwards</param>
internal sealed record PrivateMounts(ImmutableArray<string> Covered, ImmutableArray<string> Detached, string Stage)
{
    /// <summary>What the runtimes put into every container, by name and number; all are for everybody to read and write.</summary>
    public static readonly ImmutableArray<(string Name, int Major, int Minor)> Devices =
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

    private static readonly ImmutableArray<string> System = ["/proc", "/sys", "/dev", "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"];

    /// <param name="covered">mount points of the hierarchies to hide</param>
    /// <param name="stage">needed too</param>
    /// <param name="needed">absolute paths that must stay reachable with all that is mounted below them</param>
    public static PrivateMounts Plan(ImmutableArray<MountLine> mounts, ImmutableArray<string> covered, string stage, ImmutableArray<string> needed)
    {
        needed = needed.Add(stage);
        return new(
            covered,
            [
                .. mounts.Select(m => m.Point).Distinct()
                    .Where(point => !System.Any(s => MountLine.Within(point, s)) && !needed.Any(n => MountLine.Within(point, n) || MountLine.Within(n, point)))
                    .OrderBy(point => point, StringComparer.Ordinal),
            ],
            stage);
    }
}
