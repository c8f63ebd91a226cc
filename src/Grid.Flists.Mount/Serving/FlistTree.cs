using Grid.Flists.Mount.Fuse;

namespace Grid.Flists.Mount.Serving;

/// <summary>
/// The meta file as the kernel sees it. A node id is an inode's index plus one, so that it means the same to every daemon that ever serves this tree;
/// all names of one hard-linked inode share the node of the first of them.
/// </summary>
internal sealed class FlistTree
{
    // The tree never changes: what the kernel knows of it stays right. 68 years, well inside what jiffies hold.
    private const ulong Forever = int.MaxValue;

    private readonly MetaFile _meta;
    private readonly IdRange? _owners;
    private readonly Dictionary<int, int> _firstOfGroup = [];

    /// <param name="owners">whose the files are on this machine; as the tree says when it is null</param>
    public FlistTree(MetaFile meta, IdRange? owners)
    {
        (_meta, _owners) = (meta, owners);
        for (var i = 0; i < meta.Count; i++)
        {
            var inode = meta[i];
            if (inode.LinkGroup != 0)
                _firstOfGroup.TryAdd(inode.LinkGroup, i);
            var xattrs = meta.Xattrs(i);
            while (xattrs.Next())
            {
                HasXattrs = true;
                HasAcls |= xattrs.Name.StartsWith("system.posix_acl_"u8);
            }
            Size += inode.Size;
        }
    }

    public MetaFile Meta => _meta;

    public IdRange? Owners => _owners;

    public long Size { get; }

    public bool HasXattrs { get; }

    public bool HasAcls { get; }

    /// <summary>The inode of a node id, or -1.</summary>
    public int Inode(ulong node) => node - 1 < (ulong)_meta.Count ? (int)(node - 1) : -1;

    public int Canonical(int inode) => _meta[inode].LinkGroup is var group and not 0 ? _firstOfGroup[group] : inode;

    public Attr Attr(int inode)
    {
        var at = Canonical(inode);
        var meta = _meta[at];
        return new Attr
        {
            Ino = (ulong)at + 1,
            Size = (ulong)meta.Size,
            Blocks = (ulong)(meta.Type == EntryType.File ? (meta.Size + 511) / 512 : 0),
            Atime = meta.MtimeSeconds,
            Mtime = meta.MtimeSeconds,
            Ctime = meta.MtimeSeconds,
            Mode = meta.StatMode,
            Nlink = (uint)meta.Nlink,
            Uid = _owners?.Of(meta.Uid) ?? meta.Uid,
            Gid = _owners?.Of(meta.Gid) ?? meta.Gid,
            Rdev = meta.Rdev,
            BlockSize = 4096,
        };
    }

    public AttrOut AttrOut(int inode) => new() { ValidSeconds = Forever, Attr = Attr(inode) };

    public EntryOut Entry(int inode) => new()
    {
        Node = (ulong)Canonical(inode) + 1,
        EntryValidSeconds = Forever,
        AttrValidSeconds = Forever,
        Attr = Attr(inode),
    };

    /// <summary>"There is no such name", remembered by the kernel for as long as a name that is there (node id 0).</summary>
    public static EntryOut Absent => new() { EntryValidSeconds = Forever };
}
