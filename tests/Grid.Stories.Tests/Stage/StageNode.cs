using System.Text.Json;
using Grid.Agreements;
using Grid.Flists.Mount;
using Grid.Node.Containers;
using Grid.Units;

namespace Grid.Stories.Tests.Stage;

/// <summary>A real agent with its own directories, cgroup and containers; several live on one machine without seeing each other.</summary>
public sealed class StageNode(Stage stage, StageFarm farm, string name, string invite)
{
    private Actor? _agent;

    public string Name => name;

    public NodeId Id { get; private set; }

    public int AgentPid => _agent!.Pid;

    public string Data => stage.At($"{name}-data");

    public string Run => $"/run/grid-story-{Environment.ProcessId}-{Path.GetFileName(stage.Directory)[^1]}-{name}";

    private string Cgroup => Path.GetFileName(Run);

    private ContainerPaths Paths => new(Run, Path.Combine(Data, "logs"), Cgroup);

    public async Task StartAsync()
    {
        (_agent, var ready) = await stage.StartAsync("grid-node",
            "--ledger", stage.LedgerAddress.AbsoluteUri, "--origin", Stage.Origin, "--ledger-key", stage.LedgerKey.ToString(), "--hub", stage.HubAddress.AbsoluteUri,
            "--data", Data, "--run", Run, "--cgroup", Cgroup, "--invite", invite);
        Id = Units.Id.Parse<NodeId>(ready);
        if (!farm.Nodes.Contains(this))
            farm.Nodes.Add(this);
    }

    public Task KillAgentAsync() => _agent!.KillAsync();

    public Task StopAgentAsync() => _agent!.StopAsync();

    /// <summary>The pid of every container that runs here, by workload, as the kernel says and not the agent.</summary>
    public IReadOnlyDictionary<string, int> Running()
    {
        var host = ContainerHost.Open(Paths, TimeProvider.System, out var why);
        Assert.True(host is not null, why);
        return host.Observe().Containers.Where(c => c.Value is Observation.Present { Phase: Phase.Running })
            .ToDictionary(c => c.Key.Workload, c => ((Phase.Running)((Observation.Present)c.Value).Phase).Init.Pid);
    }

    /// <summary>Everything of any container that is left here: containers, mounts, roots.</summary>
    public IReadOnlyList<string> Traces()
    {
        var host = ContainerHost.Open(Paths, TimeProvider.System, out var why);
        Assert.True(host is not null, why);
        return
        [
            .. host.Observe().Containers.Select(c => $"container {c.Key}: {c.Value}"),
            .. FlistMount.All().Where(m => m.Mountpoint.StartsWith(Run + "/", StringComparison.Ordinal)).Select(m => $"mount {m.Mountpoint}"),
        ];
    }

    public string Log(AgreementId agreement, string workload)
    {
        var path = Path.Combine(Data, "logs", $"{agreement}.{workload}.log");
        return File.Exists(path) ? File.ReadAllText(path) : "";
    }

    public JsonElement Status() => JsonDocument.Parse(File.ReadAllText(Path.Combine(Data, "status.json"))).RootElement;

    /// <summary>Ends the agent and whatever it left, so that a failed story leaves nothing behind.</summary>
    public async Task ClearAsync()
    {
        if (_agent is not null)
            await _agent.StopAsync();
        if (ContainerHost.Open(Paths, TimeProvider.System, out _) is { } host)
        {
            foreach (var id in host.Observe().Containers.Keys)
                await host.RemoveAsync(id, keepLog: false);
        }
        foreach (var mount in FlistMount.All().Where(m => m.Mountpoint.StartsWith(Run + "/", StringComparison.Ordinal)).ToList())
            FlistMount.Stop(mount.Mountpoint, detach: true);
        if (Directory.Exists(Run))
            Directory.Delete(Run, recursive: true);
    }
}
