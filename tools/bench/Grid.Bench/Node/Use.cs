using System.Diagnostics;
using System.Globalization;
using Grid.Bench.Start;
using Grid.Flists.Mount;
using Grid.Node.Containers;

namespace Grid.Bench.Node;

/// <summary>What the agent takes while it has nothing to do, and what stands beside it for the workloads.</summary>
/// <param name="Agent">proportional set size (smaps_rollup), MiB</param>
/// <param name="Core">the agent's share of one</param>
/// <param name="Shims">of all processes that hold a container, MiB</param>
/// <param name="Mounts">of the flists' supervisors and daemons, MiB</param>
internal sealed record Use(double Agent, double Core, double Shims, double Mounts)
{
    // After the work before it, and then one whole sweep.
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(6), Window = TimeSpan.FromSeconds(30);

    public static async Task<Use> OfIdleAsync(PrivateGrid grid)
    {
        await Task.Delay(Settle);
        var (began, before) = (Stopwatch.GetTimestamp(), Processor(grid.Agent));
        await Task.Delay(Window);
        var core = (Processor(grid.Agent) - before) / Stopwatch.GetElapsedTime(began);
        var others = Processes.All().Where(p => p.Args.Any(a => a.Contains(grid.Paths.Run, StringComparison.Ordinal))).ToList();
        return new Use(
            Mebibytes(grid.Agent), core,
            others.Where(p => p.Args[0].EndsWith("conmon", StringComparison.Ordinal)).Sum(p => Mebibytes(p.Pid)),
            others.Where(p => p.Args.Contains(MountVerbs.Supervisor) || p.Args.Contains(MountVerbs.Daemon)).Sum(p => Mebibytes(p.Pid)));
    }

    private static TimeSpan Processor(int pid)
    {
        using var process = Process.GetProcessById(pid);
        return process.TotalProcessorTime;
    }

    private static double Mebibytes(int pid)
    {
        var line = File.ReadLines($"/proc/{pid}/smaps_rollup").First(l => l.StartsWith("Pss:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024.0;
    }
}
