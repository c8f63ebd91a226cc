using System.Numerics;
using System.Runtime.InteropServices;
using Grid.Units;

namespace Grid.Flists;

/// <summary>
/// One walk over the inodes that refuses every arrangement <see cref="MetaFileWriter"/> would not write: what a tree has once, its meta file says in one way.
/// Everything is read in order, so "contiguous, complete and not overlapping" are running sums.
/// </summary>
internal sealed class MetaCheck
{
    private readonly MetaFile _file;
    private readonly MetaLayout _layout;
    private readonly int[] _pathLengths;
    private readonly byte[] _depths;
    private readonly int[] _subdirectories;
    private readonly HashSet<int> _xattrsAt = [];
    private readonly HashSet<Digest> _xattrSets = [];
    private readonly List<(int First, int Members)> _links = [];
    private int _directories, _parent, _nextChild = 1, _names, _targets, _references, _chunks, _xattrs;

    private MetaCheck(MetaFile file)
    {
        _file = file;
        _layout = file.Layout;
        if (_layout.Directories > _layout.Inodes)
            throw Bad(FlistFormatCode.BadTree, 0, "more directories than inodes");
        _pathLengths = new int[_layout.Directories];
        _depths = new byte[_layout.Directories];
        _subdirectories = new int[_layout.Directories];
    }

    /// <exception cref="FlistFormatException"/>
    public static void Structure(MetaFile file)
    {
        var check = new MetaCheck(file);
        for (var i = 0; i < file.Count; i++)
            check.Inode(i);
        check.Totals();
        check.Links();
        check.DistinctChunks();
    }

    private void Inode(int index)
    {
        var i = _file[index];
        Place(index, i);
        NameOf(index, i);
        if (i.Mode > 0xfff || i.Uid == uint.MaxValue || i.Gid == uint.MaxValue || i.Reserved != 0
            || i.MtimeSeconds is < FlistLimits.EarliestTime or > FlistLimits.LatestTime)
            throw Bad(FlistFormatCode.BadAttribute, index, "mode, owner, time or reserved field out of range");
        if (i.Type != EntryType.Directory && i.Directory != 0)
            throw Bad(FlistFormatCode.BadAttribute, index, "a directory number on what is no directory");
        Xattrs(index, i);
        switch (i.Type)
        {
            case EntryType.Directory: Directory(index, i); break;
            case EntryType.File: File(index, i); break;
            case EntryType.Symlink: Symlink(index, i); break;
            case EntryType.Fifo or EntryType.CharacterDevice or EntryType.BlockDevice: Special(index, i); break;
            default: throw Bad(FlistFormatCode.BadAttribute, index, $"type {(byte)i.Type} is not known");
        }
        if (i.Type != EntryType.Directory)
            Link(index, i);
    }

    // Inodes are in breadth-first order: each belongs to the first directory whose children are not complete.
    private void Place(int index, in MetaInode i)
    {
        if (index == 0)
        {
            if (i.Type != EntryType.Directory || i.RawParent != 0)
                throw Bad(FlistFormatCode.BadTree, 0, "the root is no directory, or in another");
            return;
        }
        if (index >= _nextChild)
            throw Bad(FlistFormatCode.BadTree, index, "no directory has it");
        while (_file[_parent] is var p && index >= p.FirstChild + p.ChildCount)
            _parent++;
        if (i.RawParent != (uint)_parent)
            throw Bad(FlistFormatCode.BadTree, index, "its parent is another");
    }

    private void NameOf(int index, in MetaInode i)
    {
        if (i.NameOffset != (uint)_names || i.NameLength > _layout.NamesLength - _names || (i.NameLength == 0) != (index == 0))
            throw Bad(FlistFormatCode.BadName, index, "its name does not follow the one before");
        _names += i.NameLength;
        if (index == 0)
            return;
        var name = _file.Name(index);
        if (name.ContainsAny((byte)0, (byte)'/') || name.SequenceEqual("."u8) || name.SequenceEqual(".."u8))
            throw Bad(FlistFormatCode.BadName, index, "no file can have its name");
        if (_file[_parent].FirstChild < index && _file.Name(index - 1).SequenceCompareTo(name) >= 0)
            throw Bad(FlistFormatCode.UnsortedNames, index, "its name does not sort after the one before");
        var parent = (int)_file[_parent].Directory;
        if (_pathLengths[parent] + 1 + name.Length > FlistLimits.Path || _depths[parent] >= FlistLimits.Depth)
            throw Bad(FlistFormatCode.TooLarge, index, $"deeper than {FlistLimits.Depth} directories or {FlistLimits.Path} bytes");
    }

