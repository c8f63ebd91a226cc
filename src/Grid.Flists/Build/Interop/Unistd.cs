using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Build.Interop;

/// <summary>unistd.h: the raw target of a symbolic link.</summary>
internal static partial class Unistd
{
    /// <summary>Null with errno set when it cannot be read.</summary>
    public static byte[]? ReadLink(SafeFileHandle directory, ReadOnlySpan<byte> name)
    {
        Span<byte> target = stackalloc byte[4096];
        var length = (int)readlinkat(directory, name, target, (nuint)target.Length);
        return length < 0 ? null : target[..length].ToArray();
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint readlinkat(SafeFileHandle directory, ReadOnlySpan<byte> name, Span<byte> target, nuint length);
}
