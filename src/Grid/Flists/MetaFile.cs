using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Grid.Units;

namespace Grid.Flists;

/// <summary>
/// A file tree as it lies in memory or in a mapped file, used in place: nothing is parsed, copied or locked. Inode 0 is the root, children of a
/// directory are contiguous and sorted by raw name. An instance holds only what <see cref="Load"/> verified up to the root hash.
/// </summary>
public sealed partial class MetaFile
{
    private readonly ReadOnlyMemory<byte> _bytes;
    private readonly MetaLayout _layout;
    private readonly int _inodesAt, _referencesAt, _chunksAt, _directoriesAt, _namesAt, _targetsAt, _xattrsAt;

    internal MetaFile(ReadOnlyMemory<byte> bytes, MetaLayout layout)
    {
        _bytes = bytes;
        _layout = layout;
        _inodesAt = (int)layout.OffsetOf(0);
        _referencesAt = (int)layout.OffsetOf(1);
        _chunksAt = (int)layout.OffsetOf(2);
        _directoriesAt = (int)layout.OffsetOf(3);
        _namesAt = (int)layout.OffsetOf(4);
        _targetsAt = (int)layout.OffsetOf(5);
        _xattrsAt = (int)layout.OffsetOf(6);
    }

    /// <summary>Takes the bytes as they are when every rule of FORMAT.md holds and they hash to the root. The bytes must not change afterwards.</summary>
    /// <exception cref="FlistFormatException">says which rule is broken</exception>
    public static MetaFile Load(ReadOnlyMemory<byte> bytes, Digest root)
    {
        // The records are read as they lie; .NET runs on one big-endian machine, which is not a node.
        if (!BitConverter.IsLittleEndian)
            throw new PlatformNotSupportedException("Meta files are read in place on little-endian machines only.");
        var file = new MetaFile(bytes, MetaLayout.Read(bytes.Span));
        if (file.Root != root)
            throw new FlistFormatException(FlistFormatCode.WrongRoot, $"The meta file is of the tree {file.Root}, not of {root}.");
        MetaCheck.Structure(file);
        MetaIdentity.Check(file);
        return file;
    }

    public Digest Root => MetaLayout.Root(_bytes.Span);

    /// <summary>How many inodes there are, the names of a hard-linked file each counted.</summary>
    public int Count => _layout.Inodes;

    public int DirectoryCount => _layout.Directories;

    public ReadOnlyMemory<byte> Bytes => _bytes;

    /// <summary>The hashes of all chunks of the tree, each once, in the order in which the inodes first use them.</summary>
    public int DistinctChunkCount => _layout.Chunks;

    public Digest DistinctChunk(int index) => new(DigestAt(_chunksAt, index, _layout.Chunks));

    public MetaInode this[int inode]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)inode, (uint)_layout.Inodes, nameof(inode));
            return MemoryMarshal.Read<MetaInode>(_bytes.Span.Slice(_inodesAt + inode * MetaInode.ByteSize, MetaInode.ByteSize));
        }
    }

    /// <summary>The raw bytes of a name; empty for the root.</summary>
    public ReadOnlySpan<byte> Name(int inode)
    {
        var i = this[inode];
        return _bytes.Span.Slice(_namesAt + (int)i.NameOffset, i.NameLength);
    }

    /// <summary>The raw bytes a symbolic link points to; empty for what is none.</summary>
    public ReadOnlySpan<byte> SymlinkTarget(int inode)
    {
        var i = this[inode];
        return i.Type == EntryType.Symlink ? _bytes.Span.Slice(_targetsAt + (int)i.First, (int)i.Count) : default;
    }

    /// <summary>The hash of the nth chunk of a file.</summary>
    public Digest Chunk(int inode, long n) => DistinctChunk(ChunkIndex(inode, n));

    /// <summary>Where the hash of the nth chunk of a file lies among the distinct chunks.</summary>
    public int ChunkIndex(int inode, long n)
    {
        var references = References(inode);
        return (int)BinaryPrimitives.ReadUInt32LittleEndian(references.Slice(checked((int)n * 4), 4));
    }

    /// <summary>The id of a file's content (<see cref="ContentId"/>), computed.</summary>
    public Digest Content(int inode)
    {
        var i = this[inode];
        if (i.Type != EntryType.File)
            throw new ArgumentException($"Inode {inode} is no file.", nameof(inode));
        return ContentId.Of(i.Size, References(inode), _bytes.Span.Slice(_chunksAt, _layout.Chunks * Digest.Size));
    }

    /// <summary>The id of a directory: equal ids are equal trees (FORMAT.md, Identity).</summary>
    public Digest DirectoryId(int inode) => new(DigestAt(_directoriesAt, (int)Directory(inode).Directory, _layout.Directories));

    public XattrReader Xattrs(int inode)
    {
        var encoded = EncodedXattrs(this[inode]);
        return XattrSet.Read(encoded);
    }

    /// <summary>The child of a directory with this name, or -1. Binary search, nothing is allocated.</summary>
    public int Lookup(int directory, ReadOnlySpan<byte> name)
    {
        var (low, count) = Children(directory);
        var bytes = _bytes.Span;
        var high = low + count - 1;
        while (low <= high)
        {
            var middle = (int)((uint)(low + high) >> 1);
            var i = MemoryMarshal.Read<MetaInode>(bytes[(_inodesAt + middle * MetaInode.ByteSize)..]);
            var order = name.SequenceCompareTo(bytes.Slice(_namesAt + (int)i.NameOffset, i.NameLength));
            if (order == 0)
                return middle;
            if (order < 0)
                high = middle - 1;
            else
                low = middle + 1;
        }
        return -1;
    }

    internal MetaLayout Layout => _layout;

    internal ReadOnlySpan<byte> Section(int section) => _bytes.Span.Slice((int)_layout.OffsetOf(section), (int)_layout.LengthOf(section));

    internal ReadOnlySpan<byte> References(int inode)
    {
        var i = this[inode];
        return i.Type == EntryType.File ? _bytes.Span.Slice(_referencesAt + (int)i.First * 4, (int)i.Count * 4) : default;
    }

    /// <summary>The encoded set of an inode; empty when it has none.</summary>
    internal ReadOnlySpan<byte> EncodedXattrs(in MetaInode inode)
    {
        if (inode.Xattrs == 0)
            return default;
        var rest = _bytes.Span.Slice(_xattrsAt, _layout.XattrsLength)[((int)inode.Xattrs - 1)..];
        return rest[..XattrSet.Check(rest)];
    }

    private (int First, int Count) Children(int directory)
    {
        var i = this[directory];
        return (i.FirstChild, i.ChildCount);
    }

    private MetaInode Directory(int inode) => this[inode] is { Type: EntryType.Directory } i ? i : throw new ArgumentException($"Inode {inode} is no directory.", nameof(inode));

    private ReadOnlySpan<byte> DigestAt(int section, int index, int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)count, nameof(index));
        return _bytes.Span.Slice(section + index * Digest.Size, Digest.Size);
    }
}
