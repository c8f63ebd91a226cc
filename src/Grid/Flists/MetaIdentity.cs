using System.Buffers.Binary;
using System.Security.Cryptography;
using Grid.Units;

namespace Grid.Flists;

/// <summary>Directory ids and the root hash, computed over a meta file (FORMAT.md, Identity). Each reads the ids of subdirectories from the table.</summary>
internal sealed class MetaIdentity : IDisposable
{
    // Type, mode, owners, time, link group, size, and the three lengths.
    private const int FixedEntry = 1 + 2 + 4 + 4 + 8 + 4 + 8 + 2 + 2 + 2;
    private const int FlushAt = 64 * 1024;

    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly byte[] _buffer = new byte[FlushAt + FixedEntry + FlistLimits.Name + FlistLimits.Target];
    private readonly MetaFile _file;
    private int _length;

    public MetaIdentity(MetaFile file) => _file = file;

    /// <summary>Every directory's id depends on the table only, not on another's computation: all cores take part.</summary>
    /// <exception cref="FlistFormatException">an id in the table or the root in the header is not the tree's</exception>
    public static void Check(MetaFile file)
    {
        var directories = Enumerable.Range(0, file.Count).Where(i => file[i].Type == EntryType.Directory).ToArray();
        var looked = Parallel.For(0, directories.Length, () => new MetaIdentity(file), (n, loop, identity) =>
        {
            if (identity.Directory(directories[n]) != file.DirectoryId(directories[n]))
                loop.Break();
            return identity;
        }, identity => identity.Dispose());
        if (looked.LowestBreakIteration is { } n)
            throw new FlistFormatException(FlistFormatCode.WrongDirectoryId, $"The directory at inode {directories[n]} does not hash to its id.");
        using var root = new MetaIdentity(file);
        if (root.Root() != file.Root)
            throw new FlistFormatException(FlistFormatCode.WrongRoot, "The tree does not hash to the root in the header.");
    }

    /// <summary><c>SHA-256("FLD1" ‖ u32 count ‖ entries in order of name)</c></summary>
    public Digest Directory(int inode)
    {
        var directory = _file[inode];
        Append("FLD1"u8);
        AppendCount(directory.ChildCount);
        for (var child = directory.FirstChild; child < directory.FirstChild + directory.ChildCount; child++)
            AppendEntry(child);
        return Finish();
    }

    /// <summary><c>SHA-256("FLR1" ‖ u16 mode ‖ u32 uid ‖ u32 gid ‖ i64 mtime ‖ extended attributes ‖ directory id)</c></summary>
    public Digest Root()
    {
        var root = _file[0];
        Append("FLR1"u8);
        Span<byte> attributes = stackalloc byte[18];
        BinaryPrimitives.WriteUInt16LittleEndian(attributes, root.Mode);
        BinaryPrimitives.WriteUInt32LittleEndian(attributes[2..], root.Uid);
        BinaryPrimitives.WriteUInt32LittleEndian(attributes[6..], root.Gid);
        BinaryPrimitives.WriteInt64LittleEndian(attributes[10..], root.MtimeSeconds);
        Append(attributes);
        AppendXattrs(root);
        AppendDigest(_file.DirectoryId(0));
        return Finish();
    }

    public void Dispose() => _hash.Dispose();

    private void AppendEntry(int inode)
    {
        if (_length > FlushAt)
            Flush();
        var i = _file[inode];
        var name = _file.Name(inode);
        var entry = _buffer.AsSpan(_length);
        entry[0] = (byte)i.Type;
        BinaryPrimitives.WriteUInt16LittleEndian(entry[1..], i.Mode);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[3..], i.Uid);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[7..], i.Gid);
        BinaryPrimitives.WriteInt64LittleEndian(entry[11..], i.MtimeSeconds);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[19..], i.RawLinkGroup);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[23..], i.RawSize);
        BinaryPrimitives.WriteUInt16LittleEndian(entry[31..], (ushort)name.Length);
        name.CopyTo(entry[33..]);
        _length += 33 + name.Length;

        var payload = _buffer.AsSpan(_length + 2);
        var length = Digest.Size;
        switch (i.Type)
        {
            case EntryType.File:
                _file.Content(inode).CopyTo(payload);
                break;
            case EntryType.Directory:
                _file.DirectoryId(inode).CopyTo(payload);
                break;
            default:
                var target = _file.SymlinkTarget(inode);
                target.CopyTo(payload);
                length = target.Length;
                break;
        }
        BinaryPrimitives.WriteUInt16LittleEndian(_buffer.AsSpan(_length), (ushort)length);
        _length += 2 + length;
        AppendXattrs(i);
    }

    private void AppendXattrs(in MetaInode inode)
    {
        var encoded = _file.EncodedXattrs(inode);
        Append(encoded.IsEmpty ? XattrSet.Empty.Encoded : encoded);
    }

    private void AppendCount(int count)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, count);
        Append(bytes);
    }

    private void AppendDigest(Digest digest)
    {
        Span<byte> bytes = stackalloc byte[Digest.Size];
        digest.CopyTo(bytes);
        Append(bytes);
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _buffer.Length - _length)
            Flush();
        // 64 KiB of extended attributes is the longest piece, and the buffer is longer.
        bytes.CopyTo(_buffer.AsSpan(_length));
        _length += bytes.Length;
    }

    private void Flush()
    {
        _hash.AppendData(_buffer, 0, _length);
        _length = 0;
    }

    private Digest Finish()
    {
        Flush();
        Span<byte> hash = stackalloc byte[Digest.Size];
        _hash.GetHashAndReset(hash);
        return new Digest(hash);
    }
}
