using System.Collections.Immutable;
using Grid.Flists.Mount;
using Grid.Machines;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Gateways;
using Grid.Node.Networks;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Agent;

/// <summary>Looks at the node; changes nothing. What was made is found again by the names of mounts and containers alone.</summary>
internal sealed class WorkloadSight(NodeHosts hosts)
{
    private Sighting? _last;
    private IReadOnlyDictionary<ContainerId, (GatewaySeen Seen, ProcessIdentity? Place)> _doors = ImmutableDictionary<ContainerId, (GatewaySeen, ProcessIdentity?)>.Empty;
    private ILookup<string, MountedFlist>? _mounts;

    /// <summary>What is there now. Attempts are the caller's to add.</summary>
    public Observed Observe()
    {
        var sighting = _last = hosts.Containers.Observe();
        var mounts = _mounts = FlistMounts.Look();
        var seen = ImmutableSortedDictionary.CreateBuilder<WorkloadKey, Sighting<ContainerSeen>>();
        foreach (var (id, observation) in sighting.Containers)
        {
            var root = MountOf(id);
            if (Seen(observation, root?.Flist ?? default, rootless: root is not null && hosts.Flists.IsDead(root, mounts)) is { } thing)
                seen[id.Key] = thing;
        }
        // A root, or a view of a volume, without a container is what a cut-short start or removal left.
        foreach (var id in ContainerId.NamedIn(hosts.Paths.Roots).Union(hosts.Secrets.Places.Known()).Union(hosts.Volumes?.Viewers() ?? []).Union(hosts.Machines?.Known() ?? []))
        {
            if (!seen.ContainsKey(id.Key) && sighting.Blind is null)
                seen[id.Key] = new Sighting<ContainerSeen>.Present(new ContainerSeen(default, FlistOf(id), 0, ContainerPhase.Partial));
        }
        var doors = _doors = hosts.Gateways?.Observe() ?? ImmutableDictionary<ContainerId, (GatewaySeen Seen, ProcessIdentity? Place)>.Empty;
        var inits = sighting.Containers.Keys.Select(id => (Id: id, Init: sighting[id].Init)).Where(c => c.Init is not null).ToDictionary(c => c.Id, c => c.Init!.Value);
        var publics = hosts.Addresses is null ? ImmutableSortedDictionary<WorkloadKey, Sighting<AddressSeen>>.Empty : hosts.Addresses.Observe(inits);
        var links = hosts.Tunnels is null ? ImmutableSortedDictionary<TunnelId, Sighting<TunnelSeen>>.Empty
            : hosts.Tunnels.Observe(id => new ContainerId(id.Agreement, id.Of.Workload) is var of && doors.TryGetValue(of, out var door) ? door.Place : sighting[of].Init);
        var (kept, unseen, fault) = hosts.Volumes?.Observe() ?? (ImmutableSortedDictionary<WorkloadKey, Sighting<VolumeSeen>>.Empty, hosts.WithoutVolumes, null);
        return new Observed(seen.ToImmutable(), hosts.Flists.Seen(mounts), ImmutableDictionary<WorkloadKey, Attempts>.Empty, sighting.Blind ?? (publics is null || links is null ? "nft(8) or ip(8) does not answer" : null))
        {
            Volumes = kept,
            VolumesUnseen = unseen,
            DiskFault = fault,
            Machines = hosts.Machines?.Observe(sighting) ?? ImmutableSortedDictionary<WorkloadKey, Sighting<MachineSeen>>.Empty,
            Gateways = doors.ToImmutableSortedDictionary(g => g.Key.Key, g => (Sighting<GatewaySeen>)new Sighting<GatewaySeen>.Present(g.Value.Seen)),
            Addresses = publics ?? ImmutableSortedDictionary<WorkloadKey, Sighting<AddressSeen>>.Empty,
            Tunnels = links ?? ImmutableSortedDictionary<TunnelId, Sighting<TunnelSeen>>.Empty,
        };
    }

    /// <summary>What a container or a gateway used so far; null when it has no cgroup, and is no gateway.</summary>
    public Counters? Counters(WorkloadKey key)
    {
        if (_doors.ContainsKey(ContainerId.Of(key)))
            return new Counters(TimeSpan.Zero, Bytes.Zero, hosts.Gateways!.Traffic(ContainerId.Of(key)) is var (sent, received) ? [new LinkTraffic("front", new Bytes(sent), new Bytes(received))] : [new LinkTraffic("front", Bytes.Zero, Bytes.Zero)]);
        if (hosts.Containers.Usage(ContainerId.Of(key)) is not { } usage)
            return null;
        return new Counters(usage.Cpu, usage.Memory, _last?[ContainerId.Of(key)].Init is { } init ? NamespaceView.Traffic(init.Pid, TunnelNames.WayOut) : null);
    }

