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

    private static readonly Gen<int[]> Orders = Gen.Shuffle(Enumerable.Range(0, 2 * Said));

    private readonly TestGrid _grid = new();
    private readonly Agreement _first;
    private readonly Statement[] _said;

    public TwoAmendments()
    {
        var nodes = new[] { _grid.Farms[0].Nodes[0], _grid.Farms[1].Nodes[0] };
        _first = _grid.Run(_grid.Terms([.. nodes.Select(n => n.Id)]));
        _said = [.. new[] { "one", "other" }.SelectMany(note => Say(_grid.Amend(_first, t => t with { Note = note }), nodes))];
        Assert.Equal(2 * Said, _said.Length);
    }

    public void Dispose() => _grid.Dispose();

    [Fact]
    public void Any_interleaving_has_one_winner_or_none() => Law.Holds(Orders, order => Run(order).Count <= 1);

    [Fact]
    public void When_everybody_tries_again_there_is_a_winner() => Law.Holds(Orders, order => Run([.. order, .. order]).Count == 1);

    /// <returns>what came into force after the first version, in its order</returns>
    private List<StatementId> Run(int[] order)
    {
        var (state, index) = (_grid.State, _grid.Entries.Count);
        var winners = new List<StatementId>();
        foreach (var said in order.Select(i => _said[i]))
        {
            var before = state.Agreements[_first.Id];
            var decision = state.Decide(said, _grid.Now);
            if (decision is Decision.Accepted accepted)
                state = state.Evolve(index++, _grid.Now, said.Id, accepted.Events);
            var after = state.Agreements[_first.Id];
            var open = before.Next?.Version ?? before.Version;
            if (said.Payload.Body is AgreementTerms && said.Id != open.Id && open.Id != _first.Version.Id)
            {
                var refusal = Assert.IsType<Decision.Refused>(decision).Refusal;
                Assert.Equal(RefusalCode.Conflict, refusal.Code);
                Assert.Contains(open.Id.ToString(), refusal.Detail, StringComparison.Ordinal);
            }
            if (after.Version.Id == before.Version.Id)
                continue;
            // The chain is one line: each version in force amends the one that was.
            Assert.Equal((open.Id, before.Version.Id, before.Version.Terms.Version + 1), (after.Version.Id, after.Version.Terms.Amends!.Digest, after.Version.Terms.Version));
            winners.Add(after.Version.Id);
        }
        return winners;
    }

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
