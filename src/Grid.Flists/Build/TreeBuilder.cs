namespace Grid.Flists.Build;

/// <summary>
/// Collects the entries of a source under their raw paths and gives them their one form. A path is relative to the root, never leaves it and never
/// leads through a symbolic link; directories that the source does not mention are root's, with mode 0755 and time 0.
/// </summary>
/// <param name="layered">whether a later entry may take the place of an earlier one, as in the layers of an image; otherwise only a directory may come again</param>
public sealed class TreeBuilder(BuildOptions options, bool layered)
{
    private static readonly Attributes Implicit = new(0x1ed, 0, 0, 0, XattrSet.Empty);

    private readonly Dictionary<string, Dropped> _dropped = [];
    private int _entries;

    public DirectoryNode Root { get; } = new(Implicit);

    public IReadOnlyList<Dropped> Dropped => [.. _dropped.Values.OrderBy(d => d.What, StringComparer.Ordinal)];

    /// <summary>Checks and canonicalises what every entry has.</summary>
    /// <exception cref="FlistBuildException">a number that no meta file can hold</exception>
    public Attributes Attributes(ReadOnlySpan<byte> path, EntryType type, long mode, long uid, long gid, long mtime, IEnumerable<(byte[] Name, byte[] Value)> xattrs)
    {
        if (uid is < 0 or >= uint.MaxValue || gid is < 0 or >= uint.MaxValue)
            throw new FlistBuildException(FlistBuildCode.OutOfRange, $"'{FlistBuildException.Show(path)}' belongs to {uid}:{gid}, which no system has.");
        if (options.LatestMtime is { } latest)
            mtime = long.Min(mtime, latest);
        if (mtime is < FlistLimits.EarliestTime or > FlistLimits.LatestTime)
            throw new FlistBuildException(FlistBuildCode.OutOfRange, $"'{FlistBuildException.Show(path)}' is dated {mtime} seconds from 1970, beyond the years 1 to 9999.");
        var kept = new List<(byte[] Name, byte[] Value)>();
        foreach (var (name, value) in xattrs)
        {
            if (XattrSet.IsAllowed(name))
                kept.Add((name, value));
            else
                Drop($"xattr {FlistBuildException.Show(name)}", path);
        }
        return new Attributes((ushort)(type == EntryType.Symlink ? 0x1ff : mode & 0xfff), (uint)uid, (uint)gid, mtime, XattrSet.Of(kept));
    }

    public void Directory(ReadOnlySpan<byte> path, Attributes attributes)
    {
        var (parent, name) = Parent(path);
        if (name.IsEmpty)
            Root.Attributes = attributes;
        else if (parent.Find(name) is DirectoryNode known)
            known.Attributes = attributes;
        else
            Put(path, new DirectoryNode(attributes));
    }

    /// <summary>Puts a node at the path; a directory with content keeps it.</summary>
    /// <exception cref="FlistBuildException"/>
    public void Put(ReadOnlySpan<byte> path, TreeNode node)
    {
        var (parent, name) = Parent(path);
        if (name.IsEmpty)
            throw new FlistBuildException(FlistBuildCode.UnsafePath, "The root of a tree is a directory; the source says otherwise.");
        if (parent.Find(name) is not null && !layered)
            throw new FlistBuildException(FlistBuildCode.DuplicateName, $"'{FlistBuildException.Show(path)}' is there twice.");
        Count();
        parent.Set(name.ToArray(), node);
    }

    /// <summary>Gives what lies at the target another name.</summary>
    /// <exception cref="FlistBuildException">nothing lies there yet, or a directory</exception>
    public void Link(ReadOnlySpan<byte> path, ReadOnlySpan<byte> target)
    {
        if (Find(target) is not { } node)
            throw new FlistBuildException(FlistBuildCode.BadLinkTarget, $"'{FlistBuildException.Show(path)}' is a hard link to '{FlistBuildException.Show(target)}', which is not there before it.");
        if (node is DirectoryNode)
            throw new FlistBuildException(FlistBuildCode.BadLinkTarget, $"'{FlistBuildException.Show(path)}' is a hard link to the directory '{FlistBuildException.Show(target)}'.");
        var (parent, name) = Parent(path);
        // A link to its own name changes nothing.
        if (parent.Find(name) == node)
            return;
        Put(path, node);
    }

    /// <summary>What lies at the path, or null. Throws where the path is none that this tree can have.</summary>
    public TreeNode? Find(ReadOnlySpan<byte> path)
    {
        TreeNode? at = Root;
        foreach (var name in new PathParts(path))
        {
            if (at is not DirectoryNode directory)
                return null;
            at = directory.Find(name);
        }
        return at;
    }

    /// <summary>Takes away what lies at the path, if anything.</summary>
    public void Remove(ReadOnlySpan<byte> path)
    {
        var parts = new PathParts(path);
        DirectoryNode? parent = Root;
        ReadOnlySpan<byte> last = default;
        foreach (var name in parts)
        {
            if (!last.IsEmpty)
                parent = parent?.Find(last) as DirectoryNode;
            last = name;
        }
        if (!last.IsEmpty)
            parent?.Remove(last);
    }

