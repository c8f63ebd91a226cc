using System.Runtime.InteropServices;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Volumes.Interop;

/// <summary>/dev/kmsg (Documentation/ABI/testing/dev-kmsg): each read gives one record, or says that there is none.</summary>
internal static unsafe partial class Kmsg
{
    /// <summary>CONSOLE_EXT_LOG_MAX; into less a long record is not read at all.</summary>
    public const int LongestRecord = 8192;

    private const int O_NONBLOCK = 0x800, SEEK_END = 2, EAGAIN = 11, EPIPE = 32;

    /// <exception cref="System.ComponentModel.Win32Exception">there is none, or it may not be read</exception>
    public static SafeFileHandle OpenAtEnd(string path)
    {
        var file = FcntlH.Open(path, FcntlH.O_RDONLY | O_NONBLOCK);
        if (lseek(Posix.Number(file), 0, SEEK_END) >= 0)
            return file;
        var failure = Posix.Failed($"lseek {path}");
        file.Dispose();
        throw failure;
    }

    /// <returns>how long the record is, 0 where the kernel wrote over records that were not read yet; null when there is none</returns>
    public static int? Read(SafeFileHandle file, Span<byte> record)
    {
        nint count;
        // Safe: the kernel writes at most as much as the span holds.
        fixed (byte* start = record)
            count = read(Posix.Number(file), start, (nuint)record.Length);
        if (count >= 0)
            return (int)count;
        return Marshal.GetLastSystemError() switch
        {
            EPIPE or Posix.EINTR => 0,
            EAGAIN => null,
            _ => throw Posix.Failed("read the kernel's log"),
        };
    }

    [LibraryImport("libc")]
    private static partial long lseek(int fd, long offset, int whence);

    [LibraryImport("libc")]
    private static partial nint read(int fd, byte* buffer, nuint count);
}
