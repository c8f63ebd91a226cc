using System.Runtime.InteropServices;

namespace Grid.Flists.Mount.Interop;

/// <summary>sys/vfs.h: statfs(2), which FUSE never answers from a cache.</summary>
internal static partial class SysStatFs
{
    // struct statfs has 120 bytes on 64-bit Linux.
    private const int Size = 256;

    [LibraryImport("libc", EntryPoint = "statfs", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatFs(string path, Span<byte> result);

    public static Errno StatFs(string path)
    {
        Span<byte> result = stackalloc byte[Size];
        return StatFs(path, result) == 0 ? Errno.None : (Errno)Marshal.GetLastPInvokeError();
    }
}
