using Grid.Agreements;
using Grid.Log;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Tests.World;

/// <summary>A ledger may record an entry at the last second there is. Whoever decides it again comes to a decision.</summary>
public sealed class LastSecond : IDisposable
{
    private static readonly DateTimeOffset Last = DateTimeOffset.FromUnixTimeSeconds(253_402_300_799);

    private readonly TestGrid _grid = new();

    public void Dispose() => _grid.Dispose();

    [Fact]
    public void What_counts_from_it_is_decided()
    {
        var (farm, node) = (_grid.Farms[0], _grid.Farms[0].Nodes[0]);
        var running = _grid.Run(_grid.Terms(node.Id));
        var report = new Receipt(running.Id, running.Version.Id, Last, Last, [.. running.Version.Terms.On(node.Id).Select(w => new WorkloadReport(w.Name, WorkloadState.Running, null, 1, 0, Consumption.None, null, false, null))]);
        Assert.IsType<Decision.Accepted>(Decide(node.Id.Value, report, node.Name));
        Assert.IsType<Decision.Accepted>(Decide(farm.Account.Value, new CancelAgreement(running.Id, Last), farm.Name));
    }

    private Decision Decide(Digest by, Body body, string key) =>
        _grid.State.Decide(Statement.Sign(new Payload(TestGrid.Origin, by, TestGrid.Epoch, Last, body), _grid.Key(key)), Last);
}
