using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Grid.Node.Containers.Interop;

namespace Grid.Node.Containers;

/// <summary>What /proc says of processes (proc(5)). A process that ends while it is read is as one that was not there.</summary>
internal static class Processes
{
    // sysconf(_SC_CLK_TCK) is 100 on every Linux that .NET runs on.
    private const long TicksPerSecond = 100;

    // Most of these files are shorter.
    private const int Enough = 4096;

    // A process writes its own arguments and environment, and may say that gigabytes are (prctl(2), PR_SET_MM).
    private const int LongestOwnWords = 64 << 10;

    private static readonly string? UserNamespace = NamespaceOf(Environment.ProcessId, "user");

    /// <summary>All, the kernel's own and those that have ended with them.</summary>
    public static IEnumerable<int> Numbers()
    {
        foreach (var directory in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(directory.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture, out var pid))
                yield return pid;
        }
    }

    /// <summary>All that can still run, with their arguments; a zombie has none. What they say of themselves is their own word, and a workload's among them.</summary>
    public static IEnumerable<(int Pid, ImmutableArray<string> Args)> All() =>
        from pid in Numbers()
        let line = OwnWords(pid, "cmdline")
        where !string.IsNullOrEmpty(line)
        select (pid, line.TrimEnd('\0').Split('\0').ToImmutableArray());

    /// <summary>
    /// Those that are in the user namespace of this process, as all are that the agent starts for itself, and none that is of a workload: those are each in one of
    /// its own, whatever they call themselves.
    /// </summary>
    public static IEnumerable<(ProcessIdentity Process, ImmutableArray<string> Args)> Ours(Func<ImmutableArray<string>, bool> wanted) =>
        from one in All()
        where wanted(one.Args)
        let process = Identify(one.Pid)
        where process is not null && UserNamespace is not null && NamespaceOf(one.Pid, "user") == UserNamespace
        select (process.Value, one.Args);

    /// <summary>What is in its environment, "NAME=value"; nothing when that is longer than any that the agent gives.</summary>
    public static ImmutableArray<string> EnvironmentOf(int pid) => [.. OwnWords(pid, "environ")?.Split('\0') ?? []];

    public static ProcessIdentity? Identify(int pid)
    {
        // The name, in parentheses, may hold spaces and parentheses itself; state follows the last one. 'Z' and 'X' have ended.
        if (Read(pid, "stat") is not { } stat || stat[(stat.LastIndexOf(')') + 2)..].Split(' ') is not { Length: > 20 } fields || fields[0] is "Z" or "X")
            return null;
        return new ProcessIdentity(pid, ulong.Parse(fields[19], CultureInfo.InvariantCulture));
    }

    /// <summary>True for the first process of the innermost pid namespace it is in.</summary>
    public static bool IsInit(int pid) => Read(pid, "status") is { } status
        && status.Split('\n').FirstOrDefault(l => l.StartsWith("NSpid:", StringComparison.Ordinal)) is { } line
        && line.Split('\t') is { Length: > 2 } ids && ids[^1] == "1";

    public static UidRange? UidRangeOf(int pid) =>
        Read(pid, "uid_map")?.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries) is ["0", var first, var count]
            && count == UidRange.Count.ToString(CultureInfo.InvariantCulture) && uint.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out var id)
            ? new UidRange(id)
            : null;

    public static DateTimeOffset Started(ProcessIdentity process) => Started(process, Booted());

    public static DateTimeOffset Started(ProcessIdentity process, DateTimeOffset booted) => booted.AddMilliseconds(process.StartTicks * 1000.0 / TicksPerSecond);

    /// <summary>By the clock as it is set now.</summary>
    public static DateTimeOffset Booted() =>
        DateTimeOffset.FromUnixTimeSeconds(long.Parse(File.ReadLines("/proc/stat").First(l => l.StartsWith("btime ", StringComparison.Ordinal)).AsSpan(6), CultureInfo.InvariantCulture));

    /// <summary>Signals that very process, not one that was given its number since.</summary>
    /// <returns>false when it has ended</returns>
    public static bool Signal(ProcessIdentity process, int signal)
    {
        using var handle = Posix.OpenProcess(process.Pid);
        return handle is not null && Identify(process.Pid) == process && Posix.Signal(handle, signal);
    }

    /// <summary>Which namespace it is in, the same text for the same one.</summary>
    /// <param name="kind">as in /proc/PID/ns: user, mnt</param>
    public static string? NamespaceOf(int pid, string kind)
    {
        try
        {
            return new FileInfo($"/proc/{pid}/ns/{kind}").LinkTarget;
        }
        catch (Exception e) when (Gone(e))
        {
            return null;
        }
    }

    public static string? Read(int pid, string file)
    {
        try
        {
            return ReadSmall($"/proc/{pid}/{file}");
        }
        catch (Exception e) when (Gone(e))
        {
            return null;
        }
    }

    /// <summary>A file that the kernel makes as it is read, mostly a short one. A look at the machine reads several for every process: neither locked nor buffered it costs a quarter.</summary>
    public static string ReadSmall(string path)
    {
        using var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        Span<byte> first = stackalloc byte[Enough];
        var length = RandomAccess.Read(handle, first, 0);
        // A list stops at the last entry that fits, which is short of what was asked: its end is a read of nothing.
        return length < Enough && RandomAccess.Read(handle, first[length..], length) == 0 ? Encoding.UTF8.GetString(first[..length]) : File.ReadAllText(path);
    }

    /// <returns>null when there is none, or too much</returns>
    private static string? OwnWords(int pid, string file)
    {
        try
        {
            using var handle = File.OpenHandle($"/proc/{pid}/{file}", FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            Span<byte> first = stackalloc byte[Enough];
            var length = RandomAccess.Read(handle, first, 0);
            if (length < Enough)
                return Encoding.UTF8.GetString(first[..length]);
            var all = new byte[LongestOwnWords];
            length = 0;
            while (length < all.Length && RandomAccess.Read(handle, all.AsSpan(length), length) is > 0 and var count)
                length += count;
            return length < all.Length ? Encoding.UTF8.GetString(all, 0, length) : null;
        }
        catch (Exception e) when (Gone(e))
        {
            return null;
        }
    }

    // ESRCH (3) is what reading an ended process's file gives.
    public static bool Gone(Exception e) => e is FileNotFoundException or DirectoryNotFoundException || (e is IOException && (e.HResult & 0xFFFF) == Posix.ESRCH);
}
