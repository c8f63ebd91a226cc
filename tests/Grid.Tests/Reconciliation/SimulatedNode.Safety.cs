using Grid.Addresses;
using Grid.Gateways;
using Grid.Networks;
using Grid.Reconciliation;
using Grid.Workloads;

namespace Grid.Tests.Reconciliation;

/// <summary>What no step may do, whatever was seen.</summary>
internal sealed partial class SimulatedNode
{
    private void Safe(Step step, Observed observed)
    {
        Assert.Null(observed.Blind);
        if (KeyOf(step) is { } key && observed.Containers.TryGetValue(key, out var sighting))
            Assert.IsType<Sighting<ContainerSeen>.Present>(sighting);
        if (KeyOf(step) is { } volume && observed.Volumes.TryGetValue(volume, out var looked))
            Assert.IsType<Sighting<VolumeSeen>.Present>(looked);
        if (KeyOf(step) is { } gateway && observed.Gateways.TryGetValue(gateway, out var door))
            Assert.IsType<Sighting<GatewaySeen>.Present>(door);
        if (KeyOf(step) is { } address && observed.Addresses.TryGetValue(address, out var bound))
            Assert.IsType<Sighting<AddressSeen>.Present>(bound);
        Assert.False(step is Step.Grant grant && observed.Attempts.GetValueOrDefault(grant.Wish.Key)?.RefusedIn == grant.Wish.Version, $"seed {seed}: {step} was refused in this version");
        if (step is Step.Start or Step.Connect or Step.OpenGateway)
            Assert.True(!Ports(((Step.Grant)step).Wish).Intersect(observed.Tunnels.Where(t => WorkloadOf(t.Key) != KeyOf(step)).Select(t => t.Value).OfType<Sighting<TunnelSeen>.Present>().Select(t => t.Thing.Port)).Any(), $"seed {seed}: {step} shares a port");
        switch (step)
        {
            case Step.Start s:
                Assert.Equal(_desired.Wishes[s.Wish.Key], s.Wish);
                Assert.False(s.Wish.Paused, "started what is paused");
                Assert.True(((Runnable)s.Wish.Workload).Volumes.All(v => _volumes[s.Wish.Key with { Name = v }].Attached), "started without its volumes");
                Assert.True(_flists[((Runnable)s.Wish.Workload).Flist].Serving || !observed.Flists.ContainsKey(((Runnable)s.Wish.Workload).Flist), "started without its files");
                Assert.False(_containers.TryGetValue(s.Wish.Key, out var there) && there.Phase is ContainerPhase.Running or ContainerPhase.Paused, "started twice");
                break;
            case Step.Stop { Unhealthy: not null } s:
                Assert.True(_containers[s.Key].Health is { Unhealthy: not null } || (_asked[s.Key].Bad >= Asked.Failures && observed.Health.ContainsKey(s.Key)), "ended for its health, which was not asked or not bad");
                break;
            case Step.Stop s:
                Assert.True(!_desired.Wishes.TryGetValue(s.Key, out var wish) || wish.Spec != _containers[s.Key].Spec || !_flists.TryGetValue(_containers[s.Key].Flist, out var f) || !f.Serving, "stopped what is wished");
                break;
            case Step.Pause p:
                Assert.True(_desired.Wishes[p.Key] is { Paused: true } held && held.Spec == _containers[p.Key].Spec, "paused what shall run, or what is not wished as it is");
                Assert.True(observed.Containers[p.Key] is Sighting<ContainerSeen>.Present({ Phase: ContainerPhase.Running }), "paused what does not run");
                break;
            case Step.Resume r:
                Assert.True(_desired.Wishes[r.Key] is { Paused: false } awake && awake.Spec == _containers[r.Key].Spec, "resumed what shall not run, or not as it is");
                Assert.True(observed.Containers[r.Key] is Sighting<ContainerSeen>.Present({ Phase: ContainerPhase.Paused }), "resumed what is not paused");
                break;
            case Step.MountFlist m:
                Assert.DoesNotContain(m.Flist, observed.Flists.Keys);
                Assert.Contains(_desired.Wishes.Values, w => w is { Paused: false, Workload: Runnable wants } && wants.Flist == m.Flist && _desired.Settled.Contains(w.Key.Agreement)
                    && !(_containers.TryGetValue(w.Key, out var up) && up.Phase is ContainerPhase.Running or ContainerPhase.Paused));
                break;
            case Step.Adjust a:
                Assert.Equal(_desired.Wishes[a.Wish.Key], a.Wish);
                Assert.True(!a.Wish.Paused && _containers[a.Wish.Key].Phase is ContainerPhase.Running, "adjusted what does not run");
                break;
            case Step.Connect c:
                Assert.Equal(_desired.Wishes[c.Wish.Key], c.Wish);
                Assert.True(_containers[c.Wish.Key].Phase is ContainerPhase.Running, "connected what does not run");
                break;
            case Step.Disconnect d:
                Assert.DoesNotContain(WorkloadOf(d.Tunnel), _containers.Keys.Concat(_gateways.Keys));
                Assert.IsType<Sighting<TunnelSeen>.Present>(observed.Tunnels[d.Tunnel]);
                break;
            case Step.BindAddress b:
                Assert.Equal(_desired.Wishes[b.Wish.Key], b.Wish);
                Assert.True(observed.Containers[ContainerOf(b.Wish.Key)] is Sighting<ContainerSeen>.Present({ Phase: ContainerPhase.Running }), "bound to what does not run");
                break;
            case Step.ReleaseAddress r:
                Assert.False(_desired.Wishes.TryGetValue(r.Key, out var still) && ((PublicAddress)still.Workload).Ip.Equals(_addresses[r.Key].Ip), "released what is wished");
                break;
            case Step.OpenGateway o:
                Assert.Equal(_desired.Wishes[o.Wish.Key], o.Wish);
                Assert.False(o.Wish.Paused, "opened what is paused");
                break;
            case Step.CloseGateway c:
                Assert.True(!_desired.Wishes.TryGetValue(c.Key, out var open) || open.Paused || open.Route!.Hostname != _gateways[c.Key].Route!.Hostname, "closed what is wished");
                break;
            case Step.MakeVolume m:
                Assert.Equal(_desired.Wishes[m.Wish.Key], m.Wish);
                Assert.True(observed.Volumes.ContainsKey(m.Wish.Key) || observed.VolumesUnseen is null, "made anew what may be on a disk that is away");
                break;
            case Step.DetachVolume d:
                Assert.False(_desired.Wishes.ContainsKey(d.Key), "detached what is wished");
                Assert.DoesNotContain(_containers, c => c.Key.Agreement == d.Key.Agreement && c.Value.Phase is not (ContainerPhase.Exited or ContainerPhase.Partial) && _mounting.GetValueOrDefault(c.Value.Spec)?.Contains(d.Key.Name) is true);
                break;
            case Step.DestroyVolume d:
                Assert.False(_desired.Wishes.ContainsKey(d.Key), "destroyed what is wished");
                Assert.True(_volumes[d.Key] is { Attached: false } gone && Certain >= gone.DetachedAt + Keep, "destroyed what was to be kept");
                break;
            case Step.Remove r:
                Assert.False(_containers[r.Key].Phase is ContainerPhase.Created or ContainerPhase.Starting or ContainerPhase.Running or ContainerPhase.Paused, "removed what runs");
                break;
            case Step.UnmountFlist u:
                Assert.DoesNotContain(_containers.Values, c => c.Flist == u.Flist && c.Phase is (ContainerPhase.Created or ContainerPhase.Running or ContainerPhase.Paused));
                Assert.IsType<Sighting<FlistSeen>.Present>(observed.Flists[u.Flist]);
                break;
        }
    }
}
