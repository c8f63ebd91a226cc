using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Build.Interop;

/// <summary>fcntl.h: opening below a directory that is open, under raw names.</summary>
internal static partial class Fcntl
{
    public const int CurrentDirectory = -100;

    public const int ReadOnly = 0;
    public const int NonBlocking = 0x800;
    public const int CloseOnExec = 0x80000;

    // These two differ between the architectures Linux runs on (asm/fcntl.h).
    public static readonly int Directory = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm ? 0x4000 : 0x10000;
    public static readonly int NoFollow = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm ? 0x8000 : 0x20000;

    /// <param name="name">ends with a zero byte</param>
    public static SafeFileHandle OpenAt(SafeFileHandle? directory, ReadOnlySpan<byte> name, int flags)
    {
        var held = false;
        try
        {
            directory?.DangerousAddRef(ref held);
            var fd = openat(directory is null ? CurrentDirectory : (int)directory.DangerousGetHandle(), name, flags | CloseOnExec);
            return new SafeFileHandle(fd, ownsHandle: true);
        }
        finally
        {
            if (held)
                directory!.DangerousRelease();
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int openat(int directory, ReadOnlySpan<byte> name, int flags);
}
