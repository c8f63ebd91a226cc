using System.Runtime.InteropServices;
using System.Text;

namespace Grid.Bench.Flists;

/// <summary>The three calls of a program that reads a small file, with nothing of .NET between them.</summary>
internal static partial class Libc
{
    [LibraryImport("libc", EntryPoint = "open", SetLastError = true)]
    public static partial int Open(ReadOnlySpan<byte> path, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(int file, Span<byte> buffer, nint count);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int file);

    /// <summary>Takes a file's pages out of memory.</summary>
    public static void Forget(string path)
    {
        const int DontNeed = 4;
        var file = Open(Encoding.UTF8.GetBytes(path + "\0"), 0);
        _ = Advise(file, 0, 0, DontNeed);
        _ = Close(file);
    }

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    private static partial int Advise(int file, long offset, long length, int advice);
}
