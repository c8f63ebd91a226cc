using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Volumes.Interop;

/// <summary>linux/ext4.h (Documentation/admin-guide/ext4.rst).</summary>
internal static unsafe class LinuxExt4
{
    private const uint EXT4_IOC_RESIZE_FS = 0x4008_6610;

    /// <summary>While it is in use. It needs CAP_SYS_RESOURCE.</summary>
    public static void Resize(SafeFileHandle root, ulong blocks)
    {
        if (FcntlH.Control(root, EXT4_IOC_RESIZE_FS, &blocks) < 0)
            throw Posix.Failed("EXT4_IOC_RESIZE_FS");
    }
}
