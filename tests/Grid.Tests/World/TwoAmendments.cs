using FsCheck;
using FsCheck.Fluent;
using Grid.Agreements;
using Grid.Networks;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Tests.World;

/// <summary>Two amendments of one version, each with all that its parties say of it, in any order: one wins, and whoever speaks for the other is told which.</summary>
public sealed class TwoAmendments : IDisposable
{
    // For each amendment: the user alone, each farm with the user, each node.
    private const int Said = 5;

    // What may end it: each node's no to each amendment, the user's withdrawal of each, the end of the agreement; and last the passing of time.
    private const int Ends = 8, Time = (2 * Said) + Ends - 1;

    private static readonly Gen<int[]> Orders = Gen.Shuffle(Enumerable.Range(0, 2 * Said));

    private static readonly Gen<int[]> Interrupted =
        from ends in Gen.SubListOf(Enumerable.Range(2 * Said, Ends))
        from order in Gen.Shuffle(Enumerable.Range(0, 2 * Said).Concat(Enumerable.Range(0, 2 * Said)).Concat(ends))
        select order;

    private readonly TestGrid _grid = new();
    private readonly Agreement _first;
    private readonly Statement[] _said;

    public TwoAmendments()
    {
        var nodes = new[] { _grid.Farms[0].Nodes[0], _grid.Farms[1].Nodes[0] };
        _first = _grid.Run(_grid.Terms([.. nodes.Select(n => n.Id)]));
        var said = new[] { "one", "other" }.Select(note => Say(_grid.Amend(_first, t => t with { Note = note }), nodes).ToList()).ToList();
        _said =
        [
            .. said.SelectMany(s => s),
            .. from amendment in said.Select(s => s[0].Id)
               from node in nodes
               select _grid.Sign(node.Id.Value, new WorkloadRefused(_first.Id, amendment, RefusalCode.Capacity, "no room"), node.Name),
            .. said.Select(s => ByUser(new CancelAgreement(_first.Id, null, s[0].Id))),
            ByUser(new CancelAgreement(_first.Id)),
        ];
        Assert.Equal(Time, _said.Length);
    }

    public void Dispose() => _grid.Dispose();

    [Fact]
    public void Any_interleaving_has_one_winner_or_none() => Law.Holds(Orders, order => Run(order).Winners.Count <= 1);

    [Fact]
    public void When_everybody_tries_again_there_is_a_winner() => Law.Holds(Orders, order => Run([.. order, .. order]).Winners.Count == 1);

    [Fact]
    public void With_refusals_withdrawals_an_end_and_passing_time_between_there_is_one_winner_unless_they_ended_it()
    {
        var seen = new Dictionary<(int Winners, bool Ended), int>();
        Law.Holds(Interrupted, order =>
        {
            // In the end everybody says all of it once more.
            var outcome = Run([.. order, .. Enumerable.Range(0, 2 * Said)]);
            var ended = outcome.After.IsClosed || outcome.Late || outcome.Dropped.Count == 2;
            seen[(outcome.Winners.Count, ended)] = seen.GetValueOrDefault((outcome.Winners.Count, ended)) + 1;
            // What won is not undone by what ended the other, and nothing that was ended wins.
            return outcome.Winners.Count <= 1 && !outcome.Winners.Intersect(outcome.Dropped).Any()
                && (outcome.Winners is not [var winner] || outcome.After.Version.Id == winner) && (ended || outcome.Winners.Count == 1);
        }, count: 1000);
        Assert.All([(1, false), (1, true), (0, true)], kind => Assert.True(seen.GetValueOrDefault(kind) > 20, $"{kind}: {seen.GetValueOrDefault(kind)}"));
    }

    /// <param name="Winners">what came into force after the first version, in its order</param>
    /// <param name="Dropped">the amendments that were refused, withdrawn or not answered in time</param>
    /// <param name="Late">the time to answer has passed</param>
    private sealed record Outcome(List<StatementId> Winners, HashSet<StatementId> Dropped, bool Late, Agreement After);

    private Outcome Run(int[] order)
    {
        var (state, index, now) = (_grid.State, _grid.Entries.Count, _grid.Now);
        var (winners, dropped) = (new List<StatementId>(), new HashSet<StatementId>());
        foreach (var which in order)
        {
            if (which != Time)
                Hear(_said[which]);
            else if (now == _grid.Now)
                now += TimeSpan.FromMinutes(6);
            // As the ledger does: what has become due is said before anything else is heard.
            foreach (var due in state.Due(now).ToList())
                Hear(_grid.Deadline(due));
        }
        return new Outcome(winners, dropped, now > _grid.Now, state.Agreements[_first.Id]);

        void Hear(Statement said)
        {
            var before = state.Agreements[_first.Id];
            var decision = state.Decide(said, now);
            if (decision is Decision.Accepted accepted)
            {
                state = state.Evolve(index++, now, said.Id, accepted.Events);
                dropped.UnionWith(accepted.Events.OfType<AgreementEvent.AmendmentDropped>().Select(e => e.Version));
            }
            var after = state.Agreements[_first.Id];
            var open = before.Next?.Version ?? before.Version;
            if (said.Payload.Body is AgreementTerms && said.Id != open.Id && open.Id != _first.Version.Id && before.IsInForce && !dropped.Contains(said.Id))
            {
                var refusal = Assert.IsType<Decision.Refused>(decision).Refusal;
                Assert.Equal(RefusalCode.Conflict, refusal.Code);
                Assert.Contains(open.Id.ToString(), refusal.Detail, StringComparison.Ordinal);
            }
            if (after.Version.Id == before.Version.Id)
                return;
            // The chain is one line: each version in force amends the one that was.
            Assert.Equal((open.Id, before.Version.Id, before.Version.Terms.Version + 1), (after.Version.Id, after.Version.Terms.Amends!.Digest, after.Version.Terms.Version));
            winners.Add(after.Version.Id);
        }
    }

    private Statement ByUser(CancelAgreement cancel) => _grid.Sign(_grid.User.Value, cancel, _grid.KeysOf(_grid.User));

    private IEnumerable<Statement> Say(AgreementTerms terms, TestNode[] nodes)
    {
        var proposed = _grid.SignedByUser(terms);
        return
        [
            proposed,
            .. _grid.Farms.Select(f => proposed.Merge(Statement.Sign(proposed.PayloadBytes.ToArray(), _grid.Key(f.Name)))),
            .. nodes.Select(n => _grid.Sign(n.Id.Value, new WorkloadReady(_first.Id, proposed.Id, TunnelEnds.None), n.Name)),
        ];
    }
}
