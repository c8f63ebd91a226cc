using System.Collections.Immutable;
using System.Net;
using Grid.Machines;
using Grid.Networks;
using Grid.Reconciliation;
using Grid.Tests.World;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests.Reconciliation;

/// <summary>
/// Thousands of simulated nodes of two agreements, whose effects fail before, after and halfway, whose looks are sometimes blind and whose clocks jump.
/// Safety: nothing unagreed starts, what is unknown is left alone, nothing runs twice, no two have one address, port or name. Liveness: once faults
/// stop, wish and node agree.
/// </summary>
public sealed class ReconcilerLaws
{
    [Fact]
    public void Every_simulated_node_is_safe_and_converges()
    {
        for (var seed = 0; seed < 3000; seed++)
            new SimulatedNode(seed).Run();
    }

    [Fact]
    public void A_blind_look_plans_nothing()
    {
        var observed = Observed.Nothing with { Blind = "the runtime did not answer" };
        Assert.Empty(Reconciler.Plan(SimulatedNode.Wishing(("a", 1), ("b", 2)), observed, TestGrid.Epoch));
    }

    [Fact]
    public void What_belongs_to_an_agreement_of_unknown_standing_is_left_alone()
    {
        var key = new WorkloadKey(new AgreementId(Digest.Of("elsewhere"u8)), "web");
        var seen = new ContainerSeen(default, default, 1, ContainerPhase.Running);
        var observed = Observed.Nothing with { Containers = Observed.Nothing.Containers.Add(key, new Sighting<ContainerSeen>.Present(seen)) };
        Assert.Empty(Reconciler.Plan(Desired.Nothing, observed, TestGrid.Epoch));
        var settled = Desired.Nothing with { Settled = [key.Agreement] };
        Assert.Equal([new Step.Stop(key)], Reconciler.Plan(settled, observed, TestGrid.Epoch));
    }

