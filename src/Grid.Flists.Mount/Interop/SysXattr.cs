using System.Runtime.InteropServices;

namespace Grid.Flists.Mount.Interop;

/// <summary>sys/xattr.h.</summary>
internal static partial class SysXattr
{
    public static bool Has(string path, string name) => GetXattr(path, name, [], 0) >= 0;

    [LibraryImport("libc", EntryPoint = "getxattr", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint GetXattr(string path, string name, Span<byte> value, nuint size);
}
