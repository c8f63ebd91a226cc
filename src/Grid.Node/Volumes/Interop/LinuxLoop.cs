using System.Runtime.InteropServices;
using System.Text;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Volumes.Interop;

/// <summary>linux/loop.h (loop(4)).</summary>
internal static unsafe class LinuxLoop
{
    private const uint LOOP_GET_STATUS64 = 0x4C05, LOOP_SET_CAPACITY = 0x4C07, LOOP_CONFIGURE = 0x4C0A, LOOP_CTL_GET_FREE = 0x4C82;
    private const uint LO_FLAGS_AUTOCLEAR = 4, LO_FLAGS_DIRECT_IO = 16;

    /// <returns>the number of a device that was free a moment ago</returns>
    public static int FindFree(SafeFileHandle control) => FcntlH.Control(control, LOOP_CTL_GET_FREE) is >= 0 and var number
        ? number
        : throw Posix.Failed("LOOP_CTL_GET_FREE");

    /// <summary>Binds it. The kernel lets go of the file by itself when nobody has the device open or mounted any more, a killed agent included.</summary>
    /// <param name="name">at most 63 bytes of it can be seen in the device</param>
    /// <returns>false when somebody else was faster</returns>
    public static bool Bind(SafeFileHandle device, SafeFileHandle file, string name)
    {
        var config = new Config { File = (uint)Posix.Number(file) };
        config.Info.Flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
        Encoding.UTF8.GetBytes(name.AsSpan(0, int.Min(name.Length, 63)), new Span<byte>(config.Info.FileName, 63));
        return FcntlH.Control(device, LOOP_CONFIGURE, &config) switch
        {
            >= 0 => true,
            -FcntlH.EBUSY => false,
            _ => throw Posix.Failed("LOOP_CONFIGURE"),
        };
    }

    /// <returns>inode and its file system's device number; null when no file is bound</returns>
    public static (ulong Device, ulong Inode)? Bound(SafeFileHandle device)
    {
        Info info;
        return FcntlH.Control(device, LOOP_GET_STATUS64, &info) switch
        {
            >= 0 => (info.Device, info.Inode),
            -FcntlH.ENXIO => null,
            _ => throw Posix.Failed("LOOP_GET_STATUS64"),
        };
    }

    /// <summary>The device becomes as large as the file is now.</summary>
    public static void TakeLength(SafeFileHandle device)
    {
        if (FcntlH.Control(device, LOOP_SET_CAPACITY) < 0)
            throw Posix.Failed("LOOP_SET_CAPACITY");
    }

    /// <summary><c>struct loop_info64</c>, 232 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Info
    {
        public ulong Device, Inode, SpecialDevice, Offset, SizeLimit;
        public uint Number, EncryptType, EncryptKeySize, Flags;
        public fixed byte FileName[64];
        public fixed byte CryptName[64];
        public fixed byte EncryptKey[32];
        public fixed ulong Init[2];
    }

    /// <summary><c>struct loop_config</c>, 304 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Config
    {
        public uint File, BlockSize;
        public Info Info;
        public fixed ulong Reserved[8];
    }
}
