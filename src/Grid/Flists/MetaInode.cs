using System.Runtime.InteropServices;

namespace Grid.Flists;

/// <summary>One inode as it lies in the meta file: 64 bytes, little-endian (FORMAT.md, Inodes).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = ByteSize)]
public readonly struct MetaInode
{
    public const int ByteSize = 64;

    private readonly uint _parent;
    private readonly uint _nameOffset;
    private readonly byte _nameLength;
    private readonly byte _type;
    private readonly ushort _mode;
    private readonly uint _uid;
    private readonly uint _gid;
    private readonly uint _xattrs;
    private readonly long _mtime;
    private readonly ulong _size;
    private readonly uint _first;
    private readonly uint _count;
    private readonly uint _linkGroup;
    private readonly uint _nlink;
    private readonly uint _directory;
    private readonly uint _reserved;

    internal MetaInode(
        int parent, int nameOffset, int nameLength, EntryType type, Attributes attributes, int xattrs, ulong size, int first, int count,
        int linkGroup, int nlink, int directory)
    {
        _parent = (uint)parent;
        _nameOffset = (uint)nameOffset;
        _nameLength = (byte)nameLength;
        _type = (byte)type;
        _mode = attributes.Mode;
        _uid = attributes.Uid;
        _gid = attributes.Gid;
        _xattrs = (uint)xattrs;
        _mtime = attributes.Mtime;
        _size = size;
        _first = (uint)first;
        _count = (uint)count;
        _linkGroup = (uint)linkGroup;
        _nlink = (uint)nlink;
        _directory = (uint)directory;
    }

    /// <summary>The directory it is in; the root is in itself.</summary>
    public int Parent => (int)_parent;

    public EntryType Type => (EntryType)_type;

    /// <summary>Permission bits only, 07777.</summary>
    public ushort Mode => _mode;

    public uint Uid => _uid;

    public uint Gid => _gid;

    public long MtimeSeconds => _mtime;

    /// <summary>Bytes of a file, length of a link's target, otherwise 0.</summary>
    public long Size => Type switch
    {
        EntryType.File => (long)_size,
        EntryType.Symlink => _count,
        _ => 0,
    };

    /// <summary>Device numbers as FUSE carries them; 0 for what is no device.</summary>
    public uint Rdev => Type is EntryType.CharacterDevice or EntryType.BlockDevice ? (uint)_size : 0;

    /// <summary>The inode of a directory's first child; the others follow it, sorted by name.</summary>
    public int FirstChild => Type == EntryType.Directory ? (int)_first : 0;

    public int ChildCount => Type == EntryType.Directory ? (int)_count : 0;

    public long ChunkCount => Type == EntryType.File ? _count : 0;

    /// <summary>The same number, from 1, for all names of one hard-linked inode; 0 for an inode with one name.</summary>
    public int LinkGroup => (int)_linkGroup;

    public int Nlink => (int)_nlink;

    /// <summary>st_mode of stat(2): type and permission bits.</summary>
    public uint StatMode => (uint)_type << 12 | _mode;

    internal uint RawParent => _parent;
    internal uint NameOffset => _nameOffset;
    internal int NameLength => _nameLength;
    internal uint Xattrs => _xattrs;
    internal ulong RawSize => _size;
    internal uint First => _first;
    internal uint Count => _count;
    internal uint RawLinkGroup => _linkGroup;
    internal uint RawNlink => _nlink;
    internal uint Directory => _directory;
    internal uint Reserved => _reserved;
}