    private void Xattrs(int index, in MetaInode i)
    {
        if (i.Xattrs == 0)
            return;
        var at = (long)i.Xattrs - 1;
        if (at == _xattrs && at < _layout.XattrsLength)
        {
            var rest = _file.Section(6)[_xattrs..];
            var length = XattrSet.Check(rest);
            if (!_xattrSets.Add(Digest.Of(rest[..length])))
                throw Bad(FlistFormatCode.BadXattrs, index, "a set of extended attributes lies there twice");
            _xattrsAt.Add(_xattrs);
            _xattrs += length;
        }
        else if (at > int.MaxValue || !_xattrsAt.Contains((int)at))
        {
            throw Bad(FlistFormatCode.BadXattrs, index, "its extended attributes are not where one set starts");
        }
    }

    private void Directory(int index, in MetaInode i)
    {
        if (i.Directory != (uint)_directories || _directories >= _layout.Directories)
            throw Bad(FlistFormatCode.BadTree, index, "directories are not numbered in order");
        if (i.Count > FlistLimits.DirectoryEntries)
            throw Bad(FlistFormatCode.TooLarge, index, $"{i.Count} entries; {FlistLimits.DirectoryEntries} are allowed");
        if (i.First != (uint)_nextChild || i.Count > _layout.Inodes - _nextChild)
            throw Bad(FlistFormatCode.BadTree, index, "its children do not follow those of the directory before");
        if (i.RawSize != 0)
            throw Bad(FlistFormatCode.BadAttribute, index, "a directory has no size");
        if (i.RawLinkGroup != 0)
            throw Bad(FlistFormatCode.BadLinks, index, "a directory has one name");
        if (index != 0)
        {
            var parent = (int)_file[_parent].Directory;
            _subdirectories[parent]++;
            _pathLengths[_directories] = _pathLengths[parent] + 1 + i.NameLength;
            _depths[_directories] = (byte)(_depths[parent] + 1);
        }
        _directories++;
        _nextChild += (int)i.Count;
    }

    private void File(int index, in MetaInode i)
    {
        if (i.RawSize > FlistLimits.FileSize)
            throw Bad(FlistFormatCode.TooLarge, index, $"{i.RawSize} bytes; {FlistLimits.FileSize} are allowed");
        if (i.Count != Chunk.CountOf((long)i.RawSize) || i.First != (uint)_references || i.Count > _layout.References - _references)
            throw Bad(FlistFormatCode.BadContent, index, "its chunks do not match its size or do not follow those before");
        _references += (int)i.Count;
        foreach (var reference in MemoryMarshal.Cast<byte, uint>(_file.References(index)))
        {
            if (reference > (uint)_chunks || reference >= _layout.Chunks)
                throw Bad(FlistFormatCode.BadContent, index, "a chunk is beyond the table, or not in order of first use");
            if (reference == _chunks)
                _chunks++;
        }
    }

    private void Symlink(int index, in MetaInode i)
    {
        if (i.Count is 0 or > FlistLimits.Target || i.First != (uint)_targets || i.Count > _layout.TargetsLength - _targets)
            throw Bad(FlistFormatCode.BadTarget, index, "its target is empty, too long or does not follow the one before");
        _targets += (int)i.Count;
        if (_file.SymlinkTarget(index).Contains((byte)0))
            throw Bad(FlistFormatCode.BadTarget, index, "its target holds a zero");
        if (i.Mode != 0x1ff || i.RawSize != 0)
            throw Bad(FlistFormatCode.BadAttribute, index, "a symbolic link has mode 0777 and no size of its own");
    }

    private static void Special(int index, in MetaInode i)
    {
        if (i.First != 0 || i.Count != 0 || i.RawSize > uint.MaxValue || (i.Type == EntryType.Fifo && i.RawSize != 0))
            throw Bad(FlistFormatCode.BadAttribute, index, "a device or pipe with content or wrong numbers");
    }