    /// <summary>The OCI runtime that runs the containers.</summary>
    public string Runtime => hosts.Containers.Runtime;

    /// <summary>Which control groups hold them to their limits.</summary>
    public string Cgroups => hosts.Containers.Limits;

    /// <summary>What private networks are made of; null where there are none.</summary>
    public WireGuardEngine? WireGuard => hosts.Tunnels?.Engine;

    public bool HasVolumes => hosts.Volumes is not null;

    /// <summary>Why errors of disks under somebody's files are not seen here; null when they are.</summary>
    public string? DeafToDisks => hosts.Volumes?.Host.Deaf;

    /// <summary>What a machine here runs on when it is not the processor itself; null for what is no machine.</summary>
    public string? EmulationOf(Workload workload) => workload is Machine && hosts.Machines?.Accelerator is { IsEmulated: true } by ? $"emulated ({by.Name}): {by.Why}" : null;

    /// <summary>What machines run on, and why not on the processor itself; null where there are none.</summary>
    public string? Accelerator => hosts.Machines?.Accelerator.ToString();

    /// <summary>Where a container's shim writes down that it ended.</summary>
    public string ExitDirectory => hosts.Paths.Containers.Bundles;

    /// <summary>Null where there are no gateways.</summary>
    public GatewayWatch? WatchGateways(Action look) => hosts.Gateways is null ? null : new GatewayWatch(hosts.Gateways.Files, look);

    /// <summary>The first process of a container that ran at the last look.</summary>
    public int? PidOf(WorkloadKey key) => ProcessOf(key)?.Pid;

    /// <summary>The same, not to be taken for one that has its number later.</summary>
    public ProcessIdentity? ProcessOf(WorkloadKey key) => (_last?[ContainerId.Of(key)] as Observation.Present)?.Phase is Phase.Running r ? r.Init : null;

    /// <summary>What runs in the containers of the last look without being one of their files. One that does not run yet executes the runtime's own file; what a stranger has mapped is no news beside it.</summary>
    public IEnumerable<StrangerSeen> Strangers() =>
        from container in _last?.Containers ?? new Dictionary<ContainerId, Observation>()
        where container.Value is Observation.Present { Phase: Phase.Running or Phase.Paused }
        let init = container.Value.Init!.Value
        let found = hosts.Containers.Census(container.Key, init, _last!.Members.GetValueOrDefault(container.Key))
        from stranger in found
        where stranger.Executed || !found.Any(s => s.Executed && s.Process == stranger.Process)
        select new StrangerSeen(container.Key.Key, stranger.Process.Pid, stranger.Process.StartTicks, stranger.Path, IsApart: stranger.Executed && stranger.Process != init);

    /// <summary>The root hash that the container's files came from at the last look; null when nothing was mounted for it.</summary>
    public Digest? RootOf(WorkloadKey key) => MountOf(ContainerId.Of(key))?.Root;

    /// <summary>Why a file of what runs could not be read, a little while ago; null when all could.</summary>
    public string? Unread(Workload workload, DateTimeOffset now) => hosts.Flists.Unread(workload, now);

    // Of several one upon the other the topmost is what is seen.
    private MountedFlist? MountOf(ContainerId id) => _mounts?[hosts.Paths.Root(id)].LastOrDefault();

    private FlistId FlistOf(ContainerId id) => MountOf(id)?.Flist ?? default;

    private static Sighting<ContainerSeen>? Seen(Observation observation, FlistId flist, bool rootless) => observation switch
    {
        Observation.Unknown u => new Sighting<ContainerSeen>.Unknown(u.Why),
        Observation.Present p => new Sighting<ContainerSeen>.Present(new ContainerSeen(
            p.Label?.Spec ?? default, flist, p.Label?.Generation ?? 0, PhaseOf(p.Phase), (p.Phase as Phase.Exited)?.Code, p.OomKills > 0, (p.Phase as Phase.Exited)?.At, p.Health, rootless)),
        _ => null,
    };

    private static ContainerPhase PhaseOf(Phase phase) => phase switch
    {
        Phase.Created created => created.LetGo ? ContainerPhase.Starting : ContainerPhase.Created,
        Phase.Running => ContainerPhase.Running,
        Phase.Paused => ContainerPhase.Paused,
        Phase.Exited => ContainerPhase.Exited,
        _ => ContainerPhase.Partial,
    };
}
