using Grid.Reconciliation;
using Grid.Tests.World;
using Grid.Units;

namespace Grid.Tests.Reconciliation;

public sealed class StepTests : IDisposable
{
    private readonly TestGrid _grid = new();

    public void Dispose() => _grid.Dispose();

    [Fact]
    public void A_step_is_called_by_its_act_and_what_it_is_done_to()
    {
        var key = new WorkloadKey(new AgreementId(Digest.Of("agreement"u8)), "web");
        var wish = new Wish(key, new StatementId(Digest.Of("version"u8)), TestGrid.Container("web", _grid.Farms[0].Nodes[0].Id), Paused: false);
        var flist = new FlistId(Digest.Of("flist"u8));
        Assert.Equal(
            [$"Start {key.Agreement}/web", $"Stop {key.Agreement}/web", $"MountFlist {flist}"],
            new Step[] { new Step.Start(wish, 3), new Step.Stop(key), new Step.MountFlist(flist) }.Select(s => s.ToString()));
    }
}
