using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Build.Interop;

/// <summary>sys/stat.h: statx, whose structure is the same on every architecture.</summary>
internal static partial class Stat
{
    private const int SymlinkNoFollow = 0x100;
    private const int EmptyPath = 0x1000;
    private const uint BasicStats = 0x7ff;

    public static bool TryRead(SafeFileHandle directory, ReadOnlySpan<byte> name, out Statx stat) =>
        statx(directory, name, SymlinkNoFollow, BasicStats, out stat) == 0;

    public static bool TryRead(SafeFileHandle file, out Statx stat) => statx(file, "\0"u8, EmptyPath, BasicStats, out stat) == 0;

    [LibraryImport("libc", SetLastError = true)]
    private static partial int statx(SafeFileHandle directory, ReadOnlySpan<byte> name, int flags, uint mask, out Statx stat);
}

/// <summary>struct statx (linux/stat.h): 256 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal readonly struct Statx
{
    [FieldOffset(16)] public readonly uint Nlink;
    [FieldOffset(20)] public readonly uint Uid;
    [FieldOffset(24)] public readonly uint Gid;
    [FieldOffset(28)] public readonly ushort Mode;
    [FieldOffset(32)] public readonly ulong Inode;
    [FieldOffset(40)] public readonly ulong Size;
    [FieldOffset(96)] public readonly long CtimeSeconds;
    [FieldOffset(104)] public readonly uint CtimeNanoseconds;
    [FieldOffset(112)] public readonly long MtimeSeconds;
    [FieldOffset(120)] public readonly uint MtimeNanoseconds;
    [FieldOffset(128)] public readonly uint RdevMajor;
    [FieldOffset(132)] public readonly uint RdevMinor;
    [FieldOffset(136)] public readonly uint DeviceMajor;
    [FieldOffset(140)] public readonly uint DeviceMinor;

    /// <summary>Type bits as in readdir(3).</summary>
    public int Type => Mode >> 12;

    public ulong Device => (ulong)DeviceMajor << 32 | DeviceMinor;

    public FileStamp Stamp => new(Device, Inode, Size, MtimeSeconds, MtimeNanoseconds, CtimeSeconds, CtimeNanoseconds);
}

/// <summary>Equal stamps are the same file, that nobody wrote, renamed or gave other attributes between.</summary>
internal readonly record struct FileStamp(
    ulong Device, ulong Inode, ulong Size, long MtimeSeconds, uint MtimeNanoseconds, long CtimeSeconds, uint CtimeNanoseconds);
