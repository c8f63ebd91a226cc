using System.Runtime.InteropServices;
using System.Text;

namespace Grid.Flists.Mount.Tests;

/// <summary>File calls with raw byte paths: names need not be text.</summary>
internal static partial class Posix
{
    public static byte[] Join(byte[] directory, ReadOnlySpan<byte> name) => [.. directory, (byte)'/', .. name];

    public static byte[] Bytes(string path) => Encoding.UTF8.GetBytes(path);

    public static void Check(int result, string call)
    {
        if (result < 0)
            throw new IOException($"{call}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    public static int MkDir(byte[] path, uint mode) => MkDirNative(Z(path), mode);

    public static int Symlink(byte[] target, byte[] path) => SymlinkNative(Z(target), Z(path));

    public static int Link(byte[] from, byte[] to) => LinkNative(Z(from), Z(to));

    public static int ChMod(byte[] path, uint mode) => ChModNative(Z(path), mode);

    public static int LChOwn(byte[] path, uint uid, uint gid) => LChOwnNative(Z(path), uid, gid);

    public static int SetXattr(byte[] path, byte[] name, byte[] value) => LSetXattrNative(Z(path), Z(name), value, (nuint)value.Length, 0);

    public static byte[]? GetXattr(byte[] path, byte[] name)
    {
        var value = new byte[70000];
        var length = LGetXattrNative(Z(path), Z(name), value, (nuint)value.Length);
        return length < 0 ? null : value[..(int)length];
    }

    public static byte[] ListXattr(byte[] path)
    {
        var names = new byte[70000];
        var length = LListXattrNative(Z(path), names, (nuint)names.Length);
        return length < 0 ? [] : names[..(int)length];
    }

    public static void SetTime(byte[] path, long seconds)
    {
        const int noFollow = 0x100;
        long[] times = [seconds, 0, seconds, 0];
        Check(UTimeNsAtNative(-100, Z(path), times, noFollow), "utimensat");
    }

    public static void WriteFile(byte[] path, byte[] content)
    {
        var file = OpenNative(Z(path), 0x41, 0x1A4);
        Check(file, "open");
        using var handle = new FileStream(new Microsoft.Win32.SafeHandles.SafeFileHandle(file, true), FileAccess.Write);
        handle.Write(content);
    }

    /// <summary>Lets the kernel forget a file's pages: POSIX_FADV_DONTNEED.</summary>
    public static void DropPages(Microsoft.Win32.SafeHandles.SafeFileHandle file) => _ = FAdviseNative(file, 0, 0, 4);

    private static byte[] Z(byte[] path) => [.. path, 0];

    [LibraryImport("libc", EntryPoint = "mkdir", SetLastError = true)]
    private static partial int MkDirNative(byte[] path, uint mode);

    [LibraryImport("libc", EntryPoint = "symlink", SetLastError = true)]
    private static partial int SymlinkNative(byte[] target, byte[] path);

    [LibraryImport("libc", EntryPoint = "link", SetLastError = true)]
    private static partial int LinkNative(byte[] from, byte[] to);

    [LibraryImport("libc", EntryPoint = "chmod", SetLastError = true)]
    private static partial int ChModNative(byte[] path, uint mode);

    [LibraryImport("libc", EntryPoint = "lchown", SetLastError = true)]
    private static partial int LChOwnNative(byte[] path, uint uid, uint gid);

    [LibraryImport("libc", EntryPoint = "lsetxattr", SetLastError = true)]
    private static partial int LSetXattrNative(byte[] path, byte[] name, byte[] value, nuint size, int flags);

    [LibraryImport("libc", EntryPoint = "lgetxattr", SetLastError = true)]
    private static partial nint LGetXattrNative(byte[] path, byte[] name, byte[] value, nuint size);

    [LibraryImport("libc", EntryPoint = "llistxattr", SetLastError = true)]
    private static partial nint LListXattrNative(byte[] path, byte[] names, nuint size);

    [LibraryImport("libc", EntryPoint = "utimensat", SetLastError = true)]
    private static partial int UTimeNsAtNative(int directory, byte[] path, long[] times, int flags);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true)]
    private static partial int OpenNative(byte[] path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    private static partial int FAdviseNative(Microsoft.Win32.SafeHandles.SafeFileHandle file, long offset, long length, int advice);

    [LibraryImport("libc", EntryPoint = "getuid")]
    public static partial uint GetUid();

    [LibraryImport("libc", EntryPoint = "socketpair", SetLastError = true)]
    public static partial int SocketPair(int domain, int type, int protocol, int[] ends);
}
