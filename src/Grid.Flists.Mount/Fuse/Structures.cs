using System.Runtime.InteropServices;

namespace Grid.Flists.Mount.Fuse;

// The structures of linux/fuse.h, protocol 7.31 to 7.45, field for field. All fields are naturally aligned; the sizes are tested.

[StructLayout(LayoutKind.Sequential)]
internal struct InHeader
{
    public const int Size = 40;

    public uint Length;
    public Opcode Opcode;
    public ulong Unique;
    public ulong Node;
    public uint Uid;
    public uint Gid;
    public uint Pid;
    public ushort ExtensionWords;
    public ushort Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct OutHeader
{
    public const int Size = 16;

    public uint Length;
    public int Error;
    public ulong Unique;
}

/// <summary>The part of <c>fuse_init_in</c> that protocol 7.31 already has; <c>flags2</c> follows it when INIT_EXT is set.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct InitIn
{
    public uint Major;
    public uint Minor;
    public uint MaxReadahead;
    public uint Flags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct InitOut
{
    public uint Major;
    public uint Minor;
    public uint MaxReadahead;
    public uint Flags;
    public ushort MaxBackground;
    public ushort CongestionThreshold;
    public uint MaxWrite;
    public uint TimeGranularity;
    public ushort MaxPages;
    public ushort MapAlignment;
    public uint Flags2;
    public uint MaxStackDepth;
    public ulong Unused1;
    public ulong Unused2;
    public ulong Unused3;
}

[StructLayout(LayoutKind.Sequential)]
internal struct Attr
{
    public ulong Ino;
    public ulong Size;
    public ulong Blocks;
    public long Atime;
    public long Mtime;
    public long Ctime;
    public uint AtimeNanoseconds;
    public uint MtimeNanoseconds;
    public uint CtimeNanoseconds;
    public uint Mode;
    public uint Nlink;
    public uint Uid;
    public uint Gid;
    public uint Rdev;
    public uint BlockSize;
    public uint Flags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct AttrOut
{
    public ulong ValidSeconds;
    public uint ValidNanoseconds;
    public uint Padding;
    public Attr Attr;
}

[StructLayout(LayoutKind.Sequential)]
internal struct EntryOut
{
    public const int Size = 128;

    public ulong Node;
    public ulong Generation;
    public ulong EntryValidSeconds;
    public ulong AttrValidSeconds;
    public uint EntryValidNanoseconds;
    public uint AttrValidNanoseconds;
    public Attr Attr;
}

[StructLayout(LayoutKind.Sequential)]
internal struct OpenIn
{
    public uint Flags;
    public uint OpenFlags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct OpenOut
{
    public ulong Handle;
    public OpenFlags Flags;
    public int BackingId;
}

/// <summary>READ, READDIR and READDIRPLUS.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ReadIn
{
    public ulong Handle;
    public ulong Offset;
    public uint Size;
    public uint ReadFlags;
    public ulong LockOwner;
    public uint Flags;
    public uint Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct ReleaseIn
{
    public ulong Handle;
    public uint Flags;
    public uint ReleaseFlags;
    public ulong LockOwner;
}

/// <summary>GETXATTR, before the name, and LISTXATTR; size 0 asks how many bytes there are.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GetXattrIn
{
    public uint Size;
    public uint Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct GetXattrOut
{
    public uint Size;
    public uint Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct StatFsOut
{
    public ulong Blocks;
    public ulong BlocksFree;
    public ulong BlocksAvailable;
    public ulong Files;
    public ulong FilesFree;
    public uint BlockSize;
    public uint NameLength;
    public uint FragmentSize;
    public uint Padding;
    public ulong Spare1;
    public ulong Spare2;
    public ulong Spare3;
}

/// <summary>Before the name; the record is padded to eight bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Dirent
{
    public const int Size = 24;

    public ulong Ino;
    public ulong NextOffset;
    public uint NameLength;
    public uint Type;
}
