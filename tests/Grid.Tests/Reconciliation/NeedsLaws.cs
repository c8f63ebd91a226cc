using System.Collections.Immutable;
using Grid.Reconciliation;

namespace Grid.Tests.Reconciliation;

/// <summary>What the plan says it needs is what it waits for: made before what needs it, and taken away after.</summary>
public sealed class NeedsLaws
{
    [Fact]
    public void The_needs_are_no_ring()
    {
        var left = Needs.All.ToList();
        while (left.Count > 0)
            Assert.NotEqual(0, left.RemoveAll(n => left.All(o => o.Of != n.On)));
    }

    [Fact]
    public void What_is_needed_is_made_before_what_needs_it_and_taken_away_after()
    {
        var node = new SimulatedNode(0);
        var wished = SimulatedNode.Wishing(("a", 1), ("aip", 1), ("d", 1), ("v", -1), ("x", -1));
        var up = node.Until(wished);
        var agreement = wished.Settled.Single();
        // Over, and long enough ago for all that was kept.
        var down = node.Until(Desired.Nothing with { Settled = wished.Settled, Claims = Desired.Nothing.Claims.Add(agreement, new Claim([], DateTimeOffset.UnixEpoch)) });
        Assert.Equal(Enum.GetValues<Thing>().Order(), up.Select(s => Made(s.Step)).OfType<Thing>().Distinct().Order());
        foreach (var need in Needs.All)
        {
            Assert.True(Last(up, s => Made(s) == need.On) < First(up, s => Made(s) == need.Of), $"{need}: {string.Join(", ", up)}");
            if (need.Waits)
                Assert.True(Last(down, s => Ended(s) == need.Of) < First(down, s => Ended(s) == need.On), $"{need}: {string.Join(", ", down)}");
        }
    }

    private static int First(ImmutableArray<(int Round, Step Step)> steps, Func<Step, bool> which) => steps.Where(s => which(s.Step)).Min(s => s.Round);

    private static int Last(ImmutableArray<(int Round, Step Step)> steps, Func<Step, bool> which) => steps.Where(s => which(s.Step)).Max(s => s.Round);

    private static Thing? Made(Step step) => step switch
    {
        Step.MountFlist => Thing.Flist,
        Step.MakeVolume => Thing.Volume,
        Step.Start => Thing.Runnable,
        Step.BindAddress => Thing.Address,
        _ => null,
    };

    private static Thing? Ended(Step step) => step switch
    {
        Step.UnmountFlist => Thing.Flist,
        Step.DetachVolume or Step.DestroyVolume => Thing.Volume,
        Step.Stop => Thing.Runnable,
        Step.ReleaseAddress => Thing.Address,
        _ => null,
    };
}
