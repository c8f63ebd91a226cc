using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Containers.Interop;

/// <summary>Which file a name stands for: device, inode and the mount it was reached through.</summary>
internal readonly record struct FileIdentity(uint Major, uint Minor, ulong Inode, ulong Mount);

/// <summary>sys/stat.h statx(2), sys/statvfs.h, and openat2(2), which glibc does not wrap.</summary>
internal static unsafe partial class SysStat
{
    public const ulong ST_RDONLY = 1, ST_NOSUID = 2, ST_NODEV = 4, ST_NOEXEC = 8;
    private const int AT_EMPTY_PATH = 0x1000, AT_STATX_DONT_SYNC = 0x4000, AT_FDCWD = -100;
    private const uint STATX_NLINK = 0x4, STATX_INO = 0x100, STATX_MNT_ID = 0x1000;
    private const ulong O_PATH = 0x20_0000;
    private const ulong RESOLVE_NO_MAGICLINKS = 0x02, RESOLVE_NO_SYMLINKS = 0x04, RESOLVE_IN_ROOT = 0x10;
    private const int SYS_openat2 = 437;

    /// <returns>null when there is no such file</returns>
    public static FileIdentity? Identify(string path) => Identify(AT_FDCWD, path, 0);

    /// <summary>What a process whose root is <paramref name="root"/> reaches by this path, without following a link.</summary>
    public static FileIdentity? IdentifyIn(SafeFileHandle root, string path)
    {
        using var file = OpenIn(root, path);
        return file is null ? null : Identify(Posix.Number(file), "", AT_EMPTY_PATH);
    }

    /// <summary>The same, held: a place (O_PATH), which nothing that happens in there can make another. Null when there is no such file.</summary>
    public static SafeFileHandle? OpenIn(SafeFileHandle root, string path)
    {
        var how = stackalloc ulong[3];
        how[0] = O_PATH | Posix.O_CLOEXEC;
        how[1] = 0;
        how[2] = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
        var bytes = Encoding.UTF8.GetBytes(path + '\0');
        nint fd;
        // Safe: the buffers outlive the call, which writes to neither.
        fixed (byte* name = bytes)
            fd = syscall(SYS_openat2, Posix.Number(root), (nint)name, (nint)how, 24);
        return fd < 0 ? null : new SafeFileHandle(fd, true);
    }

    /// <summary>A character device that one user may read and write.</summary>
    public static void MakeDevice(string path, int major, int minor, uint owner)
    {
        const uint S_IFCHR = 0x2000, OwnerOnly = 0x180;
        // makedev(3) for numbers of one byte.
        if (mknod(path, S_IFCHR | OwnerOnly, (ulong)((major << 8) | minor)) != 0 || lchown(path, owner, owner) != 0)
            throw Posix.Failed($"mknod {path}");
    }

    public static void SetOwner(string path, uint owner, uint group)
    {
        if (lchown(path, owner, group) != 0)
            throw Posix.Failed($"lchown {path}");
    }

    public static ulong MountFlags(string path)
    {
        var vfs = stackalloc ulong[14 + 8];
        if (statvfs(path, vfs) != 0)
            throw Posix.Failed($"statvfs {path}");
        // struct statvfs on 64-bit glibc: bsize frsize blocks bfree bavail files ffree favail fsid flag namemax.
        return vfs[9];
    }

    /// <summary>How many names stand for a file; of a directory in the kernel's own file systems two more than it has directories. 0 when there is none.</summary>
    public static uint Links(string path)
    {
        var buffer = stackalloc byte[256];
        // struct statx: nlink at 16.
        return statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_NLINK, buffer) == 0 ? *(uint*)(buffer + 16) : 0;
    }

    private static FileIdentity? Identify(int directory, string path, int flags)
    {
        var buffer = stackalloc byte[256];
        // Which file it is never changes: who serves the file system, and may be slow or gone, is not asked.
        if (statx(directory, path, flags | AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, buffer) != 0)
            return null;
        // struct statx: ino at 32, dev_major at 136, dev_minor at 140, mnt_id at 144.
        return new FileIdentity(*(uint*)(buffer + 136), *(uint*)(buffer + 140), *(ulong*)(buffer + 32), *(ulong*)(buffer + 144));
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int directory, string path, int flags, uint mask, byte* buffer);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mknod(string path, uint mode, ulong device);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int lchown(string path, uint owner, uint group);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statvfs(string path, ulong* buffer);

    // Variadic in C; with integers in registers only, the call is the same.
    [LibraryImport("libc")]
    private static partial nint syscall(nint number, nint a, nint b, nint c, nint d);
}
