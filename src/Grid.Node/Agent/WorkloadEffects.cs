using System.Collections.Immutable;
using Grid.Addresses;
using Grid.Machines;
using Grid.Node.Containers;
using Grid.Node.Machines;
using Grid.Node.Networks;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Agent;

/// <summary>Applies steps to the node; decides nothing. Each may run twice, and be cut short anywhere.</summary>
internal sealed class WorkloadEffects(NodeHosts hosts)
{
    private static readonly TimeSpan StopGrace = TimeSpan.FromSeconds(4);

    /// <summary>A machine has more to put in order than a process, and where it is emulated it takes its time.</summary>
    private static readonly TimeSpan PowerDownGrace = TimeSpan.FromSeconds(30);

    public Task<Outcome> ApplyAsync(Step step, CancellationToken cancel) => step switch
    {
        Step.MountFlist s => MountAsync(s.Flist, cancel),
        Step.UnmountFlist s => Task.Run(() => Unmount(s.Flist), cancel),
        Step.Start s => StartAsync(s.Wish, s.Generation, cancel),
        Step.Stop s => StopAsync(s, cancel),
        Step.Remove s => RemoveAsync(ContainerId.Of(s.Key)),
        Step.Pause s => PauseAsync(ContainerId.Of(s.Key)),
        Step.Resume s => ResumeAsync(ContainerId.Of(s.Key)),
        Step.EndStranger s => hosts.Containers.EndStrangerAsync(ContainerId.Of(s.Stranger.Workload), new ProcessIdentity(s.Stranger.Pid, s.Stranger.Started)),
        Step.Adjust s => AdjustAsync(s.Wish),
        Step.Connect s => ConnectAsync(s.Wish),
        Step.MakeVolume s => hosts.Volumes?.MakeAsync(s.Wish.Key, (Volume)s.Wish.Workload) ?? NoVolumes,
        Step.DetachVolume s => hosts.Volumes?.DetachAsync(s.Key) ?? NoVolumes,
        Step.DestroyVolume s => hosts.Volumes?.DestroyAsync(s.Key) ?? NoVolumes,
        Step.OpenGateway s => OpenGatewayAsync(s.Wish),
        Step.CloseGateway s => CloseGatewayAsync(ContainerId.Of(s.Key)),
        Step.BindAddress s => BindAsync(s.Wish, s.Holder),
        Step.ReleaseAddress s => hosts.Addresses?.ReleaseAsync(s.Key) ?? NoAddresses,
        Step.Disconnect s => hosts.Tunnels is null ? Task.FromResult<Outcome>(new Outcome.Done()) : hosts.Tunnels.RemoveAsync(s.Tunnel),
        _ => throw new System.Diagnostics.UnreachableException(step.ToString()),
    };

    /// <exception cref="IOException">it could not be written, or the container is gone</exception>
    public void Mark(WorkloadKey key, HealthMark mark) => hosts.Containers.Mark(ContainerId.Of(key), mark);

    private async Task<Outcome> MountAsync(FlistId flist, CancellationToken cancel)
    {
        if (hosts.Flists.IsMounted(flist))
            return new Outcome.Done();
        hosts.Machines?.Forget(flist);
        return await hosts.Flists.MountAsync(flist, cancel);
    }

    private Outcome Unmount(FlistId flist)
    {
        var outcome = hosts.Flists.Unmount(flist);
        if (outcome is Outcome.Done)
            hosts.Machines?.Forget(flist);
        return outcome;
    }

    private async Task<Outcome> StartAsync(Wish wish, long generation, CancellationToken cancel)
    {
        var workload = (Runnable)wish.Workload;
        var id = ContainerId.Of(wish.Key);
        var sighting = hosts.Containers.Observe();
        switch (sighting[id])
        {
            case Observation.Unknown u:
                return new Outcome.Transient(u.Why);
            case Observation.Present { Phase: Phase.Exited or Phase.Partial }:
                if (await RemoveAsync(id) is not Outcome.Done and var failed)
                    return failed;
                sighting = hosts.Containers.Observe();
                break;
            case Observation.Present { Phase: Phase.Running or Phase.Paused or Phase.Created { LetGo: true } }:
                return new Outcome.Done();
        }
        var uids = (sighting[id] as Observation.Present)?.Uids ?? UidRange.Choose(id, sighting.UidRanges);
        if (uids is not { } range)
            return new Outcome.Transient("Every range of user ids is taken.");

        if (await hosts.Flists.ShowAsync(id, workload.Flist, range, anew: sighting[id] is not Observation.Present, cancel) is not Outcome.Done and var unseen)
            return unseen;
        var (spec, unprepared) = workload is Machine
            ? await PrepareAsync(wish, id, generation, range, sighting[id])
            : await DescribeAsync(wish, generation, range, hosts.Paths.Root(id), sighting[id]);
        if (spec is null)
            return unprepared;
        // Connected before its first instruction: a workload never sees the world without its networks.
        if (workload.Networks.IsEmpty)
            return await hosts.Containers.StartAsync(spec, sighting);
        if (await hosts.Containers.CreateAsync(spec, sighting) is not Outcome.Done and var unmade)
            return unmade;
        return await ConnectAsync(wish) is not Outcome.Done and var apart ? apart : await hosts.Containers.StartAsync(spec);
    }

