using System.Collections.Immutable;
using Grid.Node.Agent;
using Grid.Node.Containers;
using Grid.Node.Gateways;
using Grid.Node.Machines;
using Grid.Node.Networks;
using Grid.Node.Secrets;
using Grid.Node.Volumes;
using Grid.Reconciliation;
using Grid.Workloads;

namespace Grid.Node;

/// <summary>
/// <c>grid-node clear</c>: ends and removes all that a node runs, whatever is agreed, and asks no ledger. For a machine that leaves its farm and for
/// a private grid that is over. Refused while an agent is at work, which would start everything again.
/// </summary>
internal static class ClearProgram
{
    public const string Verb = "clear";

    public const string Usage = """
        grid-node clear --data DIR --run DIR --cgroup NAME

        Ends and removes all that a node runs, whatever is agreed, once its agent has ended. In this order:

          --data DIR            what the agent was given (needed)
          --run DIR             what the agent was given (needed)
          --cgroup NAME         what the agent was given (needed)
        """;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(100);

    /// <param name="arguments">without the verb</param>
    /// <exception cref="NodeException"/>
    public static async Task<int> RunAsync(IReadOnlyList<string> arguments, TimeProvider time)
    {
        if (arguments is not ["--data", { Length: > 0 } data, "--run", { Length: > 0 } run, "--cgroup", var cgroup] || !Units.Names.IsValid(cgroup, 1, 36))
        {
            Console.Error.WriteLine(new Refusal(NodeCode.Usage, $"{Verb} takes --data DIR --run DIR --cgroup NAME and nothing else.", $"Write the three in this order; 'grid-node {Verb} --help' says what they are.").From("grid-node"));
            return 2;
        }
        var paths = new NodePaths(Path.GetFullPath(data), Path.GetFullPath(run), cgroup);
        // What was never there has nothing to clear; a place for a lock would be the first thing in it.
        using var single = Directory.Exists(paths.Data) ? SingleAgent.Lock(paths.Data) : null;
        var containers = ContainerHost.Open(paths.Containers, time, out var why) ?? throw NodeException.CannotRun(why);
        // What is removed needs no key.
        using var keys = new TunnelKeys(new byte[TunnelKeys.SecretSize]);
        using var tunnelHost = TunnelHost.Open(paths.Run, keys, Environment.ProcessId, time, out _);
        using var volumeHost = VolumeHost.Open(paths.Disks([]), paths.Run, new byte[32], time, out _);
        var volumes = volumeHost is null ? null : new VolumeViews(volumeHost, paths.Views);
        using var gateways = GatewayHost.Open(null, paths.Data, paths.Run, out _);
        var machines = MachineHost.Open(paths.Machines, paths.MachineRoots, time, out _);
        var publicHost = PublicAddresses.Open(paths.Run, "/proc/self/ns/net", null, out _);
        var hosts = new NodeHosts(containers, new NodeSecrets(null, new SecretPlaces(paths.Secrets), inMemory: false), paths, [])
        {
            Tunnels = tunnelHost is null ? null : new Tunnels(tunnelHost, keys, [], time),
            Volumes = volumes,
            Machines = machines,
            Gateways = gateways,
            Addresses = publicHost is null ? null : new BoundAddresses(publicHost, null),
        };
        var (sight, effects) = (new WorkloadSight(hosts), new WorkloadEffects(hosts));
        var began = time.GetTimestamp();
        while (Left(sight, out var steps) is { } left)
        {
            if (time.GetElapsedTime(began) > Patience)
                throw new NodeException(NodeCode.Remains, $"Still here after {Patience.TotalSeconds:0} s: {left}", "End what uses it, and run this again.");
            var outcomes = await Task.WhenAll(steps.Select(s => effects.ApplyAsync(s, CancellationToken.None)));
            if (outcomes.Length == 0 || outcomes.Any(o => o is not Outcome.Done))
                await Task.Delay(LookAgain, time);
        }
        tunnelHost?.Sweep();
        // Of what is gone nothing more is said.
        PrivateFile.Delete(paths.ReceiptState);
        containers.Leave();
        RunDirectory.Leave(paths.Run);
        return 0;
    }

    // The reconciler's own steps for a node of which nothing is wished.
    private static string? Left(WorkloadSight sight, out ImmutableArray<Step> steps)
    {
        var observed = sight.Observe();
        var desired = Desired.Nothing with { Settled = [.. observed.Agreements] };
        steps = Reconciler.Plan(desired, observed, DateTimeOffset.MinValue);
        var attached = observed.Volumes.Where(v => v.Value is Sighting<VolumeSeen>.Present({ Attached: true })).Select(v => $"{v.Key}");
        IEnumerable<string> left = [.. attached, .. observed.Containers.Keys.Select(k => $"{k}"), .. observed.Gateways.Keys.Concat(observed.Addresses.Keys).Select(k => $"{k}"), .. observed.Tunnels.Keys.Select(t => $"{t}"), .. observed.Flists.Keys.Select(f => $"{f}")];
        return observed.Blind ?? (left.Any() ? string.Join(", ", left) : null);
    }
}
