using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Volumes.Interop;

/// <summary>linux/fs.h: flags of an inode (ioctl_iflags(2)).</summary>
internal static unsafe class LinuxFs
{
    private const uint FS_IOC_GETFLAGS = 0x8008_6601, FS_IOC_SETFLAGS = 0x4008_6602;
    private const uint FS_NOCOW_FL = 0x0080_0000;

    /// <summary>What is overwritten is overwritten where it lies. File systems that always do so need not know the flag.</summary>
    /// <param name="file">empty</param>
    public static void OverwriteInPlace(SafeFileHandle file)
    {
        uint flags;
        if (FcntlH.Control(file, FS_IOC_GETFLAGS, &flags) < 0)
            return;
        flags |= FS_NOCOW_FL;
        _ = FcntlH.Control(file, FS_IOC_SETFLAGS, &flags);
    }
}
