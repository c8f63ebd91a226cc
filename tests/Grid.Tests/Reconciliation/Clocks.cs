using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Reconciliation;
using Grid.Tests.World;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests.Reconciliation;

/// <summary>A node's clock may be wrong by years. What that does can be put right again: nothing is destroyed by it.</summary>
public sealed class Clocks : IDisposable
{
    private static readonly TimeSpan Hour = TimeSpan.FromHours(1);

    private readonly TestGrid _grid = new();
    private readonly TestNode _node;

    public Clocks() => _node = _grid.Farms[0].Nodes[0];

    public void Dispose() => _grid.Dispose();

    [Fact]
    public void A_clock_that_jumped_past_the_end_stops_what_runs_and_destroys_nothing()
    {
        var agreement = InForce();
        var late = _grid.Now.AddYears(10);
        Assert.Contains(new WorkloadKey(agreement.Id, "data"), Desire(agreement, _grid.Now, _grid.Now).Wishes.Keys);
        Assert.Empty(Desire(agreement, late, _grid.Now).Wishes);
        // Not even when the ledger's clock says the same: its log does not say that it is over.
        Assert.Empty(Plan(agreement, late, late, detachedAt: _grid.Now));
        Assert.Equal([new Step.MakeVolume(Desire(agreement, _grid.Now, _grid.Now).Wishes.Values.Single())], Plan(agreement, _grid.Now, _grid.Now, detachedAt: late));
    }

    [Fact]
    public void What_is_kept_is_kept_until_both_clocks_have_counted_it()
    {
        var ended = Cancelled(InForce());
        var end = _grid.Now;
        Step[] destroyed = [new Step.DestroyVolume(new WorkloadKey(ended.Id, "data"))];
        Assert.Empty(Plan(ended, end + Hour * 2, certain: null, end));
        Assert.Empty(Plan(ended, end + Hour * 2, end, end));
        Assert.Empty(Plan(ended, end + Hour * 2, end + Hour / 2, end));
        Assert.Equal(destroyed, Plan(ended, end + Hour, end + Hour, end));
        // It was let go when the clock said 1970, or said 2036: the end that the ledger recorded counts, and the later of both.
        Assert.Empty(Plan(ended, end + Hour / 2, end + Hour / 2, DateTimeOffset.UnixEpoch));
        Assert.Empty(Plan(ended, end + Hour, end + Hour, end.AddYears(10)));
    }

    [Fact]
    public void The_ledgers_word_that_it_knows_nothing_destroys_nothing()
    {
        var ended = Cancelled(InForce());
        var desired = Desired.Of(_node.Id, [], [ended.Id], TimeSpan.Zero, _grid.Now.AddYears(1), _grid.Now.AddYears(1));
        Assert.Empty(Reconciler.Plan(desired, Seen(ended.Id, _grid.Now, attached: false), _grid.Now.AddYears(1)));
        // It is let go, which can be undone.
        Assert.Equal([new Step.DetachVolume(new WorkloadKey(ended.Id, "data"))], Reconciler.Plan(desired, Seen(ended.Id, null, attached: true), _grid.Now.AddYears(1)));
    }

    [Fact]
    public void What_an_amendment_dropped_is_over_and_what_it_may_bring_is_not()
    {
        var agreement = InForce();
        var next = _grid.Amend(agreement, t => t with { Workloads = [TestGrid.Container("web", _node.Id)] });
        _grid.Accept(_grid.SignedByUser(next, "alpha"));
        var late = _grid.Now + Hour * 2;
        Assert.DoesNotContain(Plan(_grid.State.Agreements[agreement.Id], late, late, _grid.Now), s => s is Step.DestroyVolume);
        _grid.Accept(_grid.Ready(_node, _grid.State.Agreements[agreement.Id]));
        Assert.Contains(Plan(_grid.State.Agreements[agreement.Id], late, late, _grid.Now), s => s is Step.DestroyVolume);
    }

