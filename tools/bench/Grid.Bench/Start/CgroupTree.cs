namespace Grid.Bench.Start;

/// <summary>A group at the top of every hierarchy, with the empty groups below it.</summary>
internal static class CgroupTree
{
    private const string Root = "/sys/fs/cgroup";

    /// <summary>Where it is; of version 1 there is one in each hierarchy.</summary>
    public static IEnumerable<string> Find(string name) =>
        Directory.EnumerateDirectories(Root).Prepend(Root).Select(h => Path.Combine(h, name)).Where(Directory.Exists);

    public static void Remove(string name)
    {
        foreach (var group in Find(name).ToList())
            RemoveGroup(group);
    }

    private static void RemoveGroup(string group)
    {
        foreach (var child in Directory.GetDirectories(group))
            RemoveGroup(child);
        Directory.Delete(group);
    }
}
