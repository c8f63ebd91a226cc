using System.Collections.Immutable;
using Grid.Reconciliation;
using Grid.Statements;
using Grid.Tests.World;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests.Reconciliation;

/// <summary>Between the word to begin and the first instruction there is nothing to do, however long it lasts.</summary>
public sealed class Starting : IDisposable
{
    private static readonly DateTimeOffset Now = TestGrid.Epoch;

    private readonly TestGrid _grid = new();
    private readonly Wish _wish;

    public Starting() => _wish = new Wish(
        new WorkloadKey(new AgreementId(Digest.Of("agreement"u8)), "web"), new StatementId(Digest.Of("version"u8)), TestGrid.Container("web", _grid.Farms[0].Nodes[0].Id), Paused: false);

    private FlistId Flist => ((Container)_wish.Workload).Flist;

    public void Dispose() => _grid.Dispose();

    [Fact]
    public void What_was_let_go_is_not_started_again_and_what_was_not_is() => Assert.Equal(
        [null, new Step.Start(_wish, 3)], new[] { ContainerPhase.Starting, ContainerPhase.Created }.Select(p => Plan(p, wished: true, serving: true)));

    [Fact]
    public void It_is_ended_as_what_runs_is() => Assert.Equal(
        [new Step.Stop(_wish.Key), new Step.Stop(_wish.Key)], [Plan(ContainerPhase.Starting, wished: false, serving: true), Plan(ContainerPhase.Starting, wished: true, serving: false)]);

    /// <summary>Each by itself: the flist is served, and what else runs from it is left alone.</summary>
    [Fact]
    public void What_runs_from_a_root_behind_which_nobody_answers_is_ended_and_started_anew() => Assert.Equal(
        [new Step.Stop(_wish.Key), new Step.Stop(_wish.Key), new Step.Start(_wish, 4)],
        new[] { ContainerPhase.Starting, ContainerPhase.Running, ContainerPhase.Exited }.Select(p => Plan(p, wished: true, serving: true, rootless: true)));

    private Step? Plan(ContainerPhase phase, bool wished, bool serving, bool rootless = false)
    {
        var desired = new Desired(ImmutableSortedDictionary<WorkloadKey, Wish>.Empty, [_wish.Key.Agreement]);
        var observed = Observed.Nothing with
        {
            Containers = Observed.Nothing.Containers.Add(_wish.Key, new Sighting<ContainerSeen>.Present(new ContainerSeen(_wish.Spec, Flist, 3, phase, Rootless: rootless))),
            Flists = Observed.Nothing.Flists.Add(Flist, new Sighting<FlistSeen>.Present(new FlistSeen(serving))),
        };
        return Reconciler.Plan(wished ? desired with { Wishes = desired.Wishes.Add(_wish.Key, _wish) } : desired, observed, Now).SingleOrDefault();
    }
}
