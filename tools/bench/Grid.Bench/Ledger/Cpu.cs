using System.Globalization;

namespace Grid.Bench.Ledger;

/// <summary>Processor time of this process and of all its descendants, which unlike the clock does not count what other programs took.</summary>
internal static class Cpu
{
    // USER_HZ is 100 on every Linux that .NET runs on.
    private const double TicksPerSecond = 100;

    public static double Seconds()
    {
        var processes = new Dictionary<int, (int Parent, long Ticks)>();
        foreach (var entry in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(entry), CultureInfo.InvariantCulture, out var id) && Read(entry) is { } stat)
                processes[id] = stat;
        }
        return processes.Where(p => IsOurs(p.Key, processes)).Sum(p => p.Value.Ticks) / TicksPerSecond;
    }

    private static bool IsOurs(int id, Dictionary<int, (int Parent, long Ticks)> processes)
    {
        for (; id != Environment.ProcessId; id = processes[id].Parent)
        {
            if (!processes.ContainsKey(id))
                return false;
        }
        return true;
    }

    // proc_pid_stat(5): behind the name in parentheses come state, ppid, … and as fields 14–17 utime, stime, cutime, cstime.
    private static (int Parent, long Ticks)? Read(string entry)
    {
        try
        {
            var text = File.ReadAllText(Path.Combine(entry, "stat"));
            var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
            return (int.Parse(fields[1], CultureInfo.InvariantCulture), fields[11..15].Sum(f => long.Parse(f, CultureInfo.InvariantCulture)));
        }
        catch (IOException)
        {
            // It ended meanwhile.
            return null;
        }
    }
}
