using System.Runtime.InteropServices;

namespace Grid.Flists.Build.Interop;

/// <summary>sys/xattr.h: extended attributes of a path whose last part is not followed.</summary>
internal static partial class Xattr
{
    private const int NotSupported = 95;

    // XATTR_LIST_MAX and XATTR_SIZE_MAX of linux/limits.h.
    private const int Maximum = 64 * 1024;

    /// <summary>Names without their values; empty where the file system has none, null with errno set when reading fails.</summary>
    /// <param name="path">ends with a zero byte</param>
    /// <param name="buffer">64 KiB</param>
    public static List<byte[]>? Names(ReadOnlySpan<byte> path, Span<byte> buffer)
    {
        var length = (int)llistxattr(path, buffer, Maximum);
        if (length < 0)
            return Marshal.GetLastPInvokeError() == NotSupported ? [] : null;
        var names = new List<byte[]>();
        for (var rest = buffer[..length]; rest.Length > 0;)
        {
            var end = rest.IndexOf((byte)0);
            names.Add(rest[..end].ToArray());
            rest = rest[(end + 1)..];
        }
        return names;
    }

    /// <summary>Null when the attribute is gone or cannot be read; errno says which.</summary>
    public static byte[]? Value(ReadOnlySpan<byte> path, ReadOnlySpan<byte> name, Span<byte> buffer)
    {
        var length = (int)lgetxattr(path, [.. name, 0], buffer, Maximum);
        return length < 0 ? null : buffer[..length].ToArray();
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint llistxattr(ReadOnlySpan<byte> path, Span<byte> list, nuint size);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint lgetxattr(ReadOnlySpan<byte> path, ReadOnlySpan<byte> name, Span<byte> value, nuint size);
}
