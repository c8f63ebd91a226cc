using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Grid.Flists.Mount;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Volumes.Interop;
using Grid.Units;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Volumes;

/// <summary>
/// The file system of a volume: ext4 with one directory, <c>data</c>, in which everything is encrypted (fscrypt). What stays readable on the disk is how many
/// files there are, how large they are, whose, from when, and the values of extended attributes.
/// </summary>
/// <remarks>
/// Of the agreed size ext4 itself takes: 1/64 for inodes (256 bytes for every 16 KiB), 1/16,384 for bitmaps, room for the descriptors of a file system 1024 times
/// as large (at most 4 MiB), and a journal: 4 MiB below 128 MiB, 16 MiB below 1 GiB, 32 MiB below 2 GiB, 64 MiB below 16 GiB, doubling up to 1 GiB from 128 GiB on.
/// Of the rest it keeps 1/50, at most 16 MiB, for records of its own. That is 10 % of 64 MiB, 2.5 % of 20 GiB. Nothing is reserved for root.
/// What is left over from whole blocks of 4096 bytes is not used. A file system that has grown keeps its journal.
/// </remarks>
internal static class Ext4
{
    public const long BlockSize = 4096;

    public const string DataDirectory = "data";

    private const string Program = "/usr/sbin/mke2fs";
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    public static string? Missing() =>
        !File.Exists(Program) ? $"{Program} is not installed" : !File.Exists("/sys/fs/ext4/features/encryption") ? "the kernel's ext4 does not encrypt" : null;

    /// <summary>Formats a new image. Every option is said, and no configuration of the machine is read; the same id and size give the same file system.</summary>
    /// <param name="image">reads as zeros</param>
    public static void Format(string image, ContainerId id)
    {
        var uuid = new Guid(SHA256.HashData(Encoding.UTF8.GetBytes(id.ToString())).AsSpan(0, 16));
        const string Features = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize," +
            "metadata_csum,metadata_csum_seed,encrypt";
        // discard would give the blocks back that were just allocated.
        string[] args =
        [
            "-q", "-F", "-b", BlockSize.ToString(CultureInfo.InvariantCulture), "-I", "256", "-i", "16384", "-m", "0", "-G", "16", "-O", Features, "-e", "remount-ro",
            "-L", "grid-volume", "-U", uuid.ToString(), "-E", $"hash_seed={uuid},nodiscard,lazy_itable_init=0,assume_storage_prezeroed=1,root_owner=0:0", image,
        ];
        Tool.Run("mke2fs", new Command(Program, [.. args], ["PATH=/usr/sbin:/usr/bin", "LC_ALL=C", "MKE2FS_CONFIG=/dev/null"]), Patience);
    }

    /// <summary>Mounts it where nobody sees it. Its journal is replayed; nothing else is ever repaired here.</summary>
    public static SafeFileHandle Mount(LoopDevice device) => MountApi.Mount("ext4", device.Path, [("errors", "remount-ro")]);

    /// <summary>Makes the directory that is the volume, in a file system that was just formatted, and waits until its disk has it.</summary>
    public static void Encrypt(SafeFileHandle mount, ReadOnlySpan<byte> key)
    {
        Span<byte> identifier = stackalloc byte[LinuxFscrypt.IdentifierSize];
        using var root = RootOf(mount);
        LinuxFscrypt.AddKey(root, key, identifier);
        Directory.CreateDirectory(DataIn(mount));
        using var data = FcntlH.Open(DataIn(mount), FcntlH.O_RDONLY);
        LinuxFscrypt.SetPolicy(data, identifier);
        // Whoever is given the volume by the agreement may write to it, whatever user it runs as.
        File.SetUnixFileMode(data, (UnixFileMode)0b111_111_111);
        FcntlH.SyncFileSystem(root);
    }

    /// <returns>false when it is not the key of what is there</returns>
    public static bool Unlock(SafeFileHandle mount, ReadOnlySpan<byte> key)
    {
        Span<byte> identifier = stackalloc byte[LinuxFscrypt.IdentifierSize];
        using var root = RootOf(mount);
        LinuxFscrypt.AddKey(root, key, identifier);
        if (!Directory.Exists(DataIn(mount)))
            return false;
        using var data = FcntlH.Open(DataIn(mount), FcntlH.O_RDONLY);
        return LinuxFscrypt.Uses(data, identifier);
    }

    /// <summary>While workloads write.</summary>
    /// <param name="size">of the image, which is that long and allocated</param>
    public static void Grow(LoopDevice device, string mountPoint, Bytes size)
    {
        device.TakeLength();
        var blocks = (ulong)(size.Value / BlockSize);
        if (device.Ext4Blocks() >= blocks)
            return;
        using var root = FcntlH.Open(mountPoint, FcntlH.O_RDONLY);
        LinuxExt4.Resize(root, blocks);
        FcntlH.SyncFileSystem(root);
    }

    /// <summary>
    /// What ext4 counts of the errors of its disk (/sys/fs/ext4, Documentation/ABI/testing/sysfs-fs-ext4), kept in its super block over remounts. It counts those of
    /// its own records; one in somebody's data is told to whoever reads or writes that.
    /// </summary>
    /// <param name="device">its name in /dev; where no ext4 is on it, nothing is counted</param>
    /// <returns>null when nothing is wrong</returns>
    public static string? FaultOf(string device, bool isReadOnly)
    {
        var errors = ErrorsOf(device);
        return isReadOnly ? $"it is read-only now; {errors ?? "no error was counted"}" : errors;
    }

    private static string? ErrorsOf(string device)
    {
        try
        {
            var directory = $"/sys/fs/ext4/{device}/";
            string Read(string name) => File.ReadAllText(directory + name).Trim();
            // The first, for it stays the same however many follow.
            return Read("errors_count") is "0" ? null : $"its file system counts errors since {Read("first_error_func")}, block {Read("first_error_block")}";
        }
        catch (Exception e) when (Processes.Gone(e))
        {
            return null;
        }
    }

    // What fsmount(2) gives is a place (O_PATH), not an open directory.
    private static SafeFileHandle RootOf(SafeFileHandle mount) => FcntlH.Open($"/proc/self/fd/{Posix.Number(mount)}/.", FcntlH.O_RDONLY);

    private static string DataIn(SafeFileHandle mount) => $"/proc/self/fd/{Posix.Number(mount)}/{DataDirectory}";
}