    private async Task<(ContainerSpec? Spec, Outcome Outcome)> DescribeAsync(Wish wish, long generation, UidRange range, string root, Observation seen)
    {
        var container = (Container)wish.Workload;
        var views = ImmutableDictionary<string, string>.Empty;
        if (!container.Mounts.IsEmpty)
        {
            if (hosts.Volumes is null)
                return (null, await NoVolumes);
            // What waits to be let go has its views already.
            (views, var shown) = await hosts.Volumes.ShowAsync(wish.Key, container, range, anew: seen is not Observation.Present);
            if (shown is not Outcome.Done)
                return (null, shown);
        }
        var spec = ContainerSpec.From(wish.Key.Agreement, wish.Version.Value, generation, (int)long.Min(generation - 1, int.MaxValue), container, root, range, views);
        return container.Secrets.IsEmpty ? (spec, new Outcome.Done()) : hosts.Secrets.Give(spec, container, wish.User, anew: seen is not Observation.Present);
    }

    private async Task<(ContainerSpec? Spec, Outcome Outcome)> PrepareAsync(Wish wish, ContainerId id, long generation, UidRange range, Observation seen)
    {
        var machine = (Machine)wish.Workload;
        if (hosts.Machines is null)
            return (null, new Outcome.Transient("This node has no machines now."));
        if (hosts.Tunnels is null && !machine.Networks.IsEmpty)
            return (null, new Outcome.Transient("This node has no networks now."));
        var (taps, mtu) = hosts.Tunnels?.LinksOf(wish.Key.Agreement, machine) ?? ([], 0);
        var credentials = hosts.Secrets.Credentials(machine, wish.User);
        try
        {
            return credentials.Select(c => c.Value.Refusal).FirstOrDefault(r => r is not null) is { } refusal
                ? (null, new Outcome.Refused(refusal))
                : await hosts.Machines.PrepareAsync(wish, generation, range, (hosts.Paths.FlistMount(machine.Flist), hosts.Paths.Root(id)), hosts.Volumes?.Host, taps, mtu, [.. credentials.Select(c => (c.Name, c.Value.Bytes))], anew: seen is not Observation.Present);
        }
        finally
        {
            foreach (var (_, value) in credentials)
                value.Dispose();
        }
    }

    private async Task<Outcome> StopAsync(Step.Stop step, CancellationToken cancel)
    {
        var id = ContainerId.Of(step.Key);
        // Before it is told: what follows its end depends on why.
        if (step.Unhealthy is { } why)
            Mark(step.Key, new HealthMark(why));
        try
        {
            if (RunningMachine(id) is { } emulator)
            {
                await hosts.Containers.ResumeAsync(id);
                await MachineHost.PowerDownAsync(emulator, PowerDownGrace, cancel);
            }
        }
        catch
        {
            // A defect of ours, which is said; its machine is ended before.
            await hosts.Containers.StopAsync(id, StopGrace, cancel);
            throw;
        }
        // Whatever came of it: what has not ended is ended now.
        return await hosts.Containers.StopAsync(id, StopGrace, cancel);
    }

    private async Task<Outcome> PauseAsync(ContainerId id)
    {
        // A guest that is told has its clock stand still; one whose emulator does not listen is held all the same.
        if (RunningMachine(id) is { } emulator)
            await MachineHost.HoldAsync(emulator, held: true);
        return await hosts.Containers.PauseAsync(id);
    }

    private async Task<Outcome> ResumeAsync(ContainerId id) =>
        await hosts.Containers.ResumeAsync(id) is not Outcome.Done and var failed ? failed
        : RunningMachine(id) is { } emulator ? await MachineHost.HoldAsync(emulator, held: false)
        : new Outcome.Done();