    [Fact]
    public void The_wait_doubles_to_its_largest()
    {
        var policy = new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(10));
        TimeSpan Wait(int failures) => Reconciler.NotBefore(policy, new Attempts(failures, TestGrid.Epoch)) - TestGrid.Epoch;
        Assert.Equal([1.0, 2, 4, 8, 10, 10], new[] { 1, 2, 3, 4, 5, 1000 }.Select(n => Wait(n).TotalSeconds));
    }

    [Fact]
    public void The_longest_wait_that_terms_can_say_is_a_wait()
    {
        // 100 years: what a statement holds.
        var longest = TimeSpan.FromSeconds(3_155_760_000);
        var policy = new RestartPolicy(RestartWhen.Always, longest, longest);
        Assert.Equal(TestGrid.Epoch + longest, Reconciler.NotBefore(policy, new Attempts(1000, TestGrid.Epoch)));
        Assert.Equal(DateTimeOffset.MaxValue, Reconciler.NotBefore(policy, new Attempts(1, DateTimeOffset.MaxValue)));
    }

    [Fact]
    public void A_clock_that_is_put_back_holds_up_no_retry()
    {
        var desired = SimulatedNode.Wishing(("a", 1));
        ImmutableArray<Step> Plan(DateTimeOffset failed) => Reconciler.Plan(
            desired, Observed.Nothing with { Attempts = Observed.Nothing.Attempts.Add(desired.Wishes.Keys.Single(), new Attempts(1, failed)) }, TestGrid.Epoch);
        Assert.Empty(Plan(TestGrid.Epoch));
        Assert.Single(Plan(TestGrid.Epoch.AddHours(-1)));
        Assert.Single(Plan(TestGrid.Epoch.AddYears(1)));
    }

    [Fact]
    public void What_was_refused_is_not_tried_again_in_that_version_whatever_it_is()
    {
        var desired = SimulatedNode.Wishing(("a", 1), ("aip", 1), ("d", 1), ("door", 1), ("v", -1));
        var refused = desired.Wishes.Values.ToImmutableDictionary(w => w.Key, w => new Attempts(1, TestGrid.Epoch) { RefusedIn = w.Version });
        // The container runs, without its tunnel and its address: that is refused as well.
        var wish = desired.Wishes.Values.First();
        var seen = new ContainerSeen(wish.Spec, ((Container)wish.Workload).Flist, 1, ContainerPhase.Running);
        foreach (var containers in new[] { Observed.Nothing.Containers, Observed.Nothing.Containers.Add(wish.Key, new Sighting<ContainerSeen>.Present(seen)) })
        {
            var observed = Observed.Nothing with
            {
                Containers = containers,
                Flists = Observed.Nothing.Flists.Add(seen.Flist, new Sighting<FlistSeen>.Present(new FlistSeen(true))),
                Attempts = refused,
            };
            Assert.Empty(Reconciler.Plan(desired, observed, TestGrid.Epoch.AddYears(1)));
            Assert.Equal(containers.IsEmpty ? 3 : 5, Reconciler.Plan(desired, observed with { Attempts = refused.ToImmutableDictionary(r => r.Key, r => r.Value with { RefusedIn = new StatementId(Digest.Of("earlier"u8)) }) }, TestGrid.Epoch.AddYears(1)).Length);
        }
    }

    [Fact]
    public void An_amendment_that_leaves_a_workload_alone_does_not_touch_it()
    {
        var before = SimulatedNode.Wishing(("a", 1));
        var wish = before.Wishes.Values.First();
        var after = before with { Wishes = before.Wishes.SetItem(wish.Key, wish with { Version = new StatementId(Digest.Of("v2"u8)) }) };
        var seen = new ContainerSeen(wish.Spec, ((Container)wish.Workload).Flist, 1, ContainerPhase.Running);
        var observed = new Observed(
            Observed.Nothing.Containers.Add(wish.Key, new Sighting<ContainerSeen>.Present(seen)),
            Observed.Nothing.Flists.Add(seen.Flist, new Sighting<FlistSeen>.Present(new FlistSeen(true))), Observed.Nothing.Attempts)
        {
            Tunnels = SimulatedNode.MadeFor(wish),
        };
        Assert.Empty(Reconciler.Plan(after, observed, TestGrid.Epoch));
    }

    [Fact]
    public void A_member_that_comes_or_goes_reconnects_the_others_and_restarts_none()
    {
        var before = SimulatedNode.Wishing(("a", 1), ("b", 1));
        var after = SimulatedNode.Wishing(("a", 1));
        var wish = before.Wishes.Values.First();
        var seen = new ContainerSeen(wish.Spec, ((Container)wish.Workload).Flist, 1, ContainerPhase.Running);
        var observed = new Observed(
            Observed.Nothing.Containers.Add(wish.Key, new Sighting<ContainerSeen>.Present(seen)),
            Observed.Nothing.Flists.Add(seen.Flist, new Sighting<FlistSeen>.Present(new FlistSeen(true))), Observed.Nothing.Attempts)
        {
            Tunnels = SimulatedNode.MadeFor(wish),
        };
        Assert.Equal([new Step.Connect(after.Wishes[wish.Key])], Reconciler.Plan(after, observed, TestGrid.Epoch));
    }

    [Fact]
    public void A_machine_is_told_of_a_larger_disk_and_is_not_restarted()
    {
        var small = SimulatedNode.Wishing(("d", 1), ("x", -1)).Wishes.Values.First();
        var large = SimulatedNode.Wishing(("d", 1), ("x", -2));
        var disk = large.Wishes.Values.Last();
        Observed Seen(int volume, int shown) => new(
            Observed.Nothing.Containers.Add(small.Key, new Sighting<ContainerSeen>.Present(new ContainerSeen(small.Spec, ((Machine)small.Workload).Flist, 1, ContainerPhase.Running))),
            Observed.Nothing.Flists.Add(((Machine)small.Workload).Flist, new Sighting<FlistSeen>.Present(new FlistSeen(true))), Observed.Nothing.Attempts)
        {
            Tunnels = SimulatedNode.MadeFor(small),
            Volumes = Observed.Nothing.Volumes.Add(disk.Key, new Sighting<VolumeSeen>.Present(new VolumeSeen(Bytes.GiB(volume), Attached: true, null, ((Volume)disk.Workload).Keep))),
            Machines = Observed.Nothing.Machines.Add(small.Key, new Sighting<MachineSeen>.Present(new MachineSeen(Ticks: true, [Bytes.GiB(shown)]))),
        };
        Assert.Equal([new Step.MakeVolume(disk)], Reconciler.Plan(large, Seen(1, 1), TestGrid.Epoch));
        Assert.Equal([new Step.Adjust(large.Wishes[small.Key])], Reconciler.Plan(large, Seen(2, 1), TestGrid.Epoch));
        Assert.Empty(Reconciler.Plan(large, Seen(2, 2), TestGrid.Epoch));
    }

    [Fact]
    public void A_peer_that_was_heard_elsewhere_is_left_where_it_is()
    {
        var tunnel = SimulatedNode.Wishing(("a", 1), ("b", 1)).Wishes.Values.First().Tunnels[0];
        var moved = new PeerSeen(tunnel.Peers[0].Key, tunnel.Peers[0].Address, new IPEndPoint(IPAddress.Parse("192.0.2.9"), 9), Heard: true);
        var seen = new TunnelSeen(tunnel.Key, tunnel.Port, (tunnel.Address, tunnel.Bits), [moved], tunnel.Egress);
        Assert.True(seen.Is(tunnel));
        Assert.False((seen with { Peers = [moved with { Heard = false }] }).Is(tunnel));
        Assert.False((seen with { Peers = [moved with { Address = null }] }).Is(tunnel));
        Assert.False((seen with { Peers = [moved with { Crossed = true }] }).Is(tunnel));
        Assert.False((seen with { Peers = [moved, moved with { Key = tunnel.Key }] }).Is(tunnel));
        Assert.False((seen with { Address = null }).Is(tunnel));
    }
}
