using Grid.Node.Agent;
using Grid.Node.Containers;
using Grid.Node.Tests.Containers;
using Grid.Reconciliation;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Node.Tests.Agent;

/// <summary>A real container is asked by what the agent asks with.</summary>
[Collection(OnThisMachine.Name)]
public sealed class HealthChecksTests(Machine machine) : IDisposable
{
    private readonly Bell _changed = new();

    public void Dispose() => machine.Clear();

    [Fact]
    public async Task The_first_healthy_answer_is_told_and_written_on_the_container()
    {
        var (sight, wish) = await StartAsync(port: 8080);
        await using var checks = Checks(sight);
        var observed = Look(sight, wish);
        Assert.Null(Seen(observed).Health);
        Assert.False(HealthPlan.Serves(wish.Workload, Seen(observed), null));
        checks.Follow(Wishing(wish), observed);
        await _changed.WaitAsync(Patience);

        observed = Look(sight, wish);
        Assert.Equal(new HealthSeen(true, 0, null), checks.Follow(Wishing(wish), observed)[wish.Key]);
        Assert.Equal(new HealthMark(null), Seen(observed).Health);
        // Who comes after asks anew, and knows at once that it serves.
        await using var next = Checks(sight);
        Assert.Equal(new HealthSeen(true, 0, null), next.Follow(Wishing(wish), observed)[wish.Key]);
    }

    [Fact]
    public async Task Who_never_answers_is_found_unhealthy_and_what_is_written_then_is_not_undone()
    {
        var (sight, wish) = await StartAsync(port: 8081);
        await using var checks = Checks(sight);
        HealthSeen seen;
        while (!(seen = checks.Follow(Wishing(wish), Look(sight, wish))[wish.Key]).IsUnhealthy(((Container)wish.Workload).Health!))
            await _changed.WaitAsync(Patience);
        Assert.Equal(new HealthSeen(false, 3, "connection refused on 8081"), seen);

        var effects = new WorkloadEffects(machine.Hosts);
        effects.Mark(wish.Key, new HealthMark($"{seen}"));
        effects.Mark(wish.Key, new HealthMark(null));
        var observed = Look(sight, wish);
        Assert.Equal(new HealthMark("unhealthy: connection refused on 8081, 3 times"), Seen(observed).Health);
        // What is to be ended is not asked any more.
        Assert.Empty(checks.Follow(Wishing(wish), observed));
    }

    [Fact]
    public async Task What_is_not_seen_is_asked_on_and_what_nobody_wants_is_not()
    {
        var (sight, wish) = await StartAsync(port: 8080);
        await using var checks = Checks(sight);
        var observed = Look(sight, wish);
        Assert.Single(checks.Follow(Wishing(wish), observed));
        Assert.Single(checks.Follow(Wishing(wish), Observed.Nothing with { Blind = "no look" }));
        Assert.Single(checks.Follow(Wishing(wish), Observed.Nothing with { Containers = Observed.Nothing.Containers.Add(wish.Key, new Sighting<ContainerSeen>.Unknown("no look")) }));
        Assert.Empty(checks.Follow(Wishing(wish with { Paused = true }), observed));
        Assert.Single(checks.Follow(Wishing(wish), observed));
        Assert.Empty(checks.Follow(Desired.Nothing, observed));
        Assert.Single(checks.Follow(Wishing(wish), observed));
        Assert.Empty(checks.Follow(Wishing(wish), Observed.Nothing));
    }

    private static CancellationToken Patience => TestContext.Current.CancellationToken;

    private HealthChecks Checks(WorkloadSight sight) => new(sight, new WorkloadEffects(machine.Hosts), _changed, TimeProvider.System, NullLogger.Instance);

    private static Desired Wishing(Wish wish) => Desired.Nothing with { Wishes = Desired.Nothing.Wishes.Add(wish.Key, wish), Settled = [wish.Key.Agreement] };

    private static ContainerSeen Seen(Observed observed) => ((Sighting<ContainerSeen>.Present)observed.Containers.Single().Value).Thing;

    private static Observed Look(WorkloadSight sight, Wish wish)
    {
        var observed = sight.Observe();
        return observed with { Containers = observed.Containers.Clear().Add(wish.Key, observed.Containers[wish.Key]) };
    }

    // Its page is on 8080, and nothing anywhere else.
    private async Task<(WorkloadSight Sight, Wish Wish)> StartAsync(int port)
    {
        var spec = machine.Spec("serve", "8080");
        var container = new Container(
            "web", default, default, spec.Entry, spec.Args, spec.Environment, spec.WorkDir, spec.User, spec.Cpu, spec.Memory, spec.Pids, [], spec.Scratch,
            new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1)), spec.Logs, [], [])
        {
            Health = new Health(null, port, TimeSpan.FromMilliseconds(50), TimeSpan.FromSeconds(5), 3),
        };
        var wish = new Wish(new WorkloadKey(spec.Id.Agreement, spec.Id.Workload), new StatementId(Digest.Of("version"u8)), container, Paused: false);
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec with { Label = spec.Label with { Spec = wish.Spec } }));
        await machine.SaysAsync(spec.Id, "listening");
        return (new WorkloadSight(machine.Hosts), wish);
    }
}
