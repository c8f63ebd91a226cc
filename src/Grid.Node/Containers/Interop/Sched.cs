using System.Runtime.InteropServices;

namespace Grid.Node.Containers.Interop;

/// <summary>sched.h: namespaces of the calling thread.</summary>
internal static partial class Sched
{
    public const int CLONE_NEWNS = 0x0002_0000;
    public const int CLONE_NEWNET = 0x4000_0000;

    [LibraryImport("libc")]
    public static partial int unshare(int flags);

    [LibraryImport("libc")]
    public static partial int setns(int fd, int type);
}