    // Groups are numbered from 1 as their first member comes; all members are the same inode under other names.
    private void Link(int index, in MetaInode i)
    {
        if (i.RawLinkGroup == 0)
        {
            if (i.RawNlink != 1)
                throw Bad(FlistFormatCode.BadLinks, index, "several links outside a group");
            return;
        }
        if (i.RawLinkGroup > (uint)_links.Count + 1)
            throw Bad(FlistFormatCode.BadLinks, index, "hard-link groups are not numbered in order");
        if (i.RawLinkGroup == _links.Count + 1)
        {
            _links.Add((index, 1));
            return;
        }
        var (first, members) = _links[(int)i.RawLinkGroup - 1];
        _links[(int)i.RawLinkGroup - 1] = (first, members + 1);
        var f = _file[first];
        if (f.Type != i.Type || f.Mode != i.Mode || f.Uid != i.Uid || f.Gid != i.Gid || f.MtimeSeconds != i.MtimeSeconds || f.RawSize != i.RawSize
            || f.Xattrs != i.Xattrs || f.RawNlink != i.RawNlink
            || !_file.References(first).SequenceEqual(_file.References(index)) || !_file.SymlinkTarget(first).SequenceEqual(_file.SymlinkTarget(index)))
            throw Bad(FlistFormatCode.BadLinks, index, "it differs from the first of its hard links");
    }

    private void Totals()
    {
        if (_nextChild != _layout.Inodes || _directories != _layout.Directories)
            throw Bad(FlistFormatCode.BadTree, _layout.Inodes - 1, "inodes or directories are left over");
        if (_names != _layout.NamesLength)
            throw Bad(FlistFormatCode.BadName, _layout.Inodes - 1, "names are left over");
        if (_targets != _layout.TargetsLength)
            throw Bad(FlistFormatCode.BadTarget, _layout.Inodes - 1, "targets are left over");
        if (_references != _layout.References || _chunks != _layout.Chunks)
            throw Bad(FlistFormatCode.BadContent, _layout.Inodes - 1, "chunks are left over");
        if (_xattrs != _layout.XattrsLength || _xattrSets.Count != _layout.XattrSets)
            throw Bad(FlistFormatCode.BadXattrs, _layout.Inodes - 1, "extended attributes are left over");
    }

    private void Links()
    {
        foreach (var (first, members) in _links)
        {
            if (members < 2 || _file[first].RawNlink != (uint)members)
                throw Bad(FlistFormatCode.BadLinks, first, $"{members} names are there, {_file[first].RawNlink} are counted");
        }
        for (var i = 0; i < _file.Count; i++)
        {
            if (_file[i] is { Type: EntryType.Directory } d && d.RawNlink != 2 + (uint)_subdirectories[d.Directory])
                throw Bad(FlistFormatCode.BadLinks, i, "its links are not two and its subdirectories");
        }
    }

    // A table keyed by the root: whoever chooses hashes that collide in it changes the root, and with it the key.
    private void DistinctChunks()
    {
        var count = _layout.Chunks;
        var table = new int[(int)BitOperations.RoundUpToPowerOf2((uint)count * 2 + 1)];
        Span<byte> key = stackalloc byte[Digest.Size];
        _file.Root.CopyTo(key);
        var k = MemoryMarshal.Cast<byte, ulong>(key);
        var chunks = _file.Section(2);
        for (var n = 0; n < count; n++)
        {
            var chunk = chunks.Slice(n * Digest.Size, Digest.Size);
            var words = MemoryMarshal.Cast<byte, ulong>(chunk);
            var mixed = (words[0] ^ k[0]) * (k[1] | 1) + (words[1] ^ k[1]) * (k[2] | 1) + (words[2] ^ k[2]) * (k[3] | 1) + (words[3] ^ k[3]) * (k[0] | 1);
            var slot = (int)(mixed >> 32) & (table.Length - 1);
            for (; table[slot] != 0; slot = (slot + 1) & (table.Length - 1))
            {
                if (chunks.Slice((table[slot] - 1) * Digest.Size, Digest.Size).SequenceEqual(chunk))
                    throw Bad(FlistFormatCode.BadContent, 0, "a chunk is in the table twice");
            }
            table[slot] = n + 1;
        }
    }

    private static FlistFormatException Bad(string code, int inode, string what) => new(code, $"Inode {inode}: {what}.");
}