    public void Drop(string what, ReadOnlySpan<byte> path) => _dropped[what] = _dropped.TryGetValue(what, out var known)
        ? known with { Count = known.Count + 1 }
        : new Dropped(what, 1, FlistBuildException.Show(path));

    /// <summary>A device or pipe, or null when it is to be left out.</summary>
    public SpecialNode? Special(ReadOnlySpan<byte> path, EntryType type, Attributes attributes, long major, long minor)
    {
        if (type == EntryType.Fifo)
            return new SpecialNode(attributes, type, 0);
        switch (options.Devices)
        {
            case Devices.Keep:
                return new SpecialNode(attributes, type, SpecialNode.EncodeDevice(major, minor));
            case Devices.Drop:
                Drop("device", path);
                return null;
            default:
                throw new FlistBuildException(FlistBuildCode.DeviceRefused, $"'{FlistBuildException.Show(path)}' is the device {major}:{minor}; devices are refused unless they are to be dropped or kept.");
        }
    }

    /// <summary>Counts one more entry against the limit.</summary>
    internal void Count()
    {
        if (++_entries > options.MaximumEntries)
            throw new FlistBuildException(FlistBuildCode.TooLarge, $"The source has more than {options.MaximumEntries} entries.");
    }

    // The directory the last part is in, made where it is missing.
    private Place Parent(ReadOnlySpan<byte> path)
    {
        var parent = Root;
        ReadOnlySpan<byte> last = default;
        foreach (var name in new PathParts(path))
        {
            if (!last.IsEmpty)
                parent = Enter(parent, last, path);
            last = name;
        }
        return new Place(parent, last);
    }

    private DirectoryNode Enter(DirectoryNode parent, ReadOnlySpan<byte> name, ReadOnlySpan<byte> path)
    {
        switch (parent.Find(name))
        {
            case DirectoryNode directory:
                return directory;
            case SymlinkNode:
                throw new FlistBuildException(FlistBuildCode.ThroughLink, $"'{FlistBuildException.Show(path)}' leads through the symbolic link '{FlistBuildException.Show(name)}'.");
            case null:
                Count();
                var made = new DirectoryNode(Implicit);
                parent.Set(name.ToArray(), made);
                return made;
            default:
                throw new FlistBuildException(FlistBuildCode.NotADirectory, $"'{FlistBuildException.Show(path)}' leads through '{FlistBuildException.Show(name)}', which is no directory.");
        }
    }

    private readonly ref struct Place(DirectoryNode parent, ReadOnlySpan<byte> name)
    {
        private readonly ReadOnlySpan<byte> _name = name;

        public void Deconstruct(out DirectoryNode directory, out ReadOnlySpan<byte> last)
        {
            directory = parent;
            last = _name;
        }
    }
}

/// <summary>The names of a relative path; empty parts and <c>.</c> are passed over, what would leave the tree is refused.</summary>
internal ref struct PathParts
{
    private readonly ReadOnlySpan<byte> _path;
    private ReadOnlySpan<byte> _rest;

    public PathParts(ReadOnlySpan<byte> path)
    {
        if (path.Length > 0 && path[0] == '/')
            throw new FlistBuildException(FlistBuildCode.UnsafePath, $"'{FlistBuildException.Show(path)}' is absolute; paths are relative to the root of the tree.");
        if (path.Contains((byte)0))
            throw new FlistBuildException(FlistBuildCode.UnsafePath, $"'{FlistBuildException.Show(path)}' holds a zero byte.");
        if (path.Length > FlistLimits.Path + 2)
            throw new FlistBuildException(FlistBuildCode.TooLarge, $"A path has {path.Length} bytes; {FlistLimits.Path} are allowed.");
        _path = path;
        _rest = path;
    }

    public ReadOnlySpan<byte> Current { get; private set; }

    public readonly PathParts GetEnumerator() => this;

    public bool MoveNext()
    {
        while (!_rest.IsEmpty)
        {
            var end = _rest.IndexOf((byte)'/');
            var name = end < 0 ? _rest : _rest[..end];
            _rest = end < 0 ? default : _rest[(end + 1)..];
            if (name.IsEmpty || name.SequenceEqual("."u8))
                continue;
            if (name.SequenceEqual(".."u8))
                throw new FlistBuildException(FlistBuildCode.UnsafePath, $"'{FlistBuildException.Show(_path)}' climbs with '..'.");
            if (name.Length > FlistLimits.Name)
                throw new FlistBuildException(FlistBuildCode.TooLarge, $"A name in '{FlistBuildException.Show(_path)}' has {name.Length} bytes; {FlistLimits.Name} are allowed.");
            Current = name;
            return true;
        }
        return false;
    }
}