    [Fact]
    public void What_an_amendment_dropped_is_kept_from_then_on_however_late_the_node_thought_it_was()
    {
        var agreement = Amended(InForce(), "web");
        var dropped = _grid.Now;
        // Let go while the node's clock said 1970. It is set right a little later, and again in the end.
        Assert.Empty(Destroyed(agreement, dropped, detachedAt: DateTimeOffset.UnixEpoch));
        Assert.Empty(Destroyed(agreement, dropped + Hour - TimeSpan.FromSeconds(1), detachedAt: DateTimeOffset.UnixEpoch));
        Assert.Single(Destroyed(agreement, dropped + Hour, detachedAt: DateTimeOffset.UnixEpoch));
        // When the node let it go later than that, it is kept from then.
        Assert.Empty(Destroyed(agreement, dropped + Hour, detachedAt: dropped + Hour / 2));
        Assert.Single(Destroyed(agreement, dropped + Hour * 1.5, detachedAt: dropped + Hour / 2));

        // What comes after changes nothing of that; only the end makes it later.
        _grid.Now += Hour / 2;
        agreement = Amended(agreement, "web-2");
        Assert.Single(Destroyed(agreement, dropped + Hour, detachedAt: DateTimeOffset.UnixEpoch));
        // One of its name that comes and goes again is another.
        agreement = Amended(agreement, "web-2", new Volume("data", _node.Id, Bytes.GiB(1), Media.Ssd, Hour));
        _grid.Now += Hour;
        agreement = Amended(agreement, "web-2");
        Assert.Empty(Destroyed(agreement, _grid.Now + Hour / 2, detachedAt: DateTimeOffset.UnixEpoch));
        Assert.Single(Destroyed(agreement, _grid.Now + Hour, detachedAt: DateTimeOffset.UnixEpoch));
        var end = _grid.Now += Hour / 2;
        var ended = Cancelled(agreement);
        Assert.Empty(Destroyed(ended, end + Hour / 2, detachedAt: DateTimeOffset.UnixEpoch));
        Assert.Single(Destroyed(ended, end + Hour, detachedAt: DateTimeOffset.UnixEpoch));
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(60, false)]
    [InlineData(61, true)]
    public void Silence_pauses_what_is_to_be_paused_whatever_the_time_is(int seconds, bool paused)
    {
        var agreement = InForce(t => t with { Offline = new Offline(TimeSpan.FromSeconds(60), Pause: true) });
        foreach (var now in new[] { _grid.Now, _grid.Now.AddHours(1), _grid.Now.AddHours(-1) })
            Assert.Equal(paused, Desired.Of(_node.Id, [agreement], [], TimeSpan.FromSeconds(seconds), now, null).Wishes.Values.Single().Paused);
    }

    private Agreement InForce(Func<Term, Term>? term = null)
    {
        var terms = _grid.Terms(_node.Id);
        terms = terms with { Term = (term ?? (t => t))(terms.Term with { End = _grid.Now.AddDays(30) }), Workloads = [new Volume("data", _node.Id, Bytes.GiB(1), Media.Ssd, Hour)] };
        return _grid.Run(_grid.Priced(terms));
    }

    private Agreement Amended(Agreement agreement, string web, params Volume[] volumes)
    {
        var next = _grid.Amend(agreement, t => t with { Workloads = [.. volumes, TestGrid.Container(web, _node.Id)] });
        _grid.Accept(_grid.SignedByUser(next, "alpha"));
        _grid.Accept(_grid.Ready(_node, _grid.State.Agreements[agreement.Id]));
        // As a node knows it: by a proof.
        Assert.Null(_grid.Bundle(agreement.Id, receipts: false).Verify(TestGrid.Origin, _grid.Key("ledger").Public, out var verified));
        return verified!.Agreement;
    }

    private IEnumerable<Step> Destroyed(Agreement agreement, DateTimeOffset now, DateTimeOffset detachedAt) => Plan(agreement, now, now, detachedAt).Where(s => s is Step.DestroyVolume);

    private Agreement Cancelled(Agreement agreement)
    {
        _grid.Accept(_grid.Sign(_grid.User.Value, new CancelAgreement(agreement.Id), "user-a", "user-b"));
        return Assert.IsType<Agreement.Ended>(_grid.State.Agreements[agreement.Id]);
    }

    private Desired Desire(Agreement agreement, DateTimeOffset now, DateTimeOffset? certain) => Desired.Of(_node.Id, [agreement], [], TimeSpan.Zero, now, certain);

    private ImmutableArray<Step> Plan(Agreement agreement, DateTimeOffset now, DateTimeOffset? certain, DateTimeOffset detachedAt) =>
        Reconciler.Plan(Desire(agreement, now, certain), Seen(agreement.Id, detachedAt, attached: false), now);

    private static Observed Seen(AgreementId agreement, DateTimeOffset? detachedAt, bool attached) => Observed.Nothing with
    {
        Volumes = Observed.Nothing.Volumes.Add(new WorkloadKey(agreement, "data"), new Sighting<VolumeSeen>.Present(new VolumeSeen(Bytes.GiB(1), attached, detachedAt, Hour))),
    };
}
