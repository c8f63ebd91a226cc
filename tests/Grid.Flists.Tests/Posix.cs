using System.Runtime.InteropServices;
using System.Text;
using Grid.Flists.Tests.Identity;

namespace Grid.Flists.Tests;

/// <summary>Makes a sketch real in a directory, with raw names, and takes it away again.</summary>
internal static partial class Posix
{
    private const int CurrentDirectory = -100;
    private const int SymlinkNoFollow = 0x100;

    public static void Make(string root, IReadOnlyList<SketchEntry> entries)
    {
        foreach (var e in entries)
        {
            var path = Path(root, e);
            if (e.LinkTo is { } first)
                Check(linkat(CurrentDirectory, Path(root, first), CurrentDirectory, path, 0), path);
            else if (e.Type == EntryType.Directory && e.Path.Length > 0)
                Check(mkdir(path, 0x1c0), path);
            else if (e.Type == EntryType.Symlink)
                Check(symlink([.. e.Target, 0], path), path);
            else if (e.Type == EntryType.Fifo)
                Check(mkfifo(path, 0x180), path);
            else if (e.Type == EntryType.File)
                WriteFile(path, e.Data);
        }
        // Times last and from below, since making a child changes its directory.
        foreach (var e in entries.Reverse().Where(e => e.LinkTo is null))
        {
            var path = Path(root, e);
            Check(lchown(path, e.Uid, e.Gid), path);
            foreach (var (name, value) in e.Xattrs)
                Check(lsetxattr(path, [.. name, 0], value, (nuint)value.Length, 0), path);
            if (e.Type != EntryType.Symlink)
                Check(chmod(path, (uint)e.Mode), path);
            Check(utimensat(CurrentDirectory, path, [0, 0, e.Mtime, 123_456_789], SymlinkNoFollow), path);
        }
    }

    public static bool CanMake(string root)
    {
        var path = Encoding.UTF8.GetBytes(root + "\0");
        var can = lsetxattr(path, "user.probe\0"u8, "1"u8, 1, 0) == 0 && geteuid() == 0;
        lremovexattr(path, "user.probe\0"u8);
        return can;
    }

    private static void WriteFile(byte[] path, byte[] data)
    {
        var fd = open(path, 0x80000 | 0x40 | 1, 0x180);
        Check(fd, path);
        using var handle = new Microsoft.Win32.SafeHandles.SafeFileHandle(fd, true);
        // Blocks of zeros become holes.
        for (var at = 0; at < data.Length; at += 4096)
        {
            var block = data.AsSpan(at, int.Min(4096, data.Length - at));
            if (block.ContainsAnyExcept((byte)0))
                RandomAccess.Write(handle, block, at);
        }
        RandomAccess.SetLength(handle, data.Length);
    }

    private static byte[] Path(string root, SketchEntry e) => e.Path.Length == 0 ? Encoding.UTF8.GetBytes(root + "\0") : [.. Encoding.UTF8.GetBytes(root + "/"), .. e.Path, 0];

    private static void Check(int result, ReadOnlySpan<byte> path)
    {
        if (result < 0)
            throw new IOException($"{Encoding.Latin1.GetString(path)}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int mkdir(ReadOnlySpan<byte> path, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int mkfifo(ReadOnlySpan<byte> path, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int chmod(ReadOnlySpan<byte> path, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int lchown(ReadOnlySpan<byte> path, uint uid, uint gid);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int symlink(ReadOnlySpan<byte> target, ReadOnlySpan<byte> path);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int linkat(int fromDirectory, ReadOnlySpan<byte> from, int toDirectory, ReadOnlySpan<byte> to, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int utimensat(int directory, ReadOnlySpan<byte> path, ReadOnlySpan<long> times, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int open(ReadOnlySpan<byte> path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int lsetxattr(ReadOnlySpan<byte> path, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, nuint size, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int lremovexattr(ReadOnlySpan<byte> path, ReadOnlySpan<byte> name);

    [LibraryImport("libc")]
    internal static partial uint geteuid();
}
