using System.Collections.Immutable;
using Grid.Node.Agent;
using Grid.Node.Containers;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Agent;

/// <summary>What was refused is not tried again until another version is in force; everything else is.</summary>
public sealed class FailuresTests
{
    private static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly Refusal Shrink = new(RefusalCode.VolumeShrink, "It cannot shrink.");

    private readonly Failures _failures = new(new Fixed());

    [Fact]
    public void A_refusal_waits_for_an_amendment()
    {
        var (wish, amended) = (Wish("v1"), Wish("v2"));
        Count(wish, new Outcome.Refused(Shrink));
        Assert.Equal($"{Shrink} It waits for an amendment.", _failures.All[wish.Key].Why);
        Assert.Empty(Plan(wish, Epoch.AddYears(1)));
        // Nothing is due, now or later, and it is not forgotten while that version is wished.
        Assert.Equal(DateTimeOffset.MaxValue, _failures.Next(Desiring(wish), Epoch));
        Assert.Equal(DateTimeOffset.MaxValue, _failures.Next(Desiring(wish), Epoch.AddYears(1)));
        Assert.Empty(Plan(wish, Epoch.AddYears(1)));
        Assert.Equal([new Step.MakeVolume(amended)], Plan(amended, Epoch.AddMinutes(1)));
        // Another agent tries it once.
        Assert.Equal([new Step.MakeVolume(wish)], Reconciler.Plan(Desiring(wish), Observed.Nothing, Epoch));
    }

    [Fact]
    public void What_may_pass_is_tried_again()
    {
        var wish = Wish("v1");
        foreach (var outcome in new Outcome[] { new Outcome.Transient("no answer"), new Outcome.Broken("its disk errs"), new Outcome.Refused(Shrink, MayPass: true) })
        {
            Count(wish, outcome);
            Assert.Empty(Plan(wish, Epoch));
            Assert.InRange(_failures.Next(Desiring(wish), Epoch), Epoch.AddSeconds(1), Epoch.AddMinutes(1));
            Assert.Equal([new Step.MakeVolume(wish)], Plan(wish, Epoch.AddMinutes(1)));
        }
        Assert.Equal(3, _failures.All[wish.Key].Failures);
        _failures.Next(Desiring(wish), Epoch.AddYears(1));
        Assert.Empty(_failures.All);
    }

    private void Count(Wish wish, Outcome outcome) => _failures.Count(wish.Key, Failures.Why(outcome)!, Failures.RefusedIn(new Step.MakeVolume(wish), outcome));

    private ImmutableArray<Step> Plan(Wish wish, DateTimeOffset now) => Reconciler.Plan(Desiring(wish), Observed.Nothing with { Attempts = _failures.All }, now);

    private static Desired Desiring(Wish wish) => new(ImmutableSortedDictionary<WorkloadKey, Wish>.Empty.Add(wish.Key, wish), [wish.Key.Agreement]);

    private static Wish Wish(string version) => new(
        new WorkloadKey(new AgreementId(Digest.Of("agreement"u8)), "data"), new StatementId(Digest.Of(System.Text.Encoding.UTF8.GetBytes(version))),
        new Volume("data", new NodeId(Digest.Of("here"u8)), Bytes.GiB(1), Media.Ssd, TimeSpan.Zero), Paused: false);

    private sealed class Fixed : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => Epoch;
    }
}
