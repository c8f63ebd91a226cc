using System.Collections.Immutable;
using Grid.Addresses;
using Grid.Gateways;
using Grid.Machines;
using Grid.Networks;
using Grid.Reconciliation;
using Grid.Tests.World;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests.Reconciliation;

/// <summary>A node of two agreements in memory, whose effects fail before, after and halfway or are refused, whose looks are sometimes blind and whose clocks jump.</summary>
internal sealed partial class SimulatedNode(int seed)
{
    private static readonly NodeId Here = new(Digest.Of("here"u8));

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
    private ImmutableArray<Step> _planned = [];
    private int _versions;

    private static readonly AgreementId Agreement = new(Digest.Of("agreement"u8)), Other = new(Digest.Of("other"u8));
    private static readonly TimeSpan Keep = TimeSpan.FromMinutes(1);
    private static readonly Health Asked = new("/", 80, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1), 2);

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
        // What is paused does not run, and what was refused waits for an amendment; in the end nothing is and all are amended.
        _desired = _desired with { Wishes = _desired.Wishes.ToImmutableSortedDictionary(w => w.Key, w => w.Value with { Paused = false, Version = NextVersion() }) };
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

    /// <summary>The steps that make it so, without faults, and in which round each was planned.</summary>
    public ImmutableArray<(int Round, Step Step)> Until(Desired desired)
    {
        var steps = ImmutableArray.CreateBuilder<(int, Step)>();
        _desired = desired;
        for (var round = 0; round < 60; round++, _time = _time.AddMinutes(2))
        {
            Round(faults: false);
            steps.AddRange(_planned.Select(s => (round, s)));
        }
        return steps.ToImmutable();
    }

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
        _planned = steps;
        Assert.Equal(steps.Length, steps.Select(s => s.Subject).Distinct().Count());
        foreach (var step in steps)
        {
            Assert.True(AgreementOf(step) is not { } of || desired.Settled.Contains(of), $"seed {seed}: {step} of what is not known");
            Safe(step, observed);
            if (step is Step.Grant grant && faults && _random.Next(8) == 0)
                Refused(grant);
            else
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

    // No other try can help, says who refuses; an amendment may.
    private void Refused(Step.Grant step)
    {
        Failed(step);
        _attempts[step.Wish.Key] = _attempts[step.Wish.Key] with { RefusedIn = step.Wish.Version };
    }

    private StatementId NextVersion() => new(Digest.Of([.. BitConverter.GetBytes(++_versions)]));

    private static WorkloadKey? KeyOf(Step step) => step.Subject as WorkloadKey?;

    private static AgreementId? AgreementOf(Step step) => (step as Step.Disconnect)?.Tunnel.Agreement ?? KeyOf(step)?.Agreement;

    private static WorkloadKey WorkloadOf(TunnelId tunnel) => new(tunnel.Agreement, tunnel.Of.Workload);

    private static IEnumerable<int> Ports(Wish wish) => wish.Tunnels.Select(t => t.Port);
}
