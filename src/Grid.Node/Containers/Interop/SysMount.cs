using System.Runtime.InteropServices;

namespace Grid.Node.Containers.Interop;

/// <summary>sys/mount.h. Paths are NUL-terminated bytes, so that a caller may have them ready before it must not allocate.</summary>
internal static unsafe partial class SysMount
{
    public const ulong MS_NOSUID = 0x2, MS_NODEV = 0x4, MS_NOEXEC = 0x8, MS_BIND = 0x1000, MS_REC = 0x4000, MS_SLAVE = 0x8_0000;
    public const int MNT_DETACH = 0x2;
    public const uint S_IFCHR = 0x2000;

    [LibraryImport("libc")]
    public static partial int mount(byte* source, byte* target, byte* type, ulong flags, byte* data);

    // sys/stat.h, here because it is wanted between two mounts. The mode is what the caller's umask leaves of it.
    [LibraryImport("libc")]
    public static partial int mknod(byte* path, uint mode, ulong device);

    [LibraryImport("libc")]
    public static partial int chmod(byte* path, uint mode);

    [LibraryImport("libc")]
    public static partial int umount2(byte* target, int flags);
}
