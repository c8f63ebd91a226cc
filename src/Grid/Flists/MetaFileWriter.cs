using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Grid.Units;

namespace Grid.Flists;

/// <summary>Derives the meta file from a tree, bit for bit: the same tree gives the same bytes and the same root.</summary>
public sealed class MetaFileWriter
{
    private readonly List<(TreeNode Node, byte[] Name, int Parent)> _order = [];
    private readonly Dictionary<TreeNode, int> _members = [];
    private readonly Dictionary<TreeNode, int> _groups = [];
    private readonly Dictionary<Digest, int> _chunkIndex = [];
    private readonly Dictionary<Digest, int> _xattrAt = [];
    private readonly ArrayBufferWriter<byte> _inodes = new();
    private readonly ArrayBufferWriter<byte> _references = new();
    private readonly ArrayBufferWriter<byte> _names = new();
    private readonly ArrayBufferWriter<byte> _targets = new();
    private readonly ArrayBufferWriter<byte> _xattrs = new();
    private int _directories;
    private int _nextChild = 1;

    private MetaFileWriter()
    {
    }

    /// <summary>
    /// The nodes of a tree in the order of their inodes: breadth first, names sorted. A hard-linked node comes once for each of its names.
    /// </summary>
    public static IEnumerable<(TreeNode Node, byte[] Name, int Parent)> InOrder(DirectoryNode root)
    {
        var directories = new Queue<(DirectoryNode, int)>();
        directories.Enqueue((root, 0));
        yield return (root, [], 0);
        var next = 1;
        while (directories.TryDequeue(out var at))
        {
            var (directory, parent) = at;
            foreach (var (name, node) in directory.Sorted())
            {
                if (node is DirectoryNode child)
                    directories.Enqueue((child, next));
                yield return (node, name, parent);
                next++;
            }
        }
    }

    /// <exception cref="FlistFormatException">the tree has what no meta file may have</exception>
    public static MetaFile Write(DirectoryNode root)
    {
        var writer = new MetaFileWriter();
        foreach (var entry in InOrder(root))
        {
            writer._order.Add(entry);
            if (entry.Node is not DirectoryNode)
                CollectionsMarshal.GetValueRefOrAddDefault(writer._members, entry.Node, out _)++;
        }
        foreach (var (node, name, parent) in writer._order)
            writer.Add(node, name, parent);
        return writer.Finish();
    }

    private void Add(TreeNode node, byte[] name, int parent)
    {
        if (name.Length > FlistLimits.Name)
            throw new FlistFormatException(FlistFormatCode.BadName, $"A name has {name.Length} bytes; {FlistLimits.Name} are allowed.");
        var nameAt = _names.WrittenCount;
        _names.Write(name);
        var (size, first, count, nlink, number) = node switch
        {
            DirectoryNode d => Directory(d),
            FileNode f => File(f),
            SymlinkNode s => Symlink(s),
            SpecialNode s => (s.Rdev, 0, 0, 0, 0),
            _ => throw new ArgumentException($"A {node.GetType()} is no node of a tree.", nameof(node)),
        };
        if (node is not DirectoryNode)
            nlink = _members[node];
        var group = 0;
        if (nlink > 1 && node is not DirectoryNode && !_groups.TryGetValue(node, out group))
            _groups.Add(node, group = _groups.Count + 1);
        var inode = new MetaInode(parent, nameAt, name.Length, node.Type, node.Attributes, Xattrs(node.Attributes.Xattrs), size, first, count, group, nlink, number);
        MemoryMarshal.Write(_inodes.GetSpan(MetaInode.ByteSize), inode);
        _inodes.Advance(MetaInode.ByteSize);
    }

    private (ulong Size, int First, int Count, int Nlink, int Number) Directory(DirectoryNode d)
    {
        var (first, nlink) = (_nextChild, 2);
        foreach (var child in d.Children)
            nlink += child is DirectoryNode ? 1 : 0;
        _nextChild += d.Count;
        return (0, first, d.Count, nlink, _directories++);
    }

    private (ulong Size, int First, int Count, int Nlink, int Number) File(FileNode f)
    {
        if (f.Chunks.Length != Chunk.CountOf(f.Size))
            throw new ArgumentException($"A file of {f.Size} bytes does not have {f.Chunks.Length} chunks.");
        var first = _references.WrittenCount / 4;
        foreach (var chunk in f.Chunks)
        {
            ref var index = ref CollectionsMarshal.GetValueRefOrAddDefault(_chunkIndex, chunk, out var known);
            if (!known)
                index = _chunkIndex.Count - 1;
            BinaryPrimitives.WriteInt32LittleEndian(_references.GetSpan(4), index);
            _references.Advance(4);
        }
        return ((ulong)f.Size, first, f.Chunks.Length, 0, 0);
    }

    private (ulong Size, int First, int Count, int Nlink, int Number) Symlink(SymlinkNode s)
    {
        var first = _targets.WrittenCount;
        _targets.Write(s.Target);
        return (0, first, s.Target.Length, 0, 0);
    }

    private int Xattrs(XattrSet set)
    {
        if (set.IsEmpty)
            return 0;
        ref var at = ref CollectionsMarshal.GetValueRefOrAddDefault(_xattrAt, Digest.Of(set.Encoded), out var known);
        if (!known)
        {
            at = _xattrs.WrittenCount + 1;
            _xattrs.Write(set.Encoded);
        }
        return at;
    }

    private MetaFile Finish()
    {
        var layout = new MetaLayout(
            _order.Count, _references.WrittenCount / 4, _chunkIndex.Count, _directories, _xattrAt.Count,
            _names.WrittenCount, _targets.WrittenCount, _xattrs.WrittenCount);
        if (layout.FileLength > FlistLimits.MetaLength)
            throw new FlistFormatException(FlistFormatCode.TooLarge, $"The meta file would have {layout.FileLength} bytes; {FlistLimits.MetaLength} are allowed.");
        var bytes = new byte[layout.FileLength];
        layout.Write(bytes);
        Put(0, _inodes.WrittenSpan);
        Put(1, _references.WrittenSpan);
        foreach (var (chunk, index) in _chunkIndex)
            chunk.CopyTo(bytes.AsSpan((int)layout.OffsetOf(2) + index * Digest.Size));
        Put(4, _names.WrittenSpan);
        Put(5, _targets.WrittenSpan);
        Put(6, _xattrs.WrittenSpan);

        var file = new MetaFile(bytes, layout);
        // The same rules as for bytes from outside: what could not be loaded is not written.
        MetaCheck.Structure(file);
        using var identity = new MetaIdentity(file);
        // Subdirectories have higher numbers than the directory they are in.
        for (var i = file.Count - 1; i >= 0; i--)
        {
            if (file[i] is { Type: EntryType.Directory } d)
                identity.Directory(i).CopyTo(bytes.AsSpan((int)layout.OffsetOf(3) + (int)d.Directory * Digest.Size));
        }
        MetaLayout.WriteRoot(bytes, identity.Root());
        return file;

        void Put(int section, ReadOnlySpan<byte> content) => content.CopyTo(bytes.AsSpan((int)layout.OffsetOf(section)));
    }
}
