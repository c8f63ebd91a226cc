using System.Diagnostics;

namespace Grid.Flists.Mount.Tests;

/// <summary>What ordinary programs see.</summary>
internal static class Tools
{
    /// <summary>Runs a shell line in a directory; its output as bytes.</summary>
    public static async Task<byte[]> ShellAsync(string directory, string line)
    {
        var start = new ProcessStartInfo("/bin/sh", ["-c", line]) { WorkingDirectory = directory, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["LC_ALL"] = "C";
        using var process = Process.Start(start)!;
        using var output = new MemoryStream();
        var errors = process.StandardError.ReadToEndAsync();
        await process.StandardOutput.BaseStream.CopyToAsync(output);
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? output.ToArray() : throw new IOException($"'{line}' ended with {process.ExitCode}: {await errors}");
    }

    public static async Task<string> TextAsync(string directory, string line) =>
        System.Text.Encoding.UTF8.GetString(await ShellAsync(directory, line)).TrimEnd('\n');

    /// <summary>Type, mode, owners, time, links, size (of what is no directory), target and name of everything, sorted.</summary>
    public static Task<byte[]> StatAllAsync(string directory) => ShellAsync(directory,
        @"find . \( -type d -printf '%p %y %m %U %G %T@ %n\0' \) -o -printf '%p %y %m %U %G %T@ %n %s %l\0' | sort -z");

    public static Task<byte[]> HashAllAsync(string directory) => ShellAsync(directory, "find . -type f -print0 | sort -z | xargs -0 -r sha256sum -z");

    /// <summary>Which names are one inode: the names of each link group together.</summary>
    public static Task<byte[]> LinksAsync(string directory) => ShellAsync(directory,
        @"find . -type f -links +1 -printf '%p\0' | sort -z | xargs -0 -r -n1 sh -c 'find . -samefile ""$0"" -print0 | sort -z | tr ""\0"" ""|""; echo'");
}
