using System.Collections.Immutable;
using System.Diagnostics;
using System.Text.Json;
using Grid.Bench.Start;
using Grid.Node.Agent;
using Grid.Node.Containers;
using Grid.Units;

namespace Grid.Bench.Node;

/// <summary>Many small containers of one agreement.</summary>
/// <param name="Milliseconds">from the ledger's answer to the last signature until all of them execute their programs</param>
internal sealed record Crowd(PrivateGrid Grid, AgreementId Id, ImmutableArray<ContainerId> Containers, double Milliseconds)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public static async Task<Crowd> StartAsync(PrivateGrid grid, int count)
    {
        var wanted = Enumerable.Range(0, count).Select(i => grid.Container($"many-{i:d3}")).ToImmutableArray();
        var (proposal, countersigned, id) = grid.Draft(wanted);
        ImmutableArray<ContainerId> containers = [.. wanted.Select(w => new ContainerId(id, w.Name))];
        await grid.PostAsync(proposal);
        await grid.PostAsync(countersigned);
        var agreed = Stopwatch.GetTimestamp();
        var executed = await Task.Factory.StartNew(() => Executing.WatchAll(containers.Select(c => PidFile(grid, c))), TaskCreationOptions.LongRunning);
        return new Crowd(grid, id, containers, Stopwatch.GetElapsedTime(agreed, executed).TotalMilliseconds);
    }

    public string PidFile(ContainerId container) => PidFile(Grid, container);

    /// <summary>The first process of each, by the kernel.</summary>
    public ImmutableArray<ProcessIdentity?> FirstProcesses() => [.. Containers.Select(c => Executing.Pid(PidFile(c)) is { } pid ? Identify(pid) : null)];

    /// <summary>kill -9 of the agent, and another.</summary>
    /// <returns>milliseconds from its execution until its status shows all of them running; and how many first processes are the same</returns>
    public async Task<(double Milliseconds, int Same)> AdoptAsync()
    {
        var before = FirstProcesses();
        await Grid.KillAgentAsync();
        File.Delete(Grid.Paths.Status);
        var began = Stopwatch.GetTimestamp();
        var adopted = Task.Factory.StartNew(UntilAllRun, TaskCreationOptions.LongRunning);
        await Grid.StartAgentAsync();
        var took = Stopwatch.GetElapsedTime(began, await adopted).TotalMilliseconds;
        return (took, before.Zip(FirstProcesses()).Count(p => p.First is not null && p.First == p.Second));
    }

    /// <summary>All of them run, as the agent says.</summary>
    /// <returns>the timestamp</returns>
    public long UntilAllRun()
    {
        for (var began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began) < Patience; Thread.Sleep(2))
        {
            if (File.Exists(Grid.Paths.Status)
                && JsonSerializer.Deserialize(File.ReadAllBytes(Grid.Paths.Status), StatusContext.Default.NodeStatus)!.Workloads
                    .Count(w => w.Phase == "running" && w.Agreement == $"{Id}") == Containers.Length)
                return Stopwatch.GetTimestamp();
        }
        throw new TimeoutException("The agent did not say that all of them run.");
    }

    private static string PidFile(PrivateGrid grid, ContainerId container) => Path.Combine(grid.Paths.Run, "containers", $"{container}", "pid");

    private static ProcessIdentity? Identify(int pid) => Processes.Identify(pid);
}
