using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Interop;

/// <summary>unistd.h.</summary>
internal static partial class Unistd
{
    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    public static partial int Fsync(SafeFileHandle file);
}
