using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Erofs;

/// <summary>
/// An flist as an EROFS image that a kernel mounts from a file (fs/erofs/erofs_fs.h): the tree, the small files, and which other files the large ones are.
/// </summary>
internal sealed class ErofsImage
{
    private readonly MetaFile _meta;
    private readonly ErofsLayout _layout;
    private readonly SafeFileHandle _output;

    /// <summary>Writes everything but the bytes of files.</summary>
    /// <exception cref="ArgumentException">the tree does not fit (<see cref="ErofsLayout.Fits"/>)</exception>
    /// <param name="output">empty; what is not written reads as zeros</param>
    public ErofsImage(MetaFile meta, SafeFileHandle output)
    {
        (_meta, _layout, _output) = (meta, new ErofsLayout(meta), output);
        var super = new SuperBlock
        {
            RootNumber = checked((ushort)_layout.Number(0)),
            Inodes = (ulong)_layout.Count,
            Blocks = _layout.Blocks,
            Devices = (ushort)Devices.Length,
            DeviceTable = (Erofs.SuperBlockAt + SuperBlock.ByteSize) / ErofsDevice.ByteSize,
            Incompatible = Devices.Length > 0 ? SuperBlock.HasChunkedFiles | SuperBlock.HasDeviceTable : 0,
        };
        RandomAccess.SetLength(output, Length);
        Write(super, Erofs.SuperBlockAt);
        for (var n = 0; n < Devices.Length; n++)
        {
            var device = new ErofsDevice { Blocks = (uint)(meta[Devices[n]].Size >> Erofs.BlockBits) };
            // Which file it is, who mounts says; a name there must be.
            ((Span<byte>)device.Tag)[0] = (byte)'-';
            Write(device, Erofs.SuperBlockAt + SuperBlock.ByteSize + n * ErofsDevice.ByteSize);
        }
        foreach (var inode in _layout.Inodes())
            WriteInode(inode);
    }

    /// <summary>In bytes.</summary>
    public long Length => (long)_layout.Blocks << Erofs.BlockBits;

    /// <summary>The files of which at most the end is in the image, in the order in which they are named at a mount: by one inode of each.</summary>
    public int[] Devices => _layout.Devices;

    /// <summary>Whether a file has bytes, and is not another name of one that came before.</summary>
    public bool Has(int inode) => _layout.At(inode) > 0 && _meta[inode] is { Type: EntryType.File, Size: > 0 };

    /// <summary>Of a file: how many bytes, up to its end, are in the image; a chunk at most.</summary>
    public int Copied(int inode)
    {
        var shape = _layout.ShapeOf(inode);
        return (int)shape.Whole + shape.Tail;
    }

    /// <summary>Writes these bytes.</summary>
    public void Put(int inode, ReadOnlySpan<byte> bytes)
    {
        var shape = _layout.ShapeOf(inode);
        if (bytes.Length != shape.Whole + shape.Tail)
            throw new ArgumentException($"{shape.Whole + shape.Tail} bytes of inode {inode} are in the image, not {bytes.Length}.", nameof(bytes));
        RandomAccess.Write(_output, bytes[..(int)shape.Whole], (long)_layout.Block(inode) << Erofs.BlockBits);
        RandomAccess.Write(_output, bytes[(int)shape.Whole..], _layout.At(inode) + shape.Body);
    }

    private void WriteInode(int inode)
    {
        var meta = _meta[inode];
        var shape = _layout.ShapeOf(inode);
        var head = new ErofsInode
        {
            Layout = shape.Device > 0 ? Erofs.ChunkBased : shape.Tail > 0 ? Erofs.FlatInline : Erofs.FlatPlain,
            XattrCount = ErofsXattrs.Count(shape.Xattrs),
            Mode = (ushort)meta.StatMode,
            Size = (ulong)shape.Size,
            Where = shape.Device > 0 ? (uint)(Erofs.ChunkIndexes | Erofs.ChunkBits) : meta.Rdev | _layout.Block(inode),
            Number = (uint)inode + 1,
            Uid = meta.Uid,
            Gid = meta.Gid,
            Mtime = meta.MtimeSeconds,
            Nlink = (uint)meta.Nlink,
        };
        var bytes = new byte[shape.Length - shape.Tail];
        MemoryMarshal.Write(bytes, head);
        ErofsXattrs.Write(_meta, inode, bytes.AsSpan(ErofsInode.ByteSize, shape.Xattrs));
        var chunks = MemoryMarshal.Cast<byte, ErofsChunk>(bytes.AsSpan(shape.Body));
        for (var n = 0; n < chunks.Length; n++)
            chunks[n] = new ErofsChunk { Device = (ushort)shape.Device, Block = (uint)n << Erofs.ChunkBits };
        if (shape is { Device: > 0, Whole: > 0 })
            chunks[^1] = new ErofsChunk { Block = _layout.Block(inode) };
        RandomAccess.Write(_output, bytes, _layout.At(inode));
        if (meta.Type == EntryType.Symlink)
            Put(inode, _meta.SymlinkTarget(inode));
        if (meta.Type != EntryType.Directory)
            return;
        var entries = new byte[shape.Size];
        new ErofsDirectory(_meta, inode).Write(_layout.Number, entries);
        Put(inode, entries);
    }

    private void Write<T>(in T record, long at) where T : unmanaged => RandomAccess.Write(_output, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in record)), at);
}