    private async Task<Outcome> AdjustAsync(Wish wish)
    {
        if (RunningMachine(ContainerId.Of(wish.Key)) is not { } emulator || hosts.Volumes is null && wish.Workload is Machine { Disks.IsEmpty: false })
            return new Outcome.Transient($"{wish.Key} does not run.");
        var sizes = hosts.Volumes?.Observe().Seen;
        return await MachineHost.AdjustAsync((Machine)wish.Workload, emulator, v => (sizes?.GetValueOrDefault(wish.Key with { Name = v }) as Sighting<VolumeSeen>.Present)?.Thing.Size);
    }

    private ProcessIdentity? RunningMachine(ContainerId id) => hosts.Machines?.Known().Contains(id) is true && hosts.Containers.Observe(id) is Observation.Present { Phase: Phase.Running or Phase.Paused } p ? p.Phase.Process : null;

    private async Task<Outcome> ConnectAsync(Wish wish) => hosts.Containers.Observe(ContainerId.Of(wish.Key)).Init is { } init
        ? await ConnectAsync(wish, init)
        : new Outcome.Transient($"{wish.Key} has no process.");

    private async Task<Outcome> ConnectAsync(Wish wish, ProcessIdentity init)
    {
        if (hosts.Tunnels is null || wish.Tunnels.Length != wish.Workload.Networks.Length)
            return new Outcome.Transient("Not every tunnel of it was published.");
        foreach (var tunnel in wish.Tunnels)
        {
            if (await hosts.Tunnels.ApplyAsync(wish.TunnelOf(tunnel), tunnel, init) is not Outcome.Done and var failed)
                return failed;
        }
        return new Outcome.Done();
    }

    // In its network before anybody is told of it.
    private async Task<Outcome> OpenGatewayAsync(Wish wish)
    {
        if (hosts.Gateways is null)
            return await NoGateways;
        var (place, made) = await hosts.Gateways.PlaceAsync(ContainerId.Of(wish.Key));
        if (place is not { } at)
            return made;
        return await ConnectAsync(wish, at) is not Outcome.Done and var apart ? apart : await hosts.Gateways.OpenAsync(ContainerId.Of(wish.Key), wish.Route!, at);
    }

    // The rules of its way out do not go with its namespace, and nothing that is seen would tell of them: they go while its place is there.
    private async Task<Outcome> CloseGatewayAsync(ContainerId id)
    {
        if (hosts.Gateways is not { } gateways)
            return await NoGateways;
        if (await gateways.CloseAsync(id) is not Outcome.Done and var open)
            return open;
        return hosts.Tunnels is { } tunnels && await tunnels.ReleaseAsync(id) is not Outcome.Done and var bound ? bound : await gateways.LeaveAsync(id);
    }

    private Task<Outcome> BindAsync(Wish wish, Runnable holder)
    {
        if (hosts.Addresses is null)
            return NoAddresses;
        if (hosts.Containers.Observe(ContainerId.Of(wish.Key with { Name = holder.Name })).Init is not { } init)
            return Task.FromResult<Outcome>(new Outcome.Transient($"'{holder.Name}' has no process."));
        if (holder is not Machine machine)
            return hosts.Addresses.BindAsync(wish, init, null);
        return hosts.Tunnels?.LinksOf(wish.Key.Agreement, machine) is var (taps, mtu) ? hosts.Addresses.BindAsync(wish, init, new MachineCard(taps[0], mtu))
            : Task.FromResult<Outcome>(new Outcome.Transient("This node has no private networks now."));
    }

    private static Task<Outcome> NoAddresses => Task.FromResult<Outcome>(new Outcome.Transient("This node has no public addresses now."));

    private static Task<Outcome> NoGateways => Task.FromResult<Outcome>(new Outcome.Transient("This node has no gateways now."));

    private static Task<Outcome> NoVolumes => Task.FromResult<Outcome>(new Outcome.Transient("This node has no volumes now."));

    private async Task<Outcome> RemoveAsync(ContainerId id)
    {
        if (await hosts.Containers.RemoveAsync(id, keepLog: true) is not Outcome.Done and var outcome)
            return outcome;
        if (hosts.Tunnels is not null && await hosts.Tunnels.ReleaseAsync(id) is not Outcome.Done and var bound)
            return bound;
        hosts.Secrets.Places.Hide(id);
        hosts.Volumes?.Hide(id);
        hosts.Machines?.Hide(id);
        return hosts.Flists.Hide(id);
    }
}
