using System.Net;
using System.Text.Json;
using Grid.Agreements;
using Grid.Flists.Mount;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Machines;
using Grid.Node.Networks;
using Grid.Units;

namespace Grid.Stories.Tests.Stage;

/// <summary>A real agent with its own directories, cgroup and containers; several live on one machine without seeing each other.</summary>
/// <param name="options">what else the agent is told, by where it is reached</param>
public sealed partial class StageNode(Stage stage, StageFarm farm, string name, string invite, UnderlayNetwork? wire, Func<IPAddress, Task<IEnumerable<string>>>? options, Uri hub, Uri? ledger)
{
    private IEnumerable<string>? _options;
    private (string Path, IPAddress Address)? _place;
    private IReadOnlySet<string>? _before;
    private Actor? _agent;

    public string Name => name;

    public NodeId Id { get; private set; }

    public string Data => stage.At($"{name}-data");

    public string Run => $"/run/grid-story-{Environment.ProcessId}-{Path.GetFileName(stage.Directory)[^1]}-{name}";

    public string Cgroup => Path.GetFileName(Run);

    /// <summary>What its agents wrote, one after the other.</summary>
    public string AgentLog => stage.At($"grid-node-{name}.log");

    private ContainerPaths Paths => new(Run, Path.Combine(Data, "logs"), Cgroup);

    public async Task StartAsync()
    {
        if (wire is not null && _place is null)
        {
            _place = wire.Add();
            wire.Share(_place.Value.Path, stage.LedgerAddress.Port);
            wire.Share(_place.Value.Path, hub.Port);
        }
        _before ??= Directory.EnumerateDirectories("/proc").SelectMany(Namespaces).Select(h => h.Space).Append(UnderlayNetwork.Inside(Space, () => Link("/proc/thread-self/ns/net")!)).ToHashSet();
        (_agent, var ready) = await stage.StartInAsync(_place?.Path, "grid-node", AgentLog,
        [
            "--ledger", (ledger ?? stage.LedgerAddress).AbsoluteUri, "--origin", Stage.Origin, "--ledger-key", stage.LedgerKey.ToString(), "--hub", hub.AbsoluteUri,
            "--data", Data, "--run", Run, "--cgroup", Cgroup, "--invite", invite,
            "--underlay", Address.ToString(), .. _options ??= options is null ? [] : await options(Address),
        ]);
        Id = Units.Id.Parse<NodeId>(ready);
        if (!farm.Nodes.Contains(this))
            farm.Nodes.Add(this);
    }

    public IPAddress Address => _place?.Address ?? IPAddress.Loopback;

    public Task KillAgentAsync() => _agent!.KillAsync();

    public Task StopAgentAsync() => _agent!.StopAsync();

    /// <summary>What its farmer types there, once its agent has ended.</summary>
    public async Task CommandAsync(params string[] arguments)
    {
        using var command = UnderlayNetwork.Inside(Space, () => System.Diagnostics.Process.Start(Programs.Find("grid-node"), arguments));
        await command.WaitForExitAsync();
        Assert.Equal(0, command.ExitCode);
    }

    /// <summary>The pid of every container that runs here, by workload, as the kernel says and not the agent.</summary>
    public IReadOnlyDictionary<string, int> Running() => Processes().ToDictionary(p => p.Key.Workload, p => p.Value.Pid);

    /// <summary>The first process of every container that runs here.</summary>
    public IReadOnlyDictionary<ContainerId, ProcessIdentity> Processes()
    {
        var host = ContainerHost.Open(Paths, TimeProvider.System, out var why);
        Assert.True(host is not null, why);
        return host.Observe().Containers.Where(c => c.Value is Observation.Present { Phase: Phase.Running })
            .ToDictionary(c => c.Key, c => ((Phase.Running)((Observation.Present)c.Value).Phase).Init);
    }

    /// <summary>The namespace that is this node's machine as far as the network goes.</summary>
    public string Space => _place?.Path ?? "/proc/self/ns/net";

    /// <summary>What holds this node's tunnels: the numbers of processes, or the tunnels' own names where the kernel does.</summary>
    public IReadOnlyList<string> Tunnels()
    {
        var processes = Of("GRID_TUNNEL=");
        return processes.Count > 0 ? [.. processes.Select(p => $"{p}")] : [.. WithTunnels(h => h.Observe(_ => null).Keys.ToList(), []).Select(t => $"{t}")];
    }

