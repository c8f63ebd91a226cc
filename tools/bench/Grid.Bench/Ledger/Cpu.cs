using System.Globalization;

namespace Grid.Bench.Ledger;

/// <summary>Processor time of this process and of all its descendants, which unlike the clock does not count what other programs took.</summary>
/// <param name="All">seconds</param>
/// <param name="Postgres">seconds of those among them that are PostgreSQL's</param>
internal readonly record struct Cpu(double All, double Postgres)
{
    // USER_HZ is 100 on every Linux that .NET runs on.
    private const double TicksPerSecond = 100;

    public static Cpu Now()
    {
        var processes = new Dictionary<int, Stat>();
        foreach (var entry in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(entry), CultureInfo.InvariantCulture, out var id) && Read(entry) is { } stat)
                processes[id] = stat;
        }
        var ours = processes.Where(p => IsOurs(p.Key, processes)).Select(p => p.Value).ToList();
        return new Cpu(ours.Sum(p => p.Ticks) / TicksPerSecond, ours.Where(p => p.Name == "postgres").Sum(p => p.Ticks) / TicksPerSecond);
    }

    public static Cpu operator -(Cpu left, Cpu right) => new(left.All - right.All, left.Postgres - right.Postgres);

    private static bool IsOurs(int id, Dictionary<int, Stat> processes)
    {
        for (; id != Environment.ProcessId; id = processes[id].Parent)
        {
            if (!processes.ContainsKey(id))
                return false;
        }
        return true;
    }

    // proc_pid_stat(5): behind the name in parentheses come state, ppid, … and as fields 14–17 utime, stime, cutime, cstime.
    private static Stat? Read(string entry)
    {
        try
        {
            var text = File.ReadAllText(Path.Combine(entry, "stat"));
            var name = text[(text.IndexOf('(') + 1)..text.LastIndexOf(')')];
            var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
            return new Stat(name, int.Parse(fields[1], CultureInfo.InvariantCulture), fields[11..15].Sum(f => long.Parse(f, CultureInfo.InvariantCulture)));
        }
        catch (IOException)
        {
            // It ended meanwhile.
            return null;
        }
    }
    private readonly record struct Stat(string Name, int Parent, long Ticks);
}
