using System.Diagnostics.CodeAnalysis;
using Grid.Units;

namespace Grid.Flists;

/// <summary>What a name stands for. The values are those of <c>d_type</c> (readdir(3)): shifted left by 12 they are the type bits of <c>st_mode</c>.</summary>
public enum EntryType : byte
{
    Fifo = 1,
    CharacterDevice = 2,
    Directory = 4,
    BlockDevice = 6,
    File = 8,
    Symlink = 10,
}

/// <summary>What every kind of node has.</summary>
/// <param name="Mode">permission bits, 07777; a symbolic link always has 0777</param>
/// <param name="Mtime">whole seconds since 1970, negative before</param>
public readonly record struct Attributes(ushort Mode, uint Uid, uint Gid, long Mtime, XattrSet Xattrs);

/// <summary>
/// A file tree in memory, from which <see cref="MetaFileWriter"/> derives the meta file. Hard links are one node under several names.
/// </summary>
public abstract class TreeNode(Attributes attributes)
{
    public Attributes Attributes { get; set; } = attributes;

    public abstract EntryType Type { get; }
}

/// <summary>Names are raw bytes; their order is bytewise.</summary>
public sealed class DirectoryNode(Attributes attributes) : TreeNode(attributes)
{
    private readonly Dictionary<byte[], TreeNode> _children = new(NameComparer.Instance);

    public override EntryType Type => EntryType.Directory;

    public int Count => _children.Count;

    /// <summary>In no order.</summary>
    public IReadOnlyCollection<TreeNode> Children => _children.Values;

    public TreeNode? Find(ReadOnlySpan<byte> name) => _children.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(name, out var node) ? node : null;

    /// <summary>Adds a child, or puts it in the place of the one with this name.</summary>
    public void Set(byte[] name, TreeNode node) => _children[name] = node;

    public bool Remove(ReadOnlySpan<byte> name) => _children.GetAlternateLookup<ReadOnlySpan<byte>>().Remove(name);

    public void Clear() => _children.Clear();

    public KeyValuePair<byte[], TreeNode>[] Sorted()
    {
        var children = _children.ToArray();
        Array.Sort(children, (a, b) => a.Key.AsSpan().SequenceCompareTo(b.Key));
        return children;
    }

    private sealed class NameComparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public static readonly NameComparer Instance = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode([DisallowNull] byte[] obj) => GetHashCode(obj.AsSpan());

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        // HashCode is keyed per process: names from outside cannot be chosen to collide.
        public int GetHashCode(ReadOnlySpan<byte> alternate)
        {
            var hash = new HashCode();
            hash.AddBytes(alternate);
            return hash.ToHashCode();
        }
    }
}

public sealed class FileNode(Attributes attributes) : TreeNode(attributes)
{
    public override EntryType Type => EntryType.File;

    public long Size { get; set; }

    /// <summary>One hash per 256 KiB; as many as <see cref="Chunk.CountOf"/> the size.</summary>
    public Digest[] Chunks { get; set; } = [];
}

public sealed class SymlinkNode(Attributes attributes, byte[] target) : TreeNode(attributes)
{
    public override EntryType Type => EntryType.Symlink;

    public byte[] Target { get; } = target;
}

/// <summary>A device or a named pipe.</summary>
/// <param name="rdev">the device numbers as FUSE and statx carry them: minor &amp; 0xff | major &lt;&lt; 8 | (minor &amp; ~0xff) &lt;&lt; 12; 0 for a pipe</param>
public sealed class SpecialNode(Attributes attributes, EntryType type, uint rdev) : TreeNode(attributes)
{
    public override EntryType Type => type;

    public uint Rdev => rdev;

    /// <summary>The 12 bits of a major and 20 bits of a minor number in one word (Linux: include/linux/kdev_t.h, new_encode_dev).</summary>
    /// <exception cref="FlistFormatException">one of them does not fit</exception>
    public static uint EncodeDevice(long major, long minor) => major is >= 0 and < 1 << 12 && minor is >= 0 and < 1 << 20
        ? (uint)((minor & 0xff) | (major << 8) | ((minor & ~0xffL) << 12))
        : throw new FlistFormatException(FlistFormatCode.BadAttribute, $"The device {major}:{minor} has more than 12 and 20 bits.");
}
