using System.Globalization;
using Grid.Node.Containers.Interop;
using Grid.Node.Volumes.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Volumes;

/// <summary>A block device that is a file. It is there for as long as somebody has it open or mounted, and then gone by itself.</summary>
internal sealed class LoopDevice : IDisposable
{
    private readonly SafeFileHandle _device;

    private LoopDevice(int number, SafeFileHandle device) => (Number, _device) = (number, device);

    public int Number { get; }

    public string Path => PathOf(Number);

    /// <summary>Finds the device that the image has, however it came by it, or gives it one.</summary>
    public static LoopDevice Of(string image, string name)
    {
        if (Find(image) is { } bound)
            return bound;
        using var file = FcntlH.Open(image, FcntlH.O_RDWR);
        using var control = FcntlH.Open("/dev/loop-control", FcntlH.O_RDWR);
        while (true)
        {
            var number = LinuxLoop.FindFree(control);
            var device = FcntlH.Open(PathOf(number), FcntlH.O_RDWR);
            if (LinuxLoop.Bind(device, file, name))
                return new LoopDevice(number, device);
            device.Dispose();
        }
    }

    /// <returns>null when the image has none</returns>
    public static LoopDevice? Find(string image)
    {
        foreach (var directory in Directory.EnumerateDirectories("/sys/block", "loop*"))
        {
            if (BackingFile(directory) != image || SysStat.Identify(image) is not { } file)
                continue;
            var number = int.Parse(directory.AsSpan("/sys/block/loop".Length), CultureInfo.InvariantCulture);
            var device = FcntlH.Open(PathOf(number), FcntlH.O_RDWR);
            // The name alone could be that of a file which was there before.
            if (LinuxLoop.Bound(device) == (((ulong)file.Minor & 0xFF) | ((ulong)file.Major << 8) | (((ulong)file.Minor & ~0xFFUL) << 12), file.Inode))
                return new LoopDevice(number, device);
            device.Dispose();
        }
        return null;
    }

    /// <summary>The device becomes as large as the file is now.</summary>
    public void TakeLength() => LinuxLoop.TakeLength(_device);

    /// <summary>How many blocks its ext4 has, as the mounted file system has it in memory (s_blocks_count, Documentation/filesystems/ext4/super.rst).</summary>
    public ulong Ext4Blocks()
    {
        Span<byte> super = stackalloc byte[1024];
        for (var read = 0; read < super.Length;)
        {
            if (RandomAccess.Read(_device, super[read..], 1024 + read) is > 0 and var count)
                read += count;
            else
                throw new IOException($"{Path} ends before its super block.");
        }
        return BitConverter.ToUInt32(super[0x4..]) | ((ulong)BitConverter.ToUInt32(super[0x150..]) << 32);
    }

    public void Dispose() => _device.Dispose();

    private static string PathOf(int number) => $"/dev/loop{number}";

    private static string? BackingFile(string directory)
    {
        try
        {
            return File.ReadAllText(directory + "/loop/backing_file").TrimEnd('\n');
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException || (e is IOException && (e.HResult & 0xFFFF) == FcntlH.ENXIO))
        {
            return null;
        }
    }
}
