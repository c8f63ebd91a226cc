using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Reconciliation;
using Grid.Tests.World;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests.Reconciliation;

/// <summary>
/// Thousands of simulated nodes whose effects fail before, after and halfway, and whose looks are sometimes blind.
/// Safety: nothing unagreed starts, what is unknown is left alone, nothing runs twice. Liveness: once faults stop, wish and node agree.
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
    public void An_amendment_that_leaves_a_workload_alone_does_not_touch_it()
    {
        var before = Simulation.Wishing(("a", 1));
        var wish = before.Wishes.Values.First();
        var after = before with { Wishes = before.Wishes.SetItem(wish.Key, wish with { Version = new StatementId(Digest.Of("v2"u8)) }) };
        var seen = new ContainerSeen(wish.Spec, ((Container)wish.Workload).Flist, 1, ContainerPhase.Running);
        var observed = new Observed(
            Observed.Nothing.Containers.Add(wish.Key, new Sighting<ContainerSeen>.Present(seen)),
            Observed.Nothing.Flists.Add(seen.Flist, new Sighting<FlistSeen>.Present(new FlistSeen(true))), Observed.Nothing.Attempts);
        Assert.Empty(Reconciler.Plan(after, observed, TestGrid.Epoch));
    }

    private sealed class Simulation(int seed)
    {
        private readonly Random _random = new(seed);
        private readonly Dictionary<WorkloadKey, ContainerSeen> _containers = [];
        private readonly Dictionary<FlistId, FlistSeen> _flists = [];
        private readonly Dictionary<WorkloadKey, Attempts> _attempts = [];
        private DateTimeOffset _now = TestGrid.Epoch;
        private Desired _desired = Desired.Nothing;

        public static Desired Wishing(params (string Name, int Flist)[] workloads)
        {
            var agreement = new AgreementId(Digest.Of("agreement"u8));
            return new Desired(
                workloads.Select(w =>
                {
                    var key = new WorkloadKey(agreement, w.Name);
                    var container = TestGrid.Container(w.Name, Here) with { Flist = new FlistId(Digest.Of([(byte)w.Flist])) };
                    return KeyValuePair.Create(key, new Wish(key, default, container, Paused: false));
                }).ToImmutableSortedDictionary(), [agreement]);
        }

        public void Run()
        {
            for (var i = 0; i < 12; i++)
            {
                if (_random.Next(3) == 0)
                    Wish();
                if (_random.Next(4) == 0)
                    Disturb();
                Round(faults: true);
            }
            var rounds = 0;
            while (Round(faults: false) || Waiting())
            {
                _now = _now.AddMinutes(2);
                Assert.True(++rounds < 60, $"seed {seed} does not converge: {string.Join(" | ", _containers)}; {string.Join(" | ", _flists)}");
            }
            foreach (var wish in _desired.Wishes.Values)
                Assert.True(_containers.TryGetValue(wish.Key, out var c) && c.Spec == wish.Spec && c.Phase is ContainerPhase.Running, $"seed {seed}: {wish.Key} is not up");
            Assert.True(_containers.Keys.All(k => _desired.Wishes.ContainsKey(k) || !_desired.Settled.Contains(k.Agreement)), $"seed {seed}: something is left");
            Assert.True(_flists.Keys.All(f => _containers.Values.Any(c => c.Flist == f)), $"seed {seed}: a mount is left");
        }

        private void Wish()
        {
            var names = new[] { "a", "b", "c", "d" }.Where(_ => _random.Next(2) == 0);
            _desired = Wishing([.. names.Select(n => (n, _random.Next(3)))]);
        }

        private void Disturb()
        {
            foreach (var key in _containers.Keys.ToList())
            {
                if (_random.Next(3) == 0 && _containers[key].Phase is ContainerPhase.Running)
                    _containers[key] = _containers[key] with { Phase = ContainerPhase.Exited, ExitCode = _random.Next(2), EndedAt = _now };
            }
            foreach (var flist in _flists.Keys.ToList())
            {
                if (_random.Next(6) == 0)
                    _flists[flist] = new FlistSeen(Serving: false);
            }
        }

        private bool Waiting() => _desired.Wishes.Values.Any(w => !_containers.TryGetValue(w.Key, out var c) || c.Phase is not ContainerPhase.Running);

        private bool Round(bool faults)
        {
            var observed = Look(faults);
            var steps = Reconciler.Plan(_desired, observed, _now);
            Assert.Equal(steps.Length, steps.Distinct().Count());
            Assert.True(steps.Select(KeyOf).Where(k => k is not null).GroupBy(k => k).All(g => g.Count() == 1), $"seed {seed}: two steps for one workload");
            foreach (var step in steps)
            {
                Safe(step, observed);
                Apply(step, faults ? _random.Next(5) : 4);
            }
            _now = _now.AddSeconds(_random.Next(20));
            return steps.Length > 0;
        }

        private Observed Look(bool faults)
        {
            Sighting<T> See<T>(T thing) => faults && _random.Next(5) == 0 ? new Sighting<T>.Unknown("no answer") : new Sighting<T>.Present(thing);
            return new Observed(
                _containers.ToImmutableSortedDictionary(c => c.Key, c => See(c.Value)), _flists.ToImmutableDictionary(f => f.Key, f => See(f.Value)),
                _attempts.ToImmutableDictionary(), faults && _random.Next(10) == 0 ? "blind" : null);
        }

        private void Safe(Step step, Observed observed)
        {
            Assert.Null(observed.Blind);
            if (KeyOf(step) is { } key && observed.Containers.TryGetValue(key, out var sighting))
                Assert.IsType<Sighting<ContainerSeen>.Present>(sighting);
            switch (step)
            {
                case Step.Start s:
                    Assert.Equal(_desired.Wishes[s.Wish.Key], s.Wish);
                    Assert.True(_flists[((Container)s.Wish.Workload).Flist].Serving || !observed.Flists.ContainsKey(((Container)s.Wish.Workload).Flist), "started without its files");
                    Assert.False(_containers.TryGetValue(s.Wish.Key, out var there) && there.Phase is ContainerPhase.Running or ContainerPhase.Paused, "started twice");
                    break;
                case Step.Stop s:
                    Assert.True(!_desired.Wishes.TryGetValue(s.Key, out var wish) || wish.Spec != _containers[s.Key].Spec || !_flists.TryGetValue(_containers[s.Key].Flist, out var f) || !f.Serving, "stopped what is wished");
                    break;
                case Step.Remove r:
                    Assert.False(_containers[r.Key].Phase is ContainerPhase.Created or ContainerPhase.Running or ContainerPhase.Paused, "removed what runs");
                    break;
                case Step.UnmountFlist u:
                    Assert.DoesNotContain(_containers.Values, c => c.Flist == u.Flist && c.Phase is (ContainerPhase.Created or ContainerPhase.Running or ContainerPhase.Paused));
                    break;
            }
        }

        // 0: fails before; 1: fails halfway; 2: applied but reported as failed; otherwise applied.
        private void Apply(Step step, int fate)
        {
            if (fate == 0)
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
                    var flist = ((Container)s.Wish.Workload).Flist;
                    _containers[s.Wish.Key] = new ContainerSeen(s.Wish.Spec, flist, s.Generation, fate != 1 ? ContainerPhase.Running : _random.Next(2) == 0 ? ContainerPhase.Partial : ContainerPhase.Created);
                    break;
                case Step.Stop s:
                    if (fate != 1)
                        _containers[s.Key] = _containers[s.Key] with { Phase = ContainerPhase.Exited, ExitCode = 143, EndedAt = _now };
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

        private void Failed(Step step)
        {
            if (KeyOf(step) is { } key)
                _attempts[key] = new Attempts((_attempts.GetValueOrDefault(key)?.Failures ?? 0) + 1, _now);
        }

        private static WorkloadKey? KeyOf(Step step) => step switch
        {
            Step.Start s => s.Wish.Key,
            Step.Stop s => s.Key,
            Step.Remove s => s.Key,
            Step.Pause s => s.Key,
            Step.Resume s => s.Key,
            _ => null,
        };
    }
}
