using System.Runtime.InteropServices;
using Grid.Flists.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists;

/// <summary>
/// A file that somebody named. Only a regular one is opened: a pipe would be waited for without end, and to open a device can already be an act.
/// </summary>
public static class NamedFile
{
    private const int TypeBits = 0xf000;
    private const int Regular = 0x8000;

    /// <summary>Opens it for reading; symbolic links are followed.</summary>
    /// <exception cref="IOException">it is not there, is no regular file, or must not be read; the message says which file and why</exception>
    public static SafeFileHandle Open(string path)
    {
        // O_PATH touches nothing of what is there; what is read afterwards is what was looked at, whatever the name means by then.
        using var found = Fcntl.Open(path, Fcntl.PathOnly | Fcntl.CloseOnExec);
        if (found.IsInvalid)
            throw Failed(path, Marshal.GetLastPInvokeErrorMessage());
        if (Type(path, found) is var type && type != Regular)
            throw Failed(path, $"it is {Name(type)}");
        var file = Fcntl.Open($"/proc/self/fd/{found.DangerousGetHandle()}", Fcntl.ReadOnly | Fcntl.CloseOnExec);
        return file.IsInvalid ? throw Failed(path, Marshal.GetLastPInvokeErrorMessage()) : file;
    }

    /// <summary>What stands at a path, in a word, unless that is a regular file or nothing. A symbolic link is what it leads to.</summary>
    public static string? OtherThan(string path)
    {
        using var found = Fcntl.Open(path, Fcntl.PathOnly | Fcntl.CloseOnExec);
        if (found.IsInvalid)
            return null;
        return Type(path, found) is var type && type == Regular ? null : Name(type);
    }

    private static int Type(string path, SafeFileHandle file) => SysStat.Stat(file, "", SysStat.EmptyPath, SysStat.BasicStats, out var stat) == 0
        ? stat.Mode & TypeBits
        : throw Failed(path, Marshal.GetLastPInvokeErrorMessage());

    private static IOException Failed(string path, string why) => new($"{path} cannot be read: {why}.");

    private static string Name(int type) => type switch
    {
        0x1000 => "a pipe",
        0x2000 or 0x6000 => "a device",
        0x4000 => "a directory",
        0xc000 => "a socket",
        _ => "no regular file",
    };
}
