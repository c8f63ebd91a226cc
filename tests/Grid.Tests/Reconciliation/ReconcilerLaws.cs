using System.Collections.Immutable;
using System.Net;
using Grid.Addresses;
using Grid.Agreements;
using Grid.Gateways;
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
    private static readonly NodeId Here = new(Digest.Of("here"u8));

    [Fact]
    public void Every_simulated_node_is_safe_and_converges()
    {
        for (var seed = 0; seed < 3000; seed++)
            new Simulation(seed).Run();
    }

    [Fact]
    public void A_blind_look_plans_nothing()
    {
        var observed = Observed.Nothing with { Blind = "the runtime did not answer" };
        Assert.Empty(Reconciler.Plan(Simulation.Wishing(("a", 1), ("b", 2)), observed, TestGrid.Epoch));
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
    public void A_clock_that_is_put_back_holds_up_no_retry()
    {
        var desired = Simulation.Wishing(("a", 1));
        ImmutableArray<Step> Plan(DateTimeOffset failed) => Reconciler.Plan(
            desired, Observed.Nothing with { Attempts = Observed.Nothing.Attempts.Add(desired.Wishes.Keys.Single(), new Attempts(1, failed)) }, TestGrid.Epoch);
        Assert.Empty(Plan(TestGrid.Epoch));
        Assert.Single(Plan(TestGrid.Epoch.AddHours(-1)));
        Assert.Single(Plan(TestGrid.Epoch.AddYears(1)));
    }

    [Fact]
    public void An_amendment_that_leaves_a_workload_alone_does_not_touch_it()
    {
        var before = Simulation.Wishing(("a", 1));
        var wish = before.Wishes.Values.First();
        var after = before with { Wishes = before.Wishes.SetItem(wish.Key, wish with { Version = new StatementId(Digest.Of("v2"u8)) }) };
        var seen = new ContainerSeen(wish.Spec, ((Container)wish.Workload).Flist, 1, ContainerPhase.Running);
        var observed = new Observed(
            Observed.Nothing.Containers.Add(wish.Key, new Sighting<ContainerSeen>.Present(seen)),
            Observed.Nothing.Flists.Add(seen.Flist, new Sighting<FlistSeen>.Present(new FlistSeen(true))), Observed.Nothing.Attempts)
        {
            Tunnels = Simulation.MadeFor(wish),
        };
        Assert.Empty(Reconciler.Plan(after, observed, TestGrid.Epoch));
    }

    [Fact]
    public void A_member_that_comes_or_goes_reconnects_the_others_and_restarts_none()
    {
        var before = Simulation.Wishing(("a", 1), ("b", 1));
        var after = Simulation.Wishing(("a", 1));
        var wish = before.Wishes.Values.First();
        var seen = new ContainerSeen(wish.Spec, ((Container)wish.Workload).Flist, 1, ContainerPhase.Running);
        var observed = new Observed(
            Observed.Nothing.Containers.Add(wish.Key, new Sighting<ContainerSeen>.Present(seen)),
            Observed.Nothing.Flists.Add(seen.Flist, new Sighting<FlistSeen>.Present(new FlistSeen(true))), Observed.Nothing.Attempts)
        {
            Tunnels = Simulation.MadeFor(wish),
        };
        Assert.Equal([new Step.Connect(after.Wishes[wish.Key])], Reconciler.Plan(after, observed, TestGrid.Epoch));
    }

    [Fact]
    public void A_machine_is_told_of_a_larger_disk_and_is_not_restarted()
    {
        var small = Simulation.Wishing(("d", 1), ("x", -1)).Wishes.Values.First();
        var large = Simulation.Wishing(("d", 1), ("x", -2));
        var disk = large.Wishes.Values.Last();
        Observed Seen(int volume, int shown) => new(
            Observed.Nothing.Containers.Add(small.Key, new Sighting<ContainerSeen>.Present(new ContainerSeen(small.Spec, ((Machine)small.Workload).Flist, 1, ContainerPhase.Running))),
            Observed.Nothing.Flists.Add(((Machine)small.Workload).Flist, new Sighting<FlistSeen>.Present(new FlistSeen(true))), Observed.Nothing.Attempts)
        {
            Tunnels = Simulation.MadeFor(small),
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
        var tunnel = Simulation.Wishing(("a", 1), ("b", 1)).Wishes.Values.First().Tunnels[0];
        var moved = new PeerSeen(tunnel.Peers[0].Key, tunnel.Peers[0].Address, new IPEndPoint(IPAddress.Parse("192.0.2.9"), 9), Heard: true);
        var seen = new TunnelSeen(tunnel.Key, tunnel.Port, (tunnel.Address, tunnel.Bits), [moved], tunnel.Egress);
        Assert.True(seen.Is(tunnel));
        Assert.False((seen with { Peers = [moved with { Heard = false }] }).Is(tunnel));
        Assert.False((seen with { Peers = [moved with { Address = null }] }).Is(tunnel));
        Assert.False((seen with { Peers = [moved with { Crossed = true }] }).Is(tunnel));
        Assert.False((seen with { Peers = [moved, moved with { Key = tunnel.Key }] }).Is(tunnel));
        Assert.False((seen with { Address = null }).Is(tunnel));
    }

    private sealed class Simulation(int seed)
    {
        private readonly Random _random = new(seed);
        private readonly Dictionary<WorkloadKey, ContainerSeen> _containers = [];
        private readonly Dictionary<FlistId, FlistSeen> _flists = [];
        private readonly Dictionary<TunnelId, TunnelSeen> _tunnels = [];
        private readonly Dictionary<WorkloadKey, VolumeSeen> _volumes = [];
        private readonly Dictionary<WorkloadKey, GatewaySeen> _gateways = [];
        private readonly Dictionary<WorkloadKey, AddressSeen> _addresses = [];
        private readonly Dictionary<WorkloadKey, MachineSeen> _machines = [];
        private readonly Dictionary<Digest, HashSet<string>> _mounting = [];
        private readonly Dictionary<WorkloadKey, Attempts> _attempts = [];
        private readonly Dictionary<WorkloadKey, HealthSeen> _health = [];
        private readonly Dictionary<WorkloadKey, (int Bad, DateTimeOffset Since)> _asked = [];
        private readonly HashSet<WorkloadKey> _sick = [];
        // Which of the few there are each has by agreement, of addresses, hostnames and ports.
        private readonly Dictionary<WorkloadKey, int> _ips = [], _names = [], _ports = [];
        // The ledger's clock goes on; the node's is anywhere.
        private DateTimeOffset _time = TestGrid.Epoch;
        private TimeSpan _skew;
        private Desired _desired = Desired.Nothing;

        private static readonly AgreementId Agreement = new(Digest.Of("agreement"u8)), Other = new(Digest.Of("other"u8));
        private static readonly TimeSpan Keep = TimeSpan.FromMinutes(1);
        private static readonly Health Asked = new("/", 80, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1), 2);

        /// <param name="workloads">
        /// a container with its flist, a public address (its container's name and "ip") with its port, a gateway ("door" or "exit") with its port, or a volume with its size below zero: the first containers mount every volume of
        /// files and are asked for their health, the second of them started again only when it failed, and 'd' is a machine with every disk, which are the volumes from 'x' on
        /// </param>
        public static Desired Wishing(params (string Name, int Flist)[] workloads) => new Simulation(0).Wishing(Agreement, paused: false, workloads);

        private Desired Wishing(AgreementId agreement, bool paused, params (string Name, int Flist)[] workloads)
        {
            return new Desired(
                workloads.Select(w =>
                {
                    var key = new WorkloadKey(agreement, w.Name);
                    if (w.Flist < 0)
                        return KeyValuePair.Create(key, new Wish(key, default, new Volume(w.Name, Here, Bytes.GiB(-w.Flist), Media.Ssd, Keep, IsDisk(w.Name) ? VolumeForm.Disk : VolumeForm.Files), Paused: false));
                    ImmutableArray<Tunnel> tunnels = [Tunnel(key, workloads.Where(o => o.Flist >= 0 && !IsAddress(o.Name)).Select(o => o.Name))];
                    if (IsAddress(w.Name))
                        return KeyValuePair.Create(key, new Wish(key, default, new PublicAddress(w.Name, Here, new IPAddress([203, 0, 113, (byte)_ips.GetValueOrDefault(key)]), [new Port(Transport.Tcp, 80 + w.Flist)], w.Name[..1]), paused));
                    if (IsGateway(w.Name))
                    {
                        var gateway = new Gateway(w.Name, Here, $"n{_names.GetValueOrDefault(key)}.example.org", Tls.Terminate, DomainProof.Dns, new Backend("a", 80 + w.Flist), []);
                        return KeyValuePair.Create(key, new Wish(key, default, gateway, Paused: w.Flist > 1)
                        {
                            Route = new Route(gateway.Hostname, gateway.Tls, new IPEndPoint(IPAddress.Loopback, gateway.Backend.Port)),
                            Tunnels = tunnels,
                        });
                    }
                    var mounts = workloads.Where(v => v.Flist < 0 && !IsDisk(v.Name) && w.Name[0] < 'c').Select(v => new VolumeMount("/" + v.Name, v.Name));
                    var container = TestGrid.Container(w.Name, Here);
                    Runnable workload = container with
                    {
                        Flist = new FlistId(Digest.Of([(byte)w.Flist])),
                        Mounts = [.. mounts],
                        Health = IsAsked(w.Name) ? Asked : null,
                        Restart = container.Restart with { When = StopsWhenDone(w.Name) ? RestartWhen.OnFailure : RestartWhen.Always },
                    };
                    if (IsMachine(w.Name))
                        workload = new Machine(w.Name, Here, workload.Flist, "/vmlinuz", "/initrd", "", new MilliCores(1000), Bytes.MiB(64), [.. workloads.Where(v => v.Flist < 0 && IsDisk(v.Name)).Select(v => new MachineDisk(v.Name, v.Name))], workload.Restart, Bytes.MiB(1), [], workload.Networks);
                    return KeyValuePair.Create(key, new Wish(key, default, workload, paused) { Tunnels = tunnels });
                }).ToImmutableSortedDictionary(), [agreement])
            {
                Claims = ImmutableDictionary<AgreementId, Claim>.Empty.Add(agreement, new Claim([.. workloads.Select(w => w.Name)], null)),
            };
        }

        private static bool IsGateway(string name) => name.Length > 3;

        private static bool IsAddress(string name) => name.Length == 3;

        private static bool IsDisk(string name) => name[0] is >= 'x';

        private static bool IsMachine(string name) => name == "d";

        private static bool IsAsked(string name) => name is "a" or "b";

        private static bool StopsWhenDone(string name) => name == "b";

        // Everybody is in one network with everybody else: whoever comes or goes changes all tunnels.
        private Tunnel Tunnel(WorkloadKey of, IEnumerable<string> members)
        {
            static TunnelKey Key(WorkloadKey member) => new(Digest.Of(System.Text.Encoding.UTF8.GetBytes($"{member}")));
            static IPAddress Address(WorkloadKey member) => new([10, 1, 0, (byte)member.Name[0]]);
            int Port(WorkloadKey member) => 20_000 + _ports.GetValueOrDefault(member);
            return new Tunnel("back", Address(of), 24, Key(of), Port(of),
                [.. members.Select(m => of with { Name = m }).Where(m => m != of).Select(m => new TunnelPeer(Key(m), new IPEndPoint(IPAddress.Loopback, Port(m)), Address(m)))], Egress.None);
        }

        private static TunnelSeen Made(Tunnel tunnel, bool whole) => new(
            tunnel.Key, tunnel.Port, whole ? (tunnel.Address, tunnel.Bits) : null, [.. tunnel.Peers.Select(p => new PeerSeen(p.Key, p.Address, p.Endpoint, Heard: false))], tunnel.Egress);

        public static ImmutableSortedDictionary<TunnelId, Sighting<TunnelSeen>> MadeFor(Wish wish) => wish.Tunnels.ToImmutableSortedDictionary(
            wish.TunnelOf, t => (Sighting<TunnelSeen>)new Sighting<TunnelSeen>.Present(Made(t, whole: true)));

        public void Run()
        {
            for (var i = 0; i < 16; i++)
            {
                if (_random.Next(3) == 0)
                    Wish();
                if (_random.Next(4) == 0)
                    Disturb();
                Round(faults: true);
            }
            var rounds = 0;
            _sick.Clear();
            // What is paused does not run; in the end nothing is.
            _desired = _desired with { Wishes = _desired.Wishes.ToImmutableSortedDictionary(w => w.Key, w => w.Value with { Paused = false }) };
            while (Round(faults: false) || Waiting())
            {
                _time = _time.AddMinutes(2);
                Assert.True(++rounds < 60, $"seed {seed} does not converge: {string.Join(" | ", _containers)}; {string.Join(" | ", _flists)}");
            }
            foreach (var wish in _desired.Wishes.Values)
                Assert.True(IsUp(wish), $"seed {seed}: {wish.Key} is not up");
            Assert.True(_containers.Keys.All(k => _desired.Wishes.ContainsKey(k) || !_desired.Settled.Contains(k.Agreement)), $"seed {seed}: something is left");
            Assert.True(_volumes.All(v => _desired.Wishes.ContainsKey(v.Key) || (!v.Value.Attached && IsKept(v.Value))), $"seed {seed}: a volume is left");
            Assert.True(_gateways.Keys.All(_desired.Wishes.ContainsKey), $"seed {seed}: a gateway is left");
            Assert.True(_addresses.Keys.All(_desired.Wishes.ContainsKey), $"seed {seed}: an address is left");
            Assert.True(_tunnels.Keys.All(t => _desired.Wishes.ContainsKey(WorkloadOf(t))), $"seed {seed}: a tunnel is left");
            Assert.True(_flists.Keys.All(f => _containers.Values.Any(c => c.Flist == f)), $"seed {seed}: a mount is left");
        }

        private void Wish()
        {
            var agreement = _random.Next(2) == 0 ? Agreement : Other;
            var names = new[] { "a", "b", "c", "d" }.Where(_ => _random.Next(2) == 0).ToList();
            // A volume that is wished again is at least as large as it was.
            var volumes = new[] { "v", "w", "x", "y" }.Where(_ => _random.Next(2) == 0)
                .Select(n => (n, -int.Max(1 + _random.Next(3), (int)(_volumes.GetValueOrDefault(new WorkloadKey(agreement, n))?.Size.Value >> 30 ?? 0))));
            var gateways = new[] { "door", "exit" }.Where(_ => _random.Next(2) == 0).ToList();
            // Of containers that are wished: the rules of an agreement see to that.
            var addresses = names.Where(n => !IsMachine(n) && _random.Next(2) == 0).Select(n => $"{n}ip").ToList();
            // As the ledger sees to it, no two have one; from one to the next, and back, they go by amendment.
            Draw(agreement, _ips, addresses, 6, [], keep: false);
            Draw(agreement, _names, gateways, 4, [], keep: false);
            // As a node chooses them, none that another tunnel still has, unless that is on its way out.
            var going = names.Concat(gateways).Select(n => new WorkloadKey(agreement, n)).Concat(_desired.Wishes.Keys).ToHashSet();
            Draw(agreement, _ports, [.. names, .. gateways], 24, _tunnels.Where(t => going.Contains(WorkloadOf(t.Key))).Select(t => t.Value.Port - 20_000), keep: true);
            var wished = Wishing(agreement, _random.Next(4) == 0, [.. names.Concat(gateways).Concat(addresses).Select(n => (n, _random.Next(3))), .. volumes]);
            var others = Without(agreement);
            _desired = new Desired(wished.Wishes.AddRange(others.Wishes), [Agreement, Other]) { Claims = wished.Claims.AddRange(others.Claims) };
        }

        private void Draw(AgreementId agreement, Dictionary<WorkloadKey, int> lots, List<string> names, int pool, IEnumerable<int> barred, bool keep)
        {
            var free = new List<int>();
            foreach (var (key, lot) in lots.Where(l => l.Key.Agreement == agreement && !(names.Contains(l.Key.Name) && (keep || _random.Next(2) == 0))).ToList())
            {
                lots.Remove(key);
                free.Add(lot);
            }
            // Mostly what another of the agreement had.
            var all = Enumerable.Range(1, pool).Except(barred).OrderBy(l => (!free.Contains(l), _random.Next())).ToList();
            foreach (var key in names.Select(n => new WorkloadKey(agreement, n)).Where(k => !lots.ContainsKey(k)))
                lots[key] = all.Except(lots.Values).First();
        }

        // What the node knows while it cannot read the proof of one of them.
        private Desired Without(AgreementId agreement) => _desired with
        {
            Wishes = _desired.Wishes.RemoveRange(_desired.Wishes.Keys.Where(k => k.Agreement == agreement)),
            Settled = _desired.Settled.Remove(agreement),
            Claims = _desired.Claims.Remove(agreement),
        };

        private DateTimeOffset Now => _time + _skew;

        // A moment that has come by both clocks.
        private DateTimeOffset Certain => Now < _time ? Now : _time;

        private bool IsKept(VolumeSeen volume) => Certain < volume.DetachedAt + Keep;

        private void Disturb()
        {
            if (_random.Next(3) == 0)
                _skew = TimeSpan.FromMinutes(_random.Next(-600_000, 600_000));
            foreach (var key in _containers.Keys.ToList())
            {
                if (_random.Next(3) == 0 && _containers[key].Phase is ContainerPhase.Running)
                {
                    _containers[key] = _containers[key] with { Phase = ContainerPhase.Exited, ExitCode = StopsWhenDone(key.Name) ? 1 : _random.Next(2), EndedAt = Now };
                    _tunnels.Remove(TunnelOf(key));
                    Unbind(key);
                }
                else if (_random.Next(6) == 0)
                {
                    _tunnels.Remove(TunnelOf(key));
                }
            }
            foreach (var key in _containers.Keys)
                _ = _random.Next(2) == 0 ? _sick.Add(key) : _sick.Remove(key);
            // An agent that begins anew knows nothing of it but what is written on it.
            if (_random.Next(6) == 0)
                _health.Clear();
            // What serves them ends for all at once.
            var ended = _random.Next(4) == 0;
            foreach (var key in _gateways.Keys.ToList())
            {
                if (ended)
                    _gateways[key] = _gateways[key] with { Whole = false, Serving = false };
                if (_random.Next(6) == 0)
                    _tunnels.Remove(TunnelOf(key));
            }
            foreach (var key in _addresses.Keys.Where(_ => _random.Next(6) == 0).ToList())
                _addresses[key] = _addresses[key] with { Whole = false };
            foreach (var flist in _flists.Keys.ToList())
            {
                if (_random.Next(6) == 0)
                    _flists[flist] = new FlistSeen(Serving: false);
            }
        }

        // Also until what was to be kept has been kept, and what could not be closed is tried again.
        private bool Waiting() => !_desired.Wishes.Values.All(IsUp) || _volumes.Where(v => !IsKept(v.Value)).Select(v => v.Key).Concat(_gateways.Keys).Concat(_addresses.Keys).Any(k => !_desired.Wishes.ContainsKey(k));

        private bool IsUp(Wish wish) => wish.Workload is Volume volume
            ? _volumes.TryGetValue(wish.Key, out var v) && v.Attached && v.Size == volume.Size
            : wish.Workload is PublicAddress address ? _addresses.TryGetValue(wish.Key, out var bound) && bound.Is(address)
            : wish is { Workload: Gateway, Paused: true } ? !_gateways.ContainsKey(wish.Key)
            : wish.Workload is Gateway ? _gateways.TryGetValue(wish.Key, out var g) && g.Whole && g.Route == wish.Route && IsConnected(wish)
            : _containers.TryGetValue(wish.Key, out var c) && c.Spec == wish.Spec && c.Phase is ContainerPhase.Running && IsConnected(wish) && HealthPlan.Serves(wish.Workload, c, _health.GetValueOrDefault(wish.Key))
            && (!IsMachine(wish.Key.Name) || (_machines[wish.Key].Ticks && _machines[wish.Key].Disks.SequenceEqual(((Machine)wish.Workload).Volumes.Select(v => _volumes[wish.Key with { Name = v }].Size))));

        private bool IsConnected(Wish wish) => wish.Tunnels.All(t => _tunnels.TryGetValue(wish.TunnelOf(t), out var seen) && seen.Is(t));

        private static TunnelId TunnelOf(WorkloadKey key) => new(key.Agreement, new Membership("back", key.Name));

        private bool Round(bool faults)
        {
            for (var asks = 1 + _random.Next(4); asks > 0; asks--)
                Ask(faults);
            var observed = Look(faults);
            var desired = faults && _random.Next(6) == 0 ? Without(_random.Next(2) == 0 ? Agreement : Other) : _desired;
            var steps = Reconciler.Plan(desired with { Certain = faults && _random.Next(2) == 0 ? null : Certain }, observed, Now);
            Assert.Equal(steps.Length, steps.Select(s => s.Subject).Distinct().Count());
            foreach (var step in steps)
            {
                Assert.True(AgreementOf(step) is not { } of || desired.Settled.Contains(of), $"seed {seed}: {step} of what is not known");
                Safe(step, observed);
                Apply(step, faults ? _random.Next(5) : 4);
                Assert.True(_addresses.Values.GroupBy(a => a.Ip).All(g => g.Count() == 1), $"seed {seed}: {step} shares an address");
                Assert.True(_gateways.Values.Where(g => g.Route is not null).GroupBy(g => g.Route!.Hostname).All(g => g.Count() == 1), $"seed {seed}: {step} shares a name");
            }
            _time = _time.AddSeconds(_random.Next(20));
            return steps.Length > 0;
        }

        // As an agent would, between two looks.
        private void Ask(bool faults)
        {
            foreach (var key in _health.Keys.Where(k => !IsRunning(k)).ToList())
                _health.Remove(key);
            foreach (var key in _containers.Keys.Where(k => IsAsked(k.Name) && IsRunning(k) && (!faults || _random.Next(3) > 0)).ToList())
            {
                var seen = _containers[key];
                if (seen.Health is { Unhealthy: not null } || !_desired.Wishes.TryGetValue(key, out var wish) || wish.Spec != seen.Spec || wish.Paused)
                    continue;
                var known = _health.TryGetValue(key, out var before) ? before : new HealthSeen(seen.Health is not null, 0, null);
                if (before is null)
                    _asked[key] = (0, _time);
                HealthAnswer answer = faults && _random.Next(5) == 0 ? new HealthAnswer.Unknown("no socket") : _sick.Contains(key) ? new HealthAnswer.Unhealthy("connection refused on 80") : new HealthAnswer.Healthy();
                var (bad, since) = _asked[key];
                _asked[key] = (answer is HealthAnswer.Healthy ? 0 : answer is HealthAnswer.Unhealthy ? bad + 1 : bad, since);
                _health[key] = known.Then(answer, Asked, _time - since);
                _time = _time.AddSeconds(1);
                if (_health[key].Proven && seen.Health is null && (!faults || _random.Next(5) > 0))
                    _containers[key] = seen with { Health = new HealthMark(null) };
            }
        }

        private bool IsRunning(WorkloadKey key) => _containers.TryGetValue(key, out var seen) && seen.Phase is ContainerPhase.Running;

        private Observed Look(bool faults)
        {
            var away = faults && _random.Next(6) == 0;
            Sighting<T> See<T>(T thing) => faults && _random.Next(5) == 0 ? new Sighting<T>.Unknown("no answer") : new Sighting<T>.Present(thing);
            return new Observed(
                _containers.ToImmutableSortedDictionary(c => c.Key, c => See(c.Value)), _flists.ToImmutableDictionary(f => f.Key, f => See(f.Value)),
                _attempts.ToImmutableDictionary(), faults && _random.Next(10) == 0 ? "blind" : null)
            {
                Tunnels = _tunnels.ToImmutableSortedDictionary(t => t.Key, t => See(t.Value)),
                Machines = _machines.Where(m => _containers.GetValueOrDefault(m.Key)?.Phase is ContainerPhase.Running).ToImmutableSortedDictionary(m => m.Key, m => See(m.Value)),
                Health = _health.Where(_ => !faults || _random.Next(5) > 0).ToImmutableSortedDictionary(),
                // Two of them are on one disk and two on another.
                Volumes = _volumes.Where(v => !away || v.Key.Name is "v" or "x").ToImmutableSortedDictionary(v => v.Key, v => See(v.Value)),
                VolumesUnseen = away ? "a disk is away" : null,
                Addresses = _addresses.ToImmutableSortedDictionary(a => a.Key, a => See(a.Value)),
                Gateways = _gateways.ToImmutableSortedDictionary(g => g.Key, g => See(g.Value)),
            };
        }

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
            if (step is Step.Start or Step.Connect or Step.OpenGateway)
                Assert.True(!Ports(((Step.Grant)step).Wish).Intersect(observed.Tunnels.Where(t => WorkloadOf(t.Key) != KeyOf(step)).Select(t => t.Value).OfType<Sighting<TunnelSeen>.Present>().Select(t => t.Thing.Port)).Any(), $"seed {seed}: {step} shares a port");
            switch (step)
            {
                case Step.Start s:
                    Assert.Equal(_desired.Wishes[s.Wish.Key], s.Wish);
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

        private static WorkloadKey ContainerOf(WorkloadKey address) => address with { Name = address.Name[..1] };

        // The link goes with the container's namespace; what leads to it stays.
        private void Unbind(WorkloadKey container)
        {
            foreach (var key in _addresses.Keys.Where(k => ContainerOf(k) == container).ToList())
                _addresses[key] = _addresses[key] with { Workload = null, Whole = false };
        }

        private MachineSeen Shown(Wish wish, bool ticks) => new(ticks, [.. ((Machine)wish.Workload).Volumes.Select(v => _volumes[wish.Key with { Name = v }].Size)]);

        private void Failed(Step step)
        {
            if (KeyOf(step) is { } key)
                _attempts[key] = new Attempts((_attempts.GetValueOrDefault(key)?.Failures ?? 0) + 1, Now);
        }

        private static WorkloadKey? KeyOf(Step step) => step.Subject as WorkloadKey?;

        private static AgreementId? AgreementOf(Step step) => (step as Step.Disconnect)?.Tunnel.Agreement ?? KeyOf(step)?.Agreement;

        private static WorkloadKey WorkloadOf(TunnelId tunnel) => new(tunnel.Agreement, tunnel.Of.Workload);

        private static IEnumerable<int> Ports(Wish wish) => wish.Tunnels.Select(t => t.Port);
    }
}
