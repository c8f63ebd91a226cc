using Grid.Addresses;
using Grid.Gateways;
using Grid.Machines;
using Grid.Networks;
using Grid.Reconciliation;
using Grid.Workloads;

namespace Grid.Tests.Reconciliation;

/// <summary>What a step does to it, wholly, by half or not at all.</summary>
internal sealed partial class SimulatedNode
{
    // 0: fails before; 1: fails halfway; 2: applied but reported as failed; otherwise applied.
    private void Apply(Step step, int fate)
    {
        // What ran when it was looked at may have been stopped since, and the kernel gives no port twice.
        if (fate == 0 || (step is Step.BindAddress { Wish.Key: var bind } && _containers.GetValueOrDefault(ContainerOf(bind))?.Phase is not ContainerPhase.Running)
            || (step is Step.Start or Step.Connect or Step.OpenGateway && Ports(((Step.Grant)step).Wish).Intersect(_tunnels.Where(t => WorkloadOf(t.Key) != KeyOf(step)).Select(t => t.Value.Port)).Any()))
        {
            Failed(step);
            return;
        }
        switch (step)
        {
            case Step.MountFlist m:
                _flists[m.Flist] = new FlistSeen(fate != 1);
                break;
            case Step.UnmountFlist u:
                _flists.Remove(u.Flist);
                break;
            case Step.Start s:
                var flist = ((Runnable)s.Wish.Workload).Flist;
                _mounting[s.Wish.Spec] = [.. ((Runnable)s.Wish.Workload).Volumes];
                _containers[s.Wish.Key] = new ContainerSeen(s.Wish.Spec, flist, s.Generation, fate != 1 ? ContainerPhase.Running : _random.Next(2) == 0 ? ContainerPhase.Partial : ContainerPhase.Created);
                if (IsMachine(s.Wish.Key.Name))
                    _machines[s.Wish.Key] = Shown(s.Wish, fate != 1);
                foreach (var tunnel in s.Wish.Tunnels.Where(_ => fate != 1 || _random.Next(2) == 0))
                    _tunnels[s.Wish.TunnelOf(tunnel)] = Made(tunnel, whole: fate != 1);
                break;
            case Step.BindAddress b:
                var wished = (PublicAddress)b.Wish.Workload;
                _addresses[b.Wish.Key] = new AddressSeen(wished.Ip, wished.Ports, fate == 1 ? null : wished.Workload, fate != 1);
                break;
            case Step.ReleaseAddress r:
                if (fate == 1)
                    _addresses[r.Key] = _addresses[r.Key] with { Workload = null, Whole = false };
                else
                    _addresses.Remove(r.Key);
                break;
            case Step.OpenGateway o:
                _gateways[o.Wish.Key] = new GatewaySeen(fate != 1 || _random.Next(2) == 0 ? o.Wish.Route : null, fate != 1, false);
                foreach (var tunnel in o.Wish.Tunnels.Where(_ => fate != 1 || _random.Next(2) == 0))
                    _tunnels[o.Wish.TunnelOf(tunnel)] = Made(tunnel, whole: fate != 1);
                break;
            case Step.CloseGateway c:
                if (fate == 1)
                    _gateways[c.Key] = _gateways[c.Key] with { Route = null, Whole = false };
                else
                    _gateways.Remove(c.Key);
                break;
            case Step.Pause p:
                if (_machines.TryGetValue(p.Key, out var ticking))
                    _machines[p.Key] = ticking with { Ticks = false };
                if (fate != 1)
                    _containers[p.Key] = _containers[p.Key] with { Phase = ContainerPhase.Paused };
                break;
            case Step.Resume r:
                _containers[r.Key] = _containers[r.Key] with { Phase = ContainerPhase.Running };
                if (fate != 1 && _machines.TryGetValue(r.Key, out var held))
                    _machines[r.Key] = held with { Ticks = true };
                break;
            case Step.Adjust a:
                _machines[a.Wish.Key] = Shown(a.Wish, fate != 1);
                break;
            case Step.MakeVolume m:
                var size = ((Volume)m.Wish.Workload).Size;
                _volumes[m.Wish.Key] = new VolumeSeen(fate == 1 && _volumes.TryGetValue(m.Wish.Key, out var old) ? old.Size : size, fate != 1, null, Keep);
                break;
            case Step.DetachVolume d:
                _volumes[d.Key] = _volumes[d.Key] with { Attached = fate == 1, DetachedAt = fate == 1 ? null : Now };
                break;
            case Step.DestroyVolume d:
                if (fate != 1)
                    _volumes.Remove(d.Key);
                break;
            case Step.Connect c:
                foreach (var tunnel in c.Wish.Tunnels)
                    _tunnels[c.Wish.TunnelOf(tunnel)] = Made(tunnel, whole: fate != 1);
                break;
            case Step.Disconnect d:
                _tunnels.Remove(d.Tunnel);
                break;
            case Step.Stop s:
                if (s.Unhealthy is { } why)
                    _containers[s.Key] = _containers[s.Key] with { Health = new HealthMark(why) };
                if (fate != 1)
                {
                    _tunnels.Remove(TunnelOf(s.Key));
                    Unbind(s.Key);
                    _containers[s.Key] = _containers[s.Key] with { Phase = ContainerPhase.Exited, ExitCode = s.Unhealthy is null ? 143 : 0, EndedAt = Now };
                }
                break;
            case Step.Remove r:
                if (fate == 1)
                    _containers[r.Key] = _containers[r.Key] with { Phase = ContainerPhase.Partial };
                else
                    _containers.Remove(r.Key);
                break;
        }
        if (fate is 1 or 2)
            Failed(step);
    }
}
