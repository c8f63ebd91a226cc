using System.Text;
using Grid.Flists;

namespace Grid.Workloads;

/// <summary>
/// What is mounted over the root must have a directory there, because a root that is read-only cannot grow one; and links do not count, because a mount
/// would follow them to where nobody looks.
/// </summary>
internal static class MountPoints
{
    private static readonly string[] Always = ["/proc", "/dev", "/sys"];

    public static void Check(Container container, MetaFile meta, RefusalSet refusals)
    {
        foreach (var (field, path) in Always.Select(path => ("flist", path)).Concat(container.MountPoints))
        {
            if (!IsDirectory(meta, path))
                refusals.Add(RefusalCode.PathInvalid, $"The flist of '{container.Name}' has no directory '{path}' to mount on.", "Add it to the flist, empty.", field, path);
        }
    }

    private static bool IsDirectory(MetaFile meta, string path)
    {
        var at = 0;
        foreach (var part in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            at = meta.Lookup(at, Encoding.UTF8.GetBytes(part));
            if (at < 0 || meta[at].Type != EntryType.Directory)
                return false;
        }
        return true;
    }
}
