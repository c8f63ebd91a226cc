using System.Collections.Immutable;
using Grid.Addresses;
using Grid.Flists.Mount;
using Grid.Gateways;
using Grid.Machines;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Gateways;
using Grid.Node.Machines;
using Grid.Node.Networks;
using Grid.Node.Secrets;
using Grid.Node.Volumes;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Agent;

/// <summary>
/// Looks at the node and applies steps to it; decides nothing. What it makes is found again by the names of mounts and containers alone.
/// </summary>
/// <param name="withoutVolumes">why there are none now; those that were there before are not seen</param>
internal sealed class WorkloadEffects(ContainerHost containers, NodeSecrets secrets, Tunnels? tunnels, VolumeViews? volumes, string? withoutVolumes, MachineHost? machines, GatewayHost? gateways, BoundAddresses? addresses, NodePaths paths, ImmutableArray<Uri> hubs)
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private static readonly TimeSpan MountPatience = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan StopGrace = TimeSpan.FromSeconds(4);

    /// <summary>A machine has more to put in order than a process, and where it is emulated it takes its time.</summary>
    private static readonly TimeSpan PowerDownGrace = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan LookPatience = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan Recent = TimeSpan.FromMinutes(1);

    private Sighting? _last;

    /// <summary>What is there now. Attempts are the caller's to add.</summary>
    public Observed Observe()
    {
        var sighting = _last = containers.Observe();
        var mounts = FlistMount.All().ToLookup(m => m.Mountpoint, m => m.Flist);
        var seen = ImmutableSortedDictionary.CreateBuilder<WorkloadKey, Sighting<ContainerSeen>>();
        foreach (var (id, observation) in sighting.Containers)
        {
            if (Seen(observation, mounts[paths.Root(id)].FirstOrDefault()) is { } thing)
                seen[KeyOf(id)] = thing;
        }
        // A root, or a view of a volume, without a container is what a cut-short start or removal left.
        foreach (var id in ContainerId.NamedIn(paths.Roots).Union(secrets.Places.Known()).Union(volumes?.Viewers() ?? []).Union(machines?.Known() ?? []))
        {
            if (!seen.ContainsKey(KeyOf(id)) && sighting.Blind is null)
                seen[KeyOf(id)] = new Sighting<ContainerSeen>.Present(new ContainerSeen(default, mounts[paths.Root(id)].FirstOrDefault(), 0, ContainerPhase.Partial));
        }
        var doors = gateways?.Observe() ?? ImmutableDictionary<ContainerId, (GatewaySeen Seen, ProcessIdentity? Place)>.Empty;
        var inits = sighting.Containers.Keys.Select(id => (Id: id, Init: InitOf(sighting[id]))).Where(c => c.Init is not null).ToDictionary(c => c.Id, c => c.Init!.Value);
        var publics = addresses is null ? ImmutableSortedDictionary<WorkloadKey, Sighting<AddressSeen>>.Empty : addresses.Observe(inits);
        var links = tunnels is null ? ImmutableSortedDictionary<TunnelId, Sighting<TunnelSeen>>.Empty
            : tunnels.Observe(id => new ContainerId(id.Agreement, id.Of.Workload) is var of && doors.TryGetValue(of, out var door) ? door.Place : InitOf(sighting[of]));
        var (kept, unseen) = volumes?.Observe() ?? (ImmutableSortedDictionary<WorkloadKey, Sighting<VolumeSeen>>.Empty, withoutVolumes);
        return new Observed(seen.ToImmutable(), Flists(mounts), ImmutableDictionary<WorkloadKey, Attempts>.Empty, sighting.Blind ?? (publics is null || links is null ? "nft(8) or ip(8) does not answer" : null))
        {
            Volumes = kept,
            VolumesUnseen = unseen,
            Machines = machines?.Observe(sighting) ?? ImmutableSortedDictionary<WorkloadKey, Sighting<MachineSeen>>.Empty,
            Gateways = doors.ToImmutableSortedDictionary(g => KeyOf(g.Key), g => (Sighting<GatewaySeen>)new Sighting<GatewaySeen>.Present(g.Value.Seen)),
            Addresses = publics ?? ImmutableSortedDictionary<WorkloadKey, Sighting<AddressSeen>>.Empty,
            Tunnels = links ?? ImmutableSortedDictionary<TunnelId, Sighting<TunnelSeen>>.Empty,
        };
    }

    public Task<Outcome> ApplyAsync(Step step, CancellationToken cancel) => step switch
    {
        Step.MountFlist s => MountAsync(s.Flist, cancel),
        Step.UnmountFlist s => Task.Run(() => UnmountFlist(s.Flist), cancel),
        Step.Start s => StartAsync(s.Wish, s.Generation),
        Step.Stop s => StopAsync(s, cancel),
        Step.Remove s => RemoveAsync(IdOf(s.Key)),
        Step.Pause s => PauseAsync(IdOf(s.Key)),
        Step.Resume s => ResumeAsync(IdOf(s.Key)),
        Step.Adjust s => AdjustAsync(s.Wish),
        Step.Connect s => ConnectAsync(s.Wish),
        Step.MakeVolume s => volumes?.MakeAsync(s.Wish.Key, (Volume)s.Wish.Workload) ?? NoVolumes,
        Step.DetachVolume s => volumes?.DetachAsync(s.Key) ?? NoVolumes,
        Step.DestroyVolume s => volumes?.DestroyAsync(s.Key) ?? NoVolumes,
        Step.OpenGateway s => OpenGatewayAsync(s.Wish),
        Step.CloseGateway s => gateways?.CloseAsync(IdOf(s.Key)) ?? NoGateways,
        Step.BindAddress s => BindAsync(s.Wish),
        Step.ReleaseAddress s => addresses?.ReleaseAsync(s.Key) ?? NoAddresses,
        Step.Disconnect s => tunnels is null ? Task.FromResult<Outcome>(new Outcome.Done()) : tunnels.RemoveAsync(s.Tunnel),
        _ => throw new System.Diagnostics.UnreachableException(step.ToString()),
    };

    /// <summary>What a container used so far; null when it has no cgroup.</summary>
    public Counters? Counters(WorkloadKey key)
    {
        if (containers.Usage(IdOf(key)) is not { } usage)
            return null;
        // Also while it is paused: a counter that was not read would seem to have begun anew, and be counted again from nothing.
        var (sent, received) = InitOf(_last?[IdOf(key)]) is { } init ? NamespaceView.Traffic(init.Pid, TunnelNames.WayOut) : default;
        return new Counters(usage.Cpu, usage.Memory, new Bytes(sent), new Bytes(received));
    }

    /// <summary>The OCI runtime that runs the containers.</summary>
    public string Runtime => containers.Runtime;

    /// <summary>Which control groups hold them to their limits.</summary>
    public string Cgroups => containers.Limits;

    /// <summary>What private networks are made of; null where there are none.</summary>
    public WireGuardEngine? WireGuard => tunnels?.Engine;

    public bool HasVolumes => volumes is not null;

    /// <summary>What a machine here runs on when it is not the processor itself; null for what is no machine.</summary>
    public string? EmulationOf(Workload workload) => workload is Machine && machines?.Accelerator is { IsEmulated: true } by ? $"emulated ({by.Name}): {by.Why}" : null;

    /// <summary>What machines run on, and why not on the processor itself; null where there are none.</summary>
    public string? Accelerator => machines?.Accelerator.ToString();

    /// <summary>Why a file of what runs could not be read, a little while ago; null when all could.</summary>
    public string? Unread(Workload workload, DateTimeOffset now) =>
        workload is Runnable runs && ReadFailure.Last(paths.FlistLog(runs.Flist)) is { } failure && now - failure.At < Recent ? Because(failure.Failure, failure.Reason) : null;

    /// <summary>Where a container's shim writes down that it ended.</summary>
    public string ExitDirectory => paths.Containers.Bundles;

    /// <summary>Null where there are no gateways.</summary>
    public GatewayWatch? WatchGateways(Action look) => gateways is null ? null : new GatewayWatch(gateways.Files, look);

    /// <summary>The first process of a container that ran at the last look.</summary>
    public int? PidOf(WorkloadKey key) => ProcessOf(key)?.Pid;

    /// <summary>The same, not to be taken for one that has its number later.</summary>
    public ProcessIdentity? ProcessOf(WorkloadKey key) => (_last?[IdOf(key)] as Observation.Present)?.Phase is Phase.Running r ? r.Init : null;

    /// <exception cref="IOException">it could not be written, or the container is gone</exception>
    public void Mark(WorkloadKey key, HealthMark mark) => containers.Mark(IdOf(key), mark);

    /// <summary>The root hash that the container's files come from; null when nothing is mounted for it.</summary>
    public Digest? RootOf(WorkloadKey key) => FlistMount.Find(paths.Root(IdOf(key)))?.Root;

    private async Task<Outcome> MountAsync(FlistId flist, CancellationToken cancel)
    {
        var mountpoint = paths.FlistMount(flist);
        if (FlistMount.Find(mountpoint) is not null)
            return new Outcome.Done();
        Directory.CreateDirectory(paths.FlistMounts, Private);
        Directory.CreateDirectory(mountpoint);
        Directory.CreateDirectory(paths.Logs, Private);
        machines?.Forget(flist);
        return await FlistMount.StartAsync(new MountSpec(flist, mountpoint, paths.Cache, hubs, paths.FlistLog(flist)), MountPatience, cancel) switch
        {
            MountOutcome.Mounted => new Outcome.Done(),
            MountOutcome.Failed { Failure: MountFailure.MachineCannot } f => new Outcome.Broken(f.Reason),
            MountOutcome.Failed f => new Outcome.Transient(Because(f.Failure, f.Reason)),
            _ => throw new System.Diagnostics.UnreachableException(),
        };
    }

    // With the code that a version would have been refused with, had this been known when it was answered.
    private static string Because(MountFailure failure, string reason) => failure switch
    {
        MountFailure.FlistInvalid => new Refusal(RefusalCode.FlistInvalid, reason).ToString(),
        MountFailure.FlistUnavailable or MountFailure.TimedOut => new Refusal(RefusalCode.FlistIncomplete, reason).ToString(),
        _ => reason,
    };

    private async Task<Outcome> StartAsync(Wish wish, long generation)
    {
        var workload = (Runnable)wish.Workload;
        var id = IdOf(wish.Key);
        var sighting = containers.Observe();
        switch (sighting[id])
        {
            case Observation.Unknown u:
                return new Outcome.Transient(u.Why);
            case Observation.Present { Phase: Phase.Exited or Phase.Partial }:
                if (await RemoveAsync(id) is not Outcome.Done and var failed)
                    return failed;
                sighting = containers.Observe();
                break;
            case Observation.Present { Phase: Phase.Running or Phase.Paused or Phase.Created { LetGo: true } }:
                return new Outcome.Done();
        }
        var uids = (sighting[id] as Observation.Present)?.Uids ?? UidRange.Choose(id, sighting.UidRanges);
        if (uids is not { } range)
            return new Outcome.Transient("Every range of user ids is taken.");

        if (await Effect.Run(() => ShowRoot(id, workload.Flist, range, anew: sighting[id] is not Observation.Present)) is not Outcome.Done and var unseen)
            return unseen;
        var (spec, unprepared) = workload is Machine
            ? await PrepareAsync(wish, generation, range, sighting[id])
            : await DescribeAsync(wish, generation, range, paths.Root(id), sighting[id]);
        if (spec is null)
            return unprepared;
        // Connected before its first instruction: a workload never sees the world without its networks.
        if (workload.Networks.IsEmpty)
            return await containers.StartAsync(spec, sighting);
        if (await containers.CreateAsync(spec, sighting) is not Outcome.Done and var unmade)
            return unmade;
        return await ConnectAsync(wish) is not Outcome.Done and var apart ? apart : await containers.StartAsync(spec);
    }

    // One that a cut-short start left may be of another range of ids than is free now.
    private Outcome ShowRoot(ContainerId id, FlistId flist, UidRange uids, bool anew)
    {
        var root = paths.Root(id);
        if (!anew && FlistMount.Find(root)?.Flist == flist)
            return new Outcome.Done();
        if (Unmount(root, detach: true) is not Outcome.Done and var busy)
            return busy;
        ContainerPlace.Make(paths.RootPlace(id), uids);
        Directory.CreateDirectory(root, Private);
        IdmappedBind.Create(paths.FlistMount(flist), root, uids.First, UidRange.Count);
        return new Outcome.Done();
    }

    private Outcome HideRoot(ContainerId id)
    {
        if (Unmount(paths.Root(id), detach: true) is not Outcome.Done and var busy)
            return busy;
        if (Directory.Exists(paths.RootPlace(id)))
            Directory.Delete(paths.RootPlace(id));
        return new Outcome.Done();
    }

    private async Task<(ContainerSpec? Spec, Outcome Outcome)> DescribeAsync(Wish wish, long generation, UidRange range, string root, Observation seen)
    {
        var container = (Container)wish.Workload;
        var views = ImmutableDictionary<string, string>.Empty;
        if (!container.Mounts.IsEmpty)
        {
            if (volumes is null)
                return (null, await NoVolumes);
            // What waits to be let go has its views already.
            (views, var shown) = await volumes.ShowAsync(wish.Key, container, range, anew: seen is not Observation.Present);
            if (shown is not Outcome.Done)
                return (null, shown);
        }
        var spec = ContainerSpec.From(wish.Key.Agreement, wish.Version.Value, generation, (int)long.Min(generation - 1, int.MaxValue), container, root, range, views);
        return container.Secrets.IsEmpty ? (spec, new Outcome.Done()) : secrets.Give(spec, container, wish.User, anew: seen is not Observation.Present);
    }

    private async Task<(ContainerSpec? Spec, Outcome Outcome)> PrepareAsync(Wish wish, long generation, UidRange range, Observation seen)
    {
        var machine = (Machine)wish.Workload;
        if (machines is null)
            return (null, new Outcome.Transient("This node has no machines now."));
        if (tunnels is null && !machine.Networks.IsEmpty)
            return (null, new Outcome.Transient("This node has no networks now."));
        var (taps, mtu) = tunnels?.LinksOf(wish.Key.Agreement, machine) ?? ([], 0);
        var credentials = secrets.Credentials(machine, wish.User);
        try
        {
            return credentials.Select(c => c.Value.Refusal).FirstOrDefault(r => r is not null) is { } refusal
                ? (null, new Outcome.Refused(refusal))
                : await machines.PrepareAsync(wish, generation, range, paths.FlistMount(machine.Flist), volumes?.Host, taps, mtu, [.. credentials.Select(c => (c.Name, c.Value.Bytes))], anew: seen is not Observation.Present);
        }
        finally
        {
            foreach (var (_, value) in credentials)
                value.Dispose();
        }
    }

    private async Task<Outcome> StopAsync(Step.Stop step, CancellationToken cancel)
    {
        var id = IdOf(step.Key);
        // Before it is told: what follows its end depends on why.
        if (step.Unhealthy is { } why)
            Mark(step.Key, new HealthMark(why));
        if (RunningMachine(id) is { } emulator)
        {
            await containers.ResumeAsync(id);
            // Whatever came of it: what has not ended is ended now.
            await MachineHost.PowerDownAsync(emulator, PowerDownGrace, cancel);
        }
        return await containers.StopAsync(id, StopGrace, cancel);
    }

    private async Task<Outcome> PauseAsync(ContainerId id) =>
        RunningMachine(id) is { } emulator && await MachineHost.HoldAsync(emulator, held: true) is not Outcome.Done and var failed ? failed : await containers.PauseAsync(id);

    private async Task<Outcome> ResumeAsync(ContainerId id) =>
        await containers.ResumeAsync(id) is not Outcome.Done and var failed ? failed
        : RunningMachine(id) is { } emulator ? await MachineHost.HoldAsync(emulator, held: false)
        : new Outcome.Done();

    private async Task<Outcome> AdjustAsync(Wish wish)
    {
        if (RunningMachine(IdOf(wish.Key)) is not { } emulator || volumes is null && wish.Workload is Machine { Disks.IsEmpty: false })
            return new Outcome.Transient($"{wish.Key} does not run.");
        var sizes = volumes?.Observe().Seen;
        return await MachineHost.AdjustAsync((Machine)wish.Workload, emulator, v => (sizes?.GetValueOrDefault(wish.Key with { Name = v }) as Sighting<VolumeSeen>.Present)?.Thing.Size);
    }

    private ProcessIdentity? RunningMachine(ContainerId id) => machines?.Known().Contains(id) is true && containers.Observe(id) is Observation.Present { Phase: Phase.Running or Phase.Paused } p ? p.Phase.Process : null;

    private async Task<Outcome> ConnectAsync(Wish wish) => InitOf(containers.Observe(IdOf(wish.Key))) is { } init
        ? await ConnectAsync(wish, init)
        : new Outcome.Transient($"{wish.Key} has no process.");

    private async Task<Outcome> ConnectAsync(Wish wish, ProcessIdentity init)
    {
        if (tunnels is null || wish.Tunnels.Length != wish.Workload.Networks.Length)
            return new Outcome.Transient("Not every tunnel of it was published.");
        foreach (var tunnel in wish.Tunnels)
        {
            if (await tunnels.ApplyAsync(wish.TunnelOf(tunnel), tunnel, init) is not Outcome.Done and var failed)
                return failed;
        }
        return new Outcome.Done();
    }

    // In its network before anybody is told of it.
    private async Task<Outcome> OpenGatewayAsync(Wish wish)
    {
        if (gateways is null)
            return await NoGateways;
        var (place, made) = await gateways.PlaceAsync(IdOf(wish.Key));
        if (place is not { } at)
            return made;
        return await ConnectAsync(wish, at) is not Outcome.Done and var apart ? apart : await gateways.OpenAsync(IdOf(wish.Key), wish.Route!, at);
    }

    private Task<Outcome> BindAsync(Wish wish) =>
        addresses is null ? NoAddresses
        : InitOf(containers.Observe(IdOf(wish.Key with { Name = ((PublicAddress)wish.Workload).Workload }))) is { } init ? addresses.BindAsync(wish, init)
        : Task.FromResult<Outcome>(new Outcome.Transient("Its container has no process."));

    private static Task<Outcome> NoAddresses => Task.FromResult<Outcome>(new Outcome.Transient("This node has no public addresses now."));

    private static Task<Outcome> NoGateways => Task.FromResult<Outcome>(new Outcome.Transient("This node has no gateways now."));

    private static Task<Outcome> NoVolumes => Task.FromResult<Outcome>(new Outcome.Transient("This node has no volumes now."));

    private static ProcessIdentity? InitOf(Observation? observation) => (observation as Observation.Present)?.Phase.Process;

    private async Task<Outcome> RemoveAsync(ContainerId id)
    {
        if (await containers.RemoveAsync(id, keepLog: true) is not Outcome.Done and var outcome)
            return outcome;
        if (tunnels is not null && await tunnels.ReleaseAsync(id) is not Outcome.Done and var bound)
            return bound;
        secrets.Places.Hide(id);
        volumes?.Hide(id);
        machines?.Hide(id);
        return HideRoot(id);
    }

    private Outcome UnmountFlist(FlistId flist)
    {
        var outcome = Unmount(paths.FlistMount(flist), detach: false);
        if (outcome is Outcome.Done)
            machines?.Forget(flist);
        return outcome;
    }

    private static Outcome Unmount(string mountpoint, bool detach)
    {
        while (FlistMount.Find(mountpoint) is not null)
        {
            if (!FlistMount.Stop(mountpoint, detach))
                return new Outcome.Transient($"{mountpoint} is still in use.");
        }
        if (Directory.Exists(mountpoint))
            Directory.Delete(mountpoint);
        return new Outcome.Done();
    }

    private ImmutableDictionary<FlistId, Sighting<FlistSeen>> Flists(ILookup<string, FlistId> mounts) => mounts
        .SelectMany(m => m.Distinct(), (m, flist) => (Mountpoint: m.Key, Flist: flist))
        .Where(m => m.Mountpoint == paths.FlistMount(m.Flist))
        .ToImmutableDictionary(m => m.Flist, m => Answers(m.Mountpoint));

    // A mount whose daemon is gone for good answers at once with an error; one whose daemon is coming back makes the caller wait.
    private static Sighting<FlistSeen> Answers(string mountpoint)
    {
        var look = Task.Run(() => FlistMount.IsServed(mountpoint));
        return look.Wait(LookPatience)
            ? new Sighting<FlistSeen>.Present(new FlistSeen(look.Result))
            : new Sighting<FlistSeen>.Unknown($"{mountpoint} does not answer within {LookPatience.TotalSeconds} s.");
    }

    private static Sighting<ContainerSeen>? Seen(Observation observation, FlistId flist) => observation switch
    {
        Observation.Unknown u => new Sighting<ContainerSeen>.Unknown(u.Why),
        Observation.Present p => new Sighting<ContainerSeen>.Present(new ContainerSeen(
            p.Label?.Spec ?? default, flist, p.Label?.Generation ?? 0, PhaseOf(p.Phase), (p.Phase as Phase.Exited)?.Code, p.OomKills > 0, (p.Phase as Phase.Exited)?.At, p.Health)),
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

    private static WorkloadKey KeyOf(ContainerId id) => new(id.Agreement, id.Workload);

    private static ContainerId IdOf(WorkloadKey key) => new(key.Agreement, key.Name);
}
