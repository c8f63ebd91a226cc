using System.Collections.Frozen;

namespace Grid.Stories.Tests.Stage;

/// <summary>A node's processes, as the kernel says and not the agent.</summary>
public sealed partial class StageNode
{
    private static readonly FrozenSet<string> Tools = new[] { "cat", "dd", "ip", "nft", "nsenter", "unshare", "wg" }.ToFrozenSet();

    /// <summary>
    /// Every process of this node which a kill of the agent must leave alone, with its number and the moment of its birth: what is in its workloads' control groups, what names
    /// its directory, and what is in its network. Not among them are the agent, what it runs to its end, of which one that was killed
    /// may leave some for that long, and copies that a workload makes of itself, as a web server does for each answer.
    /// </summary>
    public SortedSet<string> Lasting()
    {
        var space = _place is null ? null : UnderlayNetwork.Inside(Space, () => Link("/proc/thread-self/ns/net"));
        var all = Directory.EnumerateDirectories("/proc").Select(Stat).OfType<Born>().ToDictionary(b => b.Pid);
        return new(all.Values.Where(b => IsHere(b, space) && !IsPassing(b, all)).Select(b => $"{b.Name} {b.Pid} since {b.Ticks}"), StringComparer.Ordinal);
    }

    private bool IsHere(Born born, string? space) =>
        IsInGroups(born.Entry) || Names(born.Entry) || (space is not null && Link(Path.Combine(born.Entry, "ns/net")) == space);

    private bool IsPassing(Born born, Dictionary<int, Born> all)
    {
        var (parent, line) = (all.GetValueOrDefault(born.Parent), Reads(Path.Combine(born.Entry, "cmdline")));
        // Who is ending has none.
        if (line.Length == 0)
            return true;
        if (IsInGroups(born.Entry))
            return parent is not null && IsInGroups(parent.Entry) && line == Reads(Path.Combine(parent.Entry, "cmdline"));
        // Between its birth and its program a tool is a copy of the agent.
        return line.Contains($"--invite\0{invite}\0", StringComparison.Ordinal) || Tools.Contains(Path.GetFileName(Link(Path.Combine(born.Entry, "exe")) ?? ""));
    }

    private sealed record Born(string Entry, int Pid, string Name, int Parent, ulong Ticks);

    // proc_pid_stat(5): the name, in parentheses, may hold anything. A zombie has ended.
    private static Born? Stat(string entry)
    {
        var text = int.TryParse(Path.GetFileName(entry), out var pid) ? Reads(Path.Combine(entry, "stat")) : "";
        var (open, close) = (text.IndexOf('('), text.LastIndexOf(')'));
        return close > 0 && text[(close + 2)..].Split(' ') is [not ("Z" or "X"), var parent, ..] and { Length: > 19 } fields
            ? new Born(entry, pid, text[(open + 1)..close], int.Parse(parent), ulong.Parse(fields[19])) : null;
    }

    private bool IsInGroups(string entry) => Reads(Path.Combine(entry, "cgroup")).Contains($"/{Cgroup}/", StringComparison.Ordinal);

    private bool Names(string entry)
    {
        var environment = Reads(Path.Combine(entry, "environ"));
        return (Reads(Path.Combine(entry, "cmdline")) + environment).Contains(Run + "/", StringComparison.Ordinal) || environment.Contains(Run + '\0', StringComparison.Ordinal);
    }

    /// <summary>Every process whose command line or environment names this node's directory.</summary>
    public IReadOnlyList<int> Mentioning() =>
    [
        .. from entry in Directory.EnumerateDirectories("/proc")
           where int.TryParse(Path.GetFileName(entry), out _) && entry != $"/proc/{Environment.ProcessId}" && Names(entry)
           select int.Parse(Path.GetFileName(entry)),
    ];

    private List<int> Of(string variable) =>
    [
        .. from entry in Directory.EnumerateDirectories("/proc")
           where int.TryParse(Path.GetFileName(entry), out _)
           where Reads(Path.Combine(entry, "environ")) is var text && text.Contains(variable, StringComparison.Ordinal) && text.Contains(Run, StringComparison.Ordinal)
           select int.Parse(Path.GetFileName(entry)),
    ];

    public static string Reads(string path)
    {
        try
        {
            return File.Exists(path) ? File.ReadAllText(path) : "";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It ended meanwhile, or is nobody's to read.
            return "";
        }
    }
}
