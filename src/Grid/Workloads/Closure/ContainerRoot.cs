using Grid.Agreements;
using Grid.Flists;

namespace Grid.Workloads;

internal enum Reach
{
    Found,
    Absent,

    /// <summary>In or through a volume, a scratch or a place of secrets: what the flist has there is covered, and what is there then is not described.</summary>
    Writable,

    /// <summary>Under a directory that every container has from its node.</summary>
    Covered,
}

/// <param name="Path">without links, when found</param>
internal readonly record struct Place(Reach Reach, int Inode, string Path);

/// <summary>The file tree as the container's processes find it: the flist, with volumes, scratch, secrets and the kernel's own file systems over it.</summary>
internal sealed class ContainerRoot
{
    private static readonly string[] FromTheNode = ["/proc", "/sys", "/dev"];

    private readonly Evidence _evidence;
    private readonly string _workDir;
    private readonly Dictionary<int, Reach> _covers = [];
    private readonly List<(string Path, Reach Reach)> _absentCovers = [];

    public ContainerRoot(Container container, Evidence evidence)
    {
        _evidence = evidence;
        _workDir = RawPath.Of(container.WorkDir);
        // A runtime follows links inside the root to where it mounts. All are resolved before the first covers anything.
        var mounts = container.MountPoints.Select(p => (p.Path, Reach: Reach.Writable)).Concat(FromTheNode.Select(p => (Path: p, Reach: Reach.Covered))).ToList();
        var places = mounts.Select(m => Find(RawPath.Of(m.Path))).ToList();
        foreach (var (place, (_, reach)) in places.Zip(mounts))
        {
            if (place.Reach == Reach.Found)
                _covers.TryAdd(place.Inode, reach);
            else
                _absentCovers.Add((place.Path, reach));
        }
    }

    public string Absolute(string path) => path.StartsWith('/') ? path : $"{_workDir}/{path}";

    /// <summary>
    /// Follows a path as path_resolution(7) says, links in the middle and at the end too, never out of the root. The walk ends where it enters a mount,
    /// even if a link would lead out again.
    /// </summary>
    public Place Find(string path)
    {
        path = Absolute(path);
        if (path.Length > FlistLimits.Path || !_evidence.Step())
            return new Place(Reach.Absent, -1, path);
        var meta = _evidence.Meta;
        var left = new Stack<string>();
        var names = new List<string>();
        var (at, links) = (0, 0);
        Push(path);
        while (left.TryPop(out var name))
        {
            if (_covers.TryGetValue(at, out var cover))
                return new Place(cover, -1, Join());
            if (meta[at].Type != EntryType.Directory)
                return Absent();
            if (name is "" or ".")
                continue;
            if (!_evidence.Step())
                return Absent();
            if (name == "..")
            {
                at = meta[at].Parent;
                if (names.Count > 0)
                    names.RemoveAt(names.Count - 1);
                continue;
            }
            var child = meta.Lookup(at, RawPath.Bytes(name));
            if (child < 0 || (meta[child].Type == EntryType.Symlink && ++links > FlistLimits.LinksFollowed))
            {
                names.Add(name);
                return Absent();
            }
            if (meta[child].Type != EntryType.Symlink)
            {
                names.Add(name);
                at = child;
                continue;
            }
            var target = RawPath.Of(meta.SymlinkTarget(child));
            // A long target is work even if the walk ends in its first name.
            if (!_evidence.Step(target.Length / 64))
                return Absent();
            if (target.StartsWith('/'))
            {
                at = 0;
                names.Clear();
            }
            Push(target);
        }
        return _covers.TryGetValue(at, out var reach) ? new Place(reach, -1, Join()) : new Place(Reach.Found, at, Join());

        void Push(string text)
        {
            foreach (var part in text.Split('/').Reverse())
                left.Push(part);
        }

        string Join() => $"/{string.Join('/', names)}";

        // A mount on a directory that the flist does not have covers all the same.
        Place Absent()
        {
            foreach (var name in left)
            {
                if (name == "..")
                    names.RemoveRange(int.Max(0, names.Count - 1), int.Min(1, names.Count));
                else if (name is not ("" or "."))
                    names.Add(name);
            }
            var rest = Join();
            var cover = _absentCovers.FirstOrDefault(c => AgreementRules.Contains(c.Path, rest));
            return new Place(cover.Path is null ? Reach.Absent : cover.Reach, -1, rest);
        }
    }
}
