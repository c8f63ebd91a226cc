using System.Runtime.InteropServices;
using System.Text;
using Grid.Node.Containers.Interop;

namespace Grid.Node.Volumes.Interop;

/// <summary>sys/xattr.h (xattr(7)).</summary>
internal static unsafe partial class SysXattr
{
    private const int Largest = 256;

    /// <returns>null when the file has none of this name</returns>
    public static string? Get(string path, string name)
    {
        var buffer = stackalloc byte[Largest];
        var length = getxattr(path, name, buffer, Largest);
        if (length >= 0)
            return Encoding.UTF8.GetString(buffer, (int)length);
        return Marshal.GetLastSystemError() is FcntlH.ENODATA ? null : throw Posix.Failed($"getxattr {path} {name}");
    }

    /// <summary>False where the file system has none at all.</summary>
    public static bool AreKnown(string path) => listxattr(path, null, 0) >= 0 || (Marshal.GetLastSystemError() is FcntlH.EOPNOTSUPP ? false : throw Posix.Failed($"listxattr {path}"));

    public static void Set(string path, string name, string value)
    {
        var bytes = Encoding.UTF8.GetBytes(value);
        if (setxattr(path, name, bytes, (nuint)bytes.Length, 0) != 0)
            throw Posix.Failed($"setxattr {path} {name}");
    }

    public static void Remove(string path, string name)
    {
        if (removexattr(path, name) != 0 && Marshal.GetLastSystemError() is not FcntlH.ENODATA)
            throw Posix.Failed($"removexattr {path} {name}");
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint listxattr(string path, byte* names, nuint size);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint getxattr(string path, string name, byte* value, nuint size);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int setxattr(string path, string name, byte[] value, nuint size, int flags);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int removexattr(string path, string name);
}
