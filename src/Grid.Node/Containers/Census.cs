using System.Collections.Immutable;
using System.Globalization;
using Grid.Node.Containers.Interop;

namespace Grid.Node.Containers;

/// <summary>Code that runs in a container and is not a file of its flist.</summary>
/// <param name="Path">as the process sees it</param>
public sealed record Stranger(int Pid, string Path);

/// <summary>
/// Compares what every process executes, and every file it has mapped executable, with the mount that is its root. What lies on that mount
/// was checked against the flist's hashes when it was read. Memory that no file backs (a JIT's) cannot be judged and is not reported.
/// </summary>
internal static class Census
{
    public static ImmutableArray<Stranger> Take(IEnumerable<int> pids) => [.. pids.Order().SelectMany(Examine).Distinct()];

    private static IEnumerable<Stranger> Examine(int pid)
    {
        List<Stranger> strangers = [];
        try
        {
            using var root = Posix.OpenPath($"/proc/{pid}/root");
            var home = SysStat.IdentifyIn(root, "/");
            var program = new FileInfo($"/proc/{pid}/exe").LinkTarget;
            if (program is not null && !Belongs(root, home, program, SysStat.Identify($"/proc/{pid}/exe")))
                strangers.Add(new Stranger(pid, program));
            foreach (var line in File.ReadLines($"/proc/{pid}/maps"))
            {
                // 7f0e1c000000-7f0e1c021000 r-xp 00000000 fe:00 1234    /lib/libc.so.6
                if (line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries) is not [var range, [_, _, 'x', ..], _, var device, var inode, var path] || inode == "0")
                    continue;
                var parts = device.Split(':');
                var mapped = SysStat.Identify($"/proc/{pid}/map_files/{range}") ?? new FileIdentity(
                    uint.Parse(parts[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture), uint.Parse(parts[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture),
                    ulong.Parse(inode, CultureInfo.InvariantCulture), 0);
                if (!Belongs(root, home, path, mapped))
                    strangers.Add(new Stranger(pid, path));
            }
        }
        catch (Exception e) when (Processes.Gone(e) || e is System.ComponentModel.Win32Exception { NativeErrorCode: Posix.ENOENT or Posix.ESRCH })
        {
            // It ended while it was looked at; what ended does not run.
        }
        return strangers;
    }

    /// <summary>The path leads, inside the container, to that same file, and by way of the root mount.</summary>
    private static bool Belongs(Microsoft.Win32.SafeHandles.SafeFileHandle root, FileIdentity? home, string path, FileIdentity? file) =>
        SysStat.IdentifyIn(root, path) is { } found && home is { } mount && file is { } actual
        && found.Mount == mount.Mount && (found.Major, found.Minor, found.Inode) == (actual.Major, actual.Minor, actual.Inode);
}
