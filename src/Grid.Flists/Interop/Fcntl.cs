using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Interop;

/// <summary>fcntl.h.</summary>
internal static partial class Fcntl
{
    // Values of x86-64 and arm64 differ for O_DIRECTORY, so a directory is opened without it and fsync(2) says what it is.
    public const int ReadOnly = 0;
    public const int CloseOnExec = 0x80000;
    public const int PathOnly = 0x200000;

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial SafeFileHandle Open(string path, int flags);
}
