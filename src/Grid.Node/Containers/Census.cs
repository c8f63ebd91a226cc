using System.Collections.Immutable;
using System.ComponentModel;
using System.Globalization;
using Grid.Node.Containers.Interop;

namespace Grid.Node.Containers;

/// <summary>Code that runs in a container's control groups and is none of its files.</summary>
/// <param name="Path">as the process sees it</param>
/// <param name="Executed">false: it is mapped executable into a process that executes what belongs</param>
internal sealed record Stranger(ProcessIdentity Process, string Path, bool Executed);

/// <summary>
/// Compares what every process executes, and every file it has mapped executable, with the mounts of the container from which files can be executed: its root, which
/// is the flist, and of a machine's emulator also the node's <c>/usr</c>. What lies there was checked against hashes when it was read, and nobody can write there.
/// Memory that no file backs (a JIT's) cannot be judged and is not reported.
/// </summary>
internal static class Census
{
    // A workload may map its own files in as many pieces as it likes; nobody else's look waits for that.
    private const int MostMappings = 50_000;

    /// <param name="init">the container's first process: its mounts are the container's</param>
    /// <param name="pids">what is in its control groups</param>
    public static ImmutableArray<Stranger> Take(ProcessIdentity init, IEnumerable<int> pids)
    {
        try
        {
            var mounts = MountLine.Read(init.Pid.ToString(CultureInfo.InvariantCulture))
                .Where(m => m.Options.Contains("ro") && !m.Options.Contains("noexec")).Select(m => m.Id).ToHashSet();
            // Were they those of another, which got its number, everybody in here would be a stranger.
            if (Processes.Identify(init.Pid) != init)
                return [];
            var (found, left) = (new List<Stranger>(), MostMappings);
            foreach (var pid in pids.Order())
                found.AddRange(Examine(pid, mounts, ref left));
            return [.. found.Distinct()];
        }
        catch (Exception e) when (Processes.Gone(e))
        {
            // It ended, and with it all that is in its pid namespace.
            return [];
        }
    }

    /// <param name="left">how many mappings are still looked at; what a process executes always is</param>
    private static List<Stranger> Examine(int pid, HashSet<ulong> mounts, ref int left)
    {
        List<Stranger> strangers = [];
        var known = new HashSet<(string, string, string)>();
        try
        {
            if (Processes.Identify(pid) is not { } process)
                return strangers;
            if (SysStat.Identify($"/proc/{pid}/exe") is { } program && !mounts.Contains(program.Mount))
                strangers.Add(new Stranger(process, new FileInfo($"/proc/{pid}/exe").LinkTarget ?? "?", Executed: true));
            foreach (var line in File.ReadLines($"/proc/{pid}/maps"))
            {
                if (left-- <= 0)
                    break;
                // 7f0e1c000000-7f0e1c021000 r-xp 00000000 fe:00 1234    /lib/libc.so.6
                if (line[line.IndexOf(' ', StringComparison.Ordinal) + 3] != 'x' || line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries) is not [var range, _, _, var device, not "0" and var inode, var path] || IsMemory(path) || !known.Add((device, inode, path)))
                    continue;
                // What it was unmapped from meanwhile does not run.
                if (SysStat.Identify($"/proc/{pid}/map_files/{range}") is { } mapped && !mounts.Contains(mapped.Mount) && !strangers.Any(s => s.Path == path))
                    strangers.Add(new Stranger(process, path, Executed: false));
            }
        }
        catch (Exception e) when (Processes.Gone(e) || e is Win32Exception { NativeErrorCode: Posix.ENOENT or Posix.ESRCH })
        {
            // It ended while it was looked at; what ended does not run.
        }
        return strangers;
    }

    // Shared memory without a name, and System V's, stand in the list as files.
    private static bool IsMemory(string path) => path == "/dev/zero (deleted)" || path.StartsWith("/SYSV", StringComparison.Ordinal);
}
