using System.Runtime.InteropServices;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Volumes.Interop;

/// <summary>fcntl.h, unistd.h, sys/ioctl.h: files that are allocated, forced to the disk, and told things.</summary>
internal static unsafe partial class FcntlH
{
    public const int O_RDONLY = 0, O_RDWR = 2, O_CREAT = 0x40, O_EXCL = 0x80, O_CLOEXEC = 0x8_0000;
    public const int EIO = 5, ENXIO = 6, EBUSY = 16, ENOSPC = 28, EROFS = 30, ENODATA = 61, EOPNOTSUPP = 95, EUCLEAN = 117;
    private const int FALLOC_FL_KEEP_SIZE = 1;

    /// <exception cref="System.ComponentModel.Win32Exception"/>
    public static SafeFileHandle Open(string path, int flags, uint mode = 0)
    {
        var fd = open(path, flags | O_CLOEXEC, mode);
        return fd >= 0 ? new SafeFileHandle(fd, true) : throw Posix.Failed($"open {path}");
    }

    /// <summary>Every block up to <paramref name="length"/> is the file's; its length stays.</summary>
    /// <returns>false when the disk is full</returns>
    public static bool Allocate(SafeFileHandle file, long length)
    {
        int result;
        do
            result = fallocate(Posix.Number(file), FALLOC_FL_KEEP_SIZE, 0, length);
        while (result != 0 && Marshal.GetLastSystemError() is Posix.EINTR);
        return result == 0 || (Marshal.GetLastSystemError() is ENOSPC ? false : throw Posix.Failed("fallocate"));
    }

    /// <summary>Also with the length it has: what was allocated beyond is given back.</summary>
    public static void SetLength(SafeFileHandle file, long length)
    {
        if (ftruncate(Posix.Number(file), length) != 0)
            throw Posix.Failed("ftruncate");
    }

    /// <summary>A file's bytes and attributes, or a directory's entries.</summary>
    public static void Sync(SafeFileHandle file)
    {
        if (fsync(Posix.Number(file)) != 0)
            throw Posix.Failed("fsync");
    }

    public static void SyncDirectory(string path)
    {
        using var directory = Open(path, O_RDONLY);
        Sync(directory);
    }

    /// <summary>The whole file system that the file is in.</summary>
    public static void SyncFileSystem(SafeFileHandle file)
    {
        if (syncfs(Posix.Number(file)) != 0)
            throw Posix.Failed("syncfs");
    }

    /// <returns>what the kernel returned, or the negated errno</returns>
    public static int Control(SafeFileHandle file, uint request, void* argument)
    {
        var result = ioctl(Posix.Number(file), request, argument);
        return result >= 0 ? result : -Marshal.GetLastSystemError();
    }

    /// <summary>The same for requests whose argument is a number.</summary>
    public static int Control(SafeFileHandle file, uint request, nuint argument = 0) => Control(file, request, (void*)argument);

    // open and ioctl are variadic in C; with integers in registers only, the call is the same.
    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc")]
    private static partial int ioctl(int fd, nuint request, void* argument);

    [LibraryImport("libc")]
    private static partial int fallocate(int fd, int mode, long offset, long length);

    [LibraryImport("libc")]
    private static partial int ftruncate(int fd, long length);

    [LibraryImport("libc")]
    private static partial int fsync(int fd);

    [LibraryImport("libc")]
    private static partial int syncfs(int fd);
}
