using System.Runtime.InteropServices;

namespace Grid.Flists.Erofs;

/// <summary>What EROFS calls by number (fs/erofs/erofs_fs.h).</summary>
internal static class Erofs
{
    public const int BlockBits = 12;
    public const int BlockSize = 1 << BlockBits;
    public const int SuperBlockAt = 1024;

    /// <summary>The number of an inode is where it lies, in units of this.</summary>
    public const int SlotSize = 32;

    public const int FlatPlain = 0, FlatInline = 2, ChunkBased = 4;

    /// <summary>Of a file in chunks: an index of 8 bytes says where each is.</summary>
    public const int ChunkIndexes = 0x20;

    /// <summary>How often a block is doubled to be a chunk.</summary>
    public const int ChunkBits = Chunk.SizeLog2 - BlockBits;

    public static int FileType(EntryType type) => type switch
    {
        EntryType.File => 1,
        EntryType.Directory => 2,
        EntryType.CharacterDevice => 3,
        EntryType.BlockDevice => 4,
        EntryType.Fifo => 5,
        _ => 7,
    };
}

/// <summary><c>struct erofs_super_block</c>, 128 bytes, little-endian.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = ByteSize)]
internal struct SuperBlock()
{
    public const int ByteSize = 128;
    public const uint HasChunkedFiles = 4, HasDeviceTable = 8;

    public uint Magic = 0xE0F5_E1E2;
    public uint Checksum;
    public uint Compatible;
    public byte BlockBits = Erofs.BlockBits;
    public byte ExtraSlots;
    public ushort RootNumber;
    public ulong Inodes;
    public ulong BuildTime;
    public uint BuildNanoseconds;
    public uint Blocks;
    public uint InodesBlock;
    public uint SharedXattrsBlock;
    public ulong UuidLow;
    public ulong UuidHigh;
    public ulong VolumeNameStart;
    public ulong VolumeNameEnd;
    public uint Incompatible;
    private readonly ushort _compression;
    public ushort Devices;

    /// <summary>Where their table begins, in its own units.</summary>
    public ushort DeviceTable;
}

/// <summary><c>struct erofs_deviceslot</c>, 128 bytes, little-endian: another file in which bytes are.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = ByteSize)]
internal struct ErofsDevice
{
    public const int ByteSize = 128;
    private const int TagSize = 64;

    [System.Runtime.CompilerServices.InlineArray(TagSize)]
    public struct Name
    {
        private byte _first;
    }

    public Name Tag;
    public uint Blocks;
}

/// <summary><c>struct erofs_inode_chunk_index</c>, 8 bytes, little-endian.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct ErofsChunk
{
    public const int ByteSize = 8;

    private readonly ushort _advice;
    public ushort Device;
    public uint Block;
}

/// <summary><c>struct erofs_inode_extended</c>, 64 bytes, little-endian. Extended attributes follow it, then what is inline.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = ByteSize)]
internal struct ErofsInode
{
    public const int ByteSize = 64;
    private const int Extended = 1;

    private ushort _format;
    public ushort XattrCount;
    public ushort Mode;
    private readonly ushort _high;
    public ulong Size;

    /// <summary>The first block of what is not inline, of what form its chunks are, or a device's numbers.</summary>
    public uint Where;
    public uint Number;
    public uint Uid;
    public uint Gid;
    public long Mtime;
    private readonly uint _nanoseconds;
    public uint Nlink;

    public int Layout
    {
        set => _format = (ushort)(Extended | value << 1);
    }
}

/// <summary><c>struct erofs_dirent</c>, 12 bytes, little-endian. Those of a block come first, then their names.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = ByteSize)]
internal struct ErofsDirent
{
    public const int ByteSize = 12;

    public ulong Number;
    public ushort NameOffset;
    public byte Type;
}
