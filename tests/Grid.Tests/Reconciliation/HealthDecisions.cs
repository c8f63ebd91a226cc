using Grid.Reconciliation;
using Grid.Statements;
using Grid.Tests.World;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests.Reconciliation;

/// <summary>What a node makes of a container's answers.</summary>
public sealed class HealthDecisions : IDisposable
{
    private static readonly Health Asked = new("/", 8080, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(2), 3);
    private static readonly HealthAnswer Good = new HealthAnswer.Healthy(), Bad = new HealthAnswer.Unhealthy("connection refused on 8080"), Silence = new HealthAnswer.Unknown("no socket");
    private static readonly HealthSeen New = new(false, 0, null);

    private readonly TestGrid _grid = new();
    private readonly WorkloadKey _key = new(new AgreementId(Digest.Of("agreement"u8)), "web");

    public void Dispose() => _grid.Dispose();

    [Fact]
    public void What_was_never_healthy_fails_after_its_grace_and_so_many_answers()
    {
        var seen = Enumerable.Range(0, 6).Aggregate((Seen: New, Counts: new List<int>()), (s, i) =>
        {
            var next = s.Seen.Then(Bad, Asked, TimeSpan.FromSeconds(i * 10));
            return (next, [.. s.Counts, next.Failures]);
        });
        Assert.Equal([0, 0, 0, 1, 2, 3], seen.Counts);
        Assert.True(seen.Seen.IsUnhealthy(Asked));
        Assert.Equal("unhealthy: connection refused on 8080, 3 times", $"{seen.Seen}");
    }

    [Fact]
    public void What_was_healthy_once_fails_after_so_many_answers_in_a_row_and_silence_of_the_node_is_none() => Assert.Equal(
        [0, 1, 2, 2, 0, 1, 2, 3, 3],
        Counts(Good, Bad, Bad, Silence, Good, Bad, Bad, Bad, Bad));

    [Fact]
    public void It_serves_from_its_first_healthy_answer_on_and_what_is_not_asked_at_once()
    {
        var web = Web(Asked);
        Assert.False(HealthPlan.Serves(web, Running(), null));
        Assert.False(HealthPlan.Serves(web, Running(), New));
        Assert.True(HealthPlan.Serves(web, Running(), New.Then(Good, Asked, TimeSpan.Zero)));
        Assert.True(HealthPlan.Serves(Web(null), Running(), null));
        // An agent that begins anew has not asked yet, and finds what the one before it wrote down.
        Assert.True(HealthPlan.Serves(web, Running() with { Health = new HealthMark(null) }, null));
        Assert.False(HealthPlan.Serves(web, Running() with { Health = new HealthMark("unhealthy") }, New.Then(Good, Asked, TimeSpan.Zero)));
    }

    [Fact]
    public void It_is_ended_when_it_has_failed_and_its_files_answer()
    {
        var (few, enough) = (new HealthSeen(true, 2, "503"), new HealthSeen(true, 3, "503"));
        Assert.Null(Plan(Running(), null));
        Assert.Null(Plan(Running(), few));
        Assert.Equal(new Step.Stop(_key, "unhealthy: 503, 3 times"), Plan(Running(), enough));
        // The node's own doing is not held against it.
        Assert.Null(Plan(Running(), enough, flist: new Sighting<FlistSeen>.Unknown("slow")));
        Assert.Equal(new Step.Pause(_key), Plan(Running(), enough, paused: true));
    }

    [Fact]
    public void An_end_that_has_begun_is_finished_by_whoever_finds_it() =>
        Assert.Equal(new Step.Stop(_key, "unhealthy: 503, 3 times"), Plan(Running() with { Health = new HealthMark("unhealthy: 503, 3 times") }, null));

    [Theory]
    [InlineData(RestartWhen.Always, true)]
    [InlineData(RestartWhen.OnFailure, true)]
    [InlineData(RestartWhen.Never, false)]
    public void What_was_ended_for_its_health_has_failed_whatever_its_exit_code(RestartWhen when, bool again)
    {
        const string Why = "unhealthy: 503, 3 times";
        var ended = Running() with { Phase = ContainerPhase.Exited, ExitCode = 0, Health = new HealthMark(Why) };
        var wish = Wish(when);
        Assert.Equal(again ? new Step.Start(wish, 4, Why) : null, Plan(ended, null, when));
        Assert.Equal(again ? Why : $"{Why}; it is never restarted", HealthPlan.Why(wish.Workload, ended, null));
        // By itself it ends well with 0.
        Assert.Equal(when is RestartWhen.Always ? new Step.Start(wish, 4) : null, Plan(ended with { Health = new HealthMark(null) }, null, when));
    }

    private static IEnumerable<int> Counts(params HealthAnswer[] answers)
    {
        var seen = New;
        foreach (var answer in answers)
            yield return (seen = seen.Then(answer, Asked, TimeSpan.Zero)).Failures;
    }

    private Container Web(Health? health, RestartWhen when = RestartWhen.Always)
    {
        var container = TestGrid.Container("web", _grid.Farms[0].Nodes[0].Id);
        return container with { Health = health, Restart = container.Restart with { When = when } };
    }

    private Wish Wish(RestartWhen when = RestartWhen.Always, bool paused = false) => new(_key, new StatementId(Digest.Of("version"u8)), Web(Asked, when), paused);

    private ContainerSeen Running(RestartWhen when = RestartWhen.Always) => new(Wish(when).Spec, Web(null).Flist, 3, ContainerPhase.Running);

    private Step? Plan(ContainerSeen seen, HealthSeen? health, RestartWhen when = RestartWhen.Always, bool paused = false, Sighting<FlistSeen>? flist = null)
    {
        var wish = Wish(when, paused);
        var observed = Observed.Nothing with
        {
            Containers = Observed.Nothing.Containers.Add(_key, new Sighting<ContainerSeen>.Present(seen with { Spec = wish.Spec })),
            Flists = Observed.Nothing.Flists.Add(seen.Flist, flist ?? new Sighting<FlistSeen>.Present(new FlistSeen(true))),
            Health = health is null ? Observed.Nothing.Health : Observed.Nothing.Health.Add(_key, health),
        };
        return Reconciler.Plan(Desired.Nothing with { Wishes = Desired.Nothing.Wishes.Add(_key, wish), Settled = [_key.Agreement] }, observed, TestGrid.Epoch).SingleOrDefault();
    }
}
