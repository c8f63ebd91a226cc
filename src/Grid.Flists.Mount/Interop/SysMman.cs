using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount.Interop;

/// <summary>sys/mman.h: memfd_create(2).</summary>
internal static partial class SysMman
{
    public const uint MFD_CLOEXEC = 1;
    public const uint MFD_NOEXEC_SEAL = 8;

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial SafeFileHandle CreateMemoryFile(string name, uint flags);
}