    /// <summary>What the WireGuard of each of this node's tunnels says.</summary>
    public IReadOnlyDictionary<TunnelId, WireGuardState> WireGuards() => WithTunnels(
        h => h.Observe(_ => null).Where(t => t.Value is TunnelSighting.Present).ToDictionary(t => t.Key, t => ((TunnelSighting.Present)t.Value).State), new());

    /// <summary>Without a word to the agent.</summary>
    public void Kill(string tunnel)
    {
        if (TunnelId.TryParse(tunnel, out var id))
            WithTunnels(h => h.RemoveAsync(id).GetAwaiter().GetResult(), new Outcome.Done());
        else
            Posix.Kill(int.Parse(tunnel));
    }

    private T WithTunnels<T>(Func<TunnelHost, T> ask, T none)
    {
        // What is found or removed needs no key.
        using var keys = new TunnelKeys(new byte[TunnelKeys.SecretSize]);
        using var host = TunnelHost.Open(Run, keys, Environment.ProcessId, TimeProvider.System, out _);
        return host is null ? none : ask(host);
    }

    /// <summary>The processes that hold this node's gateways, and the one that serves them.</summary>
    public IReadOnlyList<int> Gateways() => Of("GRID_GATEWAY");

    /// <summary>What a power cut leaves: the disk. Every process of the node ends at once, and the kernel forgets all that it held.</summary>
    public async Task CrashAsync()
    {
        var containers = Processes().Values.Select(p => p.Pid).ToList();
        await _agent!.KillAsync();
        foreach (var pid in containers.Concat(Mentioning()))
            Posix.Kill(pid);
        await Wait.ForAsync("its processes to be gone", () => !containers.Concat(Mentioning()).Any(p => Directory.Exists($"/proc/{p}")), stage.Logs);
        RemoveRun();
        foreach (var group in Cgroups().OrderByDescending(g => g.Length))
            Directory.Delete(group);
        if (_place is not null)
            UnderlayNetwork.Forget(Space);
        RemoveSockets();
    }

    public string Log(AgreementId agreement, string workload) => HasLog(agreement, workload) ? File.ReadAllText(LogOf(agreement, workload)) : "";

    /// <summary>Every container has one from before its first instruction on.</summary>
    public bool HasLog(AgreementId agreement, string workload) => File.Exists(LogOf(agreement, workload));

    private string LogOf(AgreementId agreement, string workload) => Path.Combine(Data, "logs", $"{agreement}.{workload}.log");

    public string StatusFile => Path.Combine(Data, "status.json");

    public JsonElement Status() => JsonDocument.Parse(File.ReadAllText(StatusFile)).RootElement;

    /// <summary>Ends the agent and whatever it left, so that a failed story leaves nothing behind.</summary>
    public async Task ClearAsync()
    {
        if (_agent is not null)
            await _agent.StopAsync();
        if (ContainerHost.Open(Paths, TimeProvider.System, out _) is { } host)
        {
            foreach (var id in host.Observe().Containers.Keys)
                await host.RemoveAsync(id, keepLog: false);
            host.Leave();
        }
        if (MachineHost.Open(Path.Combine(Run, "machines"), Path.Combine(Data, "machine-roots"), TimeProvider.System, out _) is { } machines)
        {
            foreach (var id in machines.Known().ToList())
                machines.Hide(id);
        }
        foreach (var process in Of("GRID_TUNNEL=").Concat(Gateways()))
            Posix.Kill(process);
        foreach (var mount in FlistMount.All().Where(m => m.Mountpoint.StartsWith(Run + "/", StringComparison.Ordinal)).ToList())
            FlistMount.Stop(mount.Mountpoint, detach: true);
        if (Directory.Exists(Run))
            RemoveRun();
        RemoveSockets();
    }

    // A tunnel's process that is killed leaves its own.
    private void RemoveSockets()
    {
        foreach (var socket in Sockets().Where(File.Exists))
            File.Delete(socket);
    }

    private void RemoveRun()
    {
        foreach (var mount in File.ReadLines("/proc/self/mounts").Select(m => m.Split(' ')[1]).Where(m => m == Run || m.StartsWith(Run + "/", StringComparison.Ordinal)).Reverse().ToList())
            Posix.Detach(mount);
        Directory.Delete(Run, recursive: true);
    }
}
