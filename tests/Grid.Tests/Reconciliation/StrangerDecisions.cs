using System.Collections.Immutable;
using Grid.Reconciliation;
using Grid.Units;

namespace Grid.Tests.Reconciliation;

/// <summary>What is of no agreement is ended, and nothing for it that is.</summary>
public sealed class StrangerDecisions
{
    private static readonly WorkloadKey Web = new(new AgreementId(Digest.Of("agreement"u8)), "web");
    private static readonly StrangerSeen Apart = new(Web, 7, 100, "/tmp/x", IsApart: true), First = new(Web, 8, 100, "/tmp/x", IsApart: false);

    // A container that is being made holds the runtime's own processes.
    [Theory]
    [InlineData(ContainerPhase.Partial, false)]
    [InlineData(ContainerPhase.Created, false)]
    [InlineData(ContainerPhase.Starting, false)]
    [InlineData(ContainerPhase.Running, true)]
    [InlineData(ContainerPhase.Paused, true)]
    [InlineData(ContainerPhase.Exited, false)]
    public void One_that_can_be_ended_alone_is_ended_in_what_runs(ContainerPhase phase, bool ends) =>
        Assert.Equal(ends, Plan(Seeing(new Sighting<ContainerSeen>.Present(new ContainerSeen(default, default, 1, phase)))).SequenceEqual([new Step.EndStranger(Apart)]));

    [Fact]
    public void What_is_left_of_an_agreement_nobody_knows_is_left_alone() =>
        Assert.Empty(Plan(Seeing(new Sighting<ContainerSeen>.Present(new ContainerSeen(default, default, 1, ContainerPhase.Running))) with { Strangers = [First] }));

    [Fact]
    public void What_was_not_seen_causes_nothing()
    {
        Assert.Empty(Plan(Seeing(new Sighting<ContainerSeen>.Unknown("it is being made"))));
        Assert.Empty(Plan(Observed.Nothing with { Strangers = [Apart] }));
        Assert.Empty(Plan(Seeing(new Sighting<ContainerSeen>.Present(new ContainerSeen(default, default, 1, ContainerPhase.Running))) with { Blind = "no look" }));
    }

    [Fact]
    public void It_is_called_by_what_it_is_and_where() => Assert.Equal($"EndStranger {Web}: process 7, /tmp/x", new Step.EndStranger(Apart).ToString());

    private static Observed Seeing(Sighting<ContainerSeen> web) => Observed.Nothing with { Containers = Observed.Nothing.Containers.Add(Web, web), Strangers = [First, Apart] };

    // Nobody has asked the ledger yet whether there is such an agreement: what it holds is left alone, and the stranger is not of it.
    private static IEnumerable<Step> Plan(Observed observed) =>
        Reconciler.Plan(new Desired(ImmutableSortedDictionary<WorkloadKey, Wish>.Empty, []), observed, DateTimeOffset.UnixEpoch);
}
