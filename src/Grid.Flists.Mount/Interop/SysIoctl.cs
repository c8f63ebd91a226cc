using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount.Interop;

/// <summary>sys/ioctl.h, with the requests of /dev/fuse (linux/fuse.h, "Device ioctls").</summary>
internal static partial class SysIoctl
{
    // _IOR(229, 0, uint32_t)
    public const nuint FUSE_DEV_IOC_CLONE = 0x8004_E500;

    // _IOW(229, 1, struct fuse_backing_map) and _IOW(229, 2, uint32_t)
    public const nuint FUSE_DEV_IOC_BACKING_OPEN = 0x4010_E501;
    public const nuint FUSE_DEV_IOC_BACKING_CLOSE = 0x4004_E502;

    /// <summary><c>struct fuse_backing_map</c>, 16 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct BackingMap
    {
        public int Descriptor;
        public uint Flags;
        public ulong Padding;
    }

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    public static partial int Ioctl(SafeFileHandle file, nuint request, in BackingMap map);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    public static partial int Ioctl(SafeFileHandle file, nuint request, in uint argument);
}
