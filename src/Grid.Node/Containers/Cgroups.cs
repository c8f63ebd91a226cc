using System.Collections.Immutable;
using System.Globalization;
using Grid.Units;

namespace Grid.Node.Containers;

/// <summary>
/// The control groups of this machine: version 2 alone, version 1 alone, or both (hybrid). Every container has the group
/// <c>PARENT/ID</c> in each hierarchy, made by the runtime, kept after the last process so that its counters can be read, removed by us.
/// </summary>
internal sealed class Cgroups
{
    private const string Root = "/sys/fs/cgroup";

    private readonly ImmutableDictionary<string, string> _controllers;
    private readonly string _parent;

    private Cgroups(string parent, bool unified, ImmutableArray<string> hierarchies, ImmutableArray<string> hidden, ImmutableDictionary<string, string> controllers)
    {
        (_parent, Unified, Hierarchies, Hidden, _controllers) = (parent, unified, hierarchies, hidden, controllers);
    }

    public bool Unified { get; }

    /// <summary>Mount points in which containers have a group.</summary>
    public ImmutableArray<string> Hierarchies { get; }

    /// <summary>Version 2 hierarchies beside version 1: what crun must not see.</summary>
    public ImmutableArray<string> Hidden { get; }

    /// <returns>null and why, when the machine cannot hold a container to its limits</returns>
    public static Cgroups? Probe(ImmutableArray<MountLine> mounts, string parent, out string why)
    {
        why = "";
        var version2 = mounts.Where(m => m.Type == "cgroup2").Select(m => m.Point).ToImmutableArray();
        if (version2.Contains(Root))
            return new Cgroups(parent, true, [Root], [], ImmutableDictionary<string, string>.Empty);
        var version1 = mounts.Where(m => m.Type == "cgroup").ToImmutableArray();
        var controllers = ImmutableDictionary.CreateBuilder<string, string>();
        foreach (var controller in (ReadOnlySpan<string>)["memory", "cpu", "cpuacct", "pids", "freezer"])
        {
            if (version1.FirstOrDefault(m => m.SuperOptions.Contains(controller)) is not { } mount)
            {
                why = $"the cgroup controller '{controller}' is not mounted";
                return null;
            }
            controllers[controller] = mount.Point;
        }
        return new Cgroups(parent, false, [.. version1.Select(m => m.Point).Concat(version2).Distinct()], version2, controllers.ToImmutable());
    }

    /// <summary>As the bundle names it.</summary>
    public string PathOf(ContainerId id) => $"/{_parent}/{id}";

    public IEnumerable<ContainerId> List()
    {
        var seen = new HashSet<ContainerId>();
        foreach (var hierarchy in Hierarchies)
        {
            var parent = Path.Combine(hierarchy, _parent);
            if (!Directory.Exists(parent))
                continue;
            foreach (var group in Directory.EnumerateDirectories(parent))
            {
                if (ContainerId.TryParse(Path.GetFileName(group), out var id))
                    seen.Add(id);
            }
        }
        return seen;
    }

    public bool Exists(ContainerId id) => Hierarchies.Any(h => Directory.Exists(Group(h, id)));

    /// <summary>The processes in any of the container's groups: a half-made one may have joined only some.</summary>
    public IReadOnlySet<int> Processes(ContainerId id)
    {
        var pids = new HashSet<int>();
        foreach (var hierarchy in Hierarchies)
            Collect(Group(hierarchy, id), pids);
        return pids;
    }

    public bool IsFrozen(ContainerId id) => Unified
        ? Read(Root, id, "cgroup.events")?.Contains("frozen 1", StringComparison.Ordinal) is true
        : Read(_controllers["freezer"], id, "freezer.state")?.Trim() == "FROZEN";

    public void Freeze(ContainerId id, bool frozen)
    {
        var (hierarchy, file, value) = Unified ? (Root, "cgroup.freeze", frozen ? "1" : "0") : (_controllers["freezer"], "freezer.state", frozen ? "FROZEN" : "THAWED");
        var path = Path.Combine(Group(hierarchy, id), file);
        if (File.Exists(path))
            File.WriteAllText(path, value);
    }

    public long OomKills(ContainerId id) =>
        Field(Unified ? Read(Root, id, "memory.events") : Read(_controllers["memory"], id, "memory.oom_control"), "oom_kill");

    public Usage? Usage(ContainerId id)
    {
        if (!Exists(id))
            return null;
        if (Unified)
        {
            return new Usage(
                TimeSpan.FromMicroseconds(Field(Read(Root, id, "cpu.stat"), "usage_usec")),
                new Bytes(Number(Read(Root, id, "memory.current"))), new Bytes(Number(Read(Root, id, "memory.peak"))));
        }
        var memory = _controllers["memory"];
        return new Usage(
            TimeSpan.FromMicroseconds(Number(Read(_controllers["cpuacct"], id, "cpuacct.usage")) / 1000),
            new Bytes(Number(Read(memory, id, "memory.usage_in_bytes"))), new Bytes(Number(Read(memory, id, "memory.max_usage_in_bytes"))));
    }

    /// <returns>false while a process still holds one of them</returns>
    public bool TryRemove(ContainerId id)
    {
        foreach (var hierarchy in Hierarchies)
        {
            if (!TryRemove(Group(hierarchy, id)))
                return false;
        }
        return true;
    }

    public void RemoveParent()
    {
        foreach (var hierarchy in Hierarchies)
            TryRemove(Path.Combine(hierarchy, _parent));
    }

    private static bool TryRemove(string group)
    {
        if (!Directory.Exists(group))
            return true;
        try
        {
            foreach (var child in Directory.EnumerateDirectories(group))
            {
                if (!TryRemove(child))
                    return false;
            }
            // rmdir(2) of a cgroup takes its files along; they cannot be deleted one by one.
            Interop.Posix.RemoveDirectory(group);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static void Collect(string group, HashSet<int> pids)
    {
        try
        {
            foreach (var line in Containers.Processes.ReadSmall(Path.Combine(group, "cgroup.procs")).AsSpan().EnumerateLines())
            {
                if (!line.IsEmpty)
                    pids.Add(int.Parse(line, NumberStyles.None, CultureInfo.InvariantCulture));
            }
            // "." and the name in the parent, and ".." of each child: most have none, and a look at all names costs more than the rest.
            if (Interop.SysStat.Links(group) > 2)
            {
                foreach (var child in Directory.EnumerateDirectories(group))
                    Collect(child, pids);
            }
        }
        catch (Exception e) when (Vanished(e))
        {
            // A group that is gone holds nobody.
        }
    }

    // ENODEV: the group was removed between open and read.
    private static bool Vanished(Exception e) => e is FileNotFoundException or DirectoryNotFoundException || (e is IOException && (e.HResult & 0xFFFF) == 19);

    private string Group(string hierarchy, ContainerId id) => Path.Combine(hierarchy, _parent, id.ToString());

    private string? Read(string hierarchy, ContainerId id, string file)
    {
        try
        {
            return Containers.Processes.ReadSmall(Path.Combine(Group(hierarchy, id), file));
        }
        catch (Exception e) when (Vanished(e))
        {
            return null;
        }
    }

    private static long Number(string? text) => long.TryParse(text?.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : 0;

    private static long Field(string? text, string name)
    {
        foreach (var line in text?.Split('\n') ?? [])
        {
            if (line.Split(' ') is [var key, var value] && key == name)
                return Number(value);
        }
        return 0;
    }
}
