using Grid.Agreements;
using Grid.Cli.Up;
using Grid.Statements;
using Grid.Stories.Tests.Stage;
using Grid.Units;

namespace Grid.Stories.Tests;

/// <summary>One agreement over two farmers' nodes: all of it or nothing of it.</summary>
[Collection("one at a time")]
public sealed class TwoFarms
{
    [Fact]
    public async Task It_starts_nowhere_until_both_nodes_are_ready_then_runs_on_both_and_ends_without_a_trace()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var (north, south) = (await stage.AddFarmAsync("north"), await stage.AddFarmAsync("south"));
        var (left, right) = (await stage.AddNodeAsync(north, "left"), await stage.AddNodeAsync(south, "right"));
        var flist = await stage.PublishAsync(Trees.Make(stage, "web"));
        var terms = stage.Terms(Trees.Web("web-left", left.Id, flist), Trees.Web("web-right", right.Id, flist));

        // The right node is away: the left one answers, and still nothing runs anywhere.
        await right.StopAgentAsync();
        var proposed = stage.Proposal(terms);
        var id = new AgreementId((await stage.SubmitAsync(proposed)).Statement.Id.Value);
        Assert.Equal("proposed", (await stage.BundleAsync(id)).Agreement.Status);
        await stage.SubmitAsync(proposed.Merge(Statement.Sign(proposed.PayloadBytes.ToArray(), stage.Key("north"))));
        Assert.Equal("proposed", (await stage.BundleAsync(id)).Agreement.Status);
        await stage.SubmitAsync(proposed.Merge(Statement.Sign(proposed.PayloadBytes.ToArray(), stage.Key("south"))));
        await Wait.ForAsync("the left node to answer", async () => (await stage.BundleAsync(id)).Agreement is Agreement.Agreed { ReadyNodes.Count: 1 } a ? a : null, stage.Logs);
        Assert.Empty(left.Running());
        Assert.Empty(left.Traces());

        await right.StartAsync();
        var running = await stage.UntilAsync(id, "running");
        Assert.Equal(["web-left"], left.Running().Keys);
        Assert.Equal(["web-right"], right.Running().Keys);
        Assert.Equal("page of web\n", await NamespacePage.GetAsync(left.Running()["web-left"], Trees.Loopback, default));

        // Both nodes' receipts are in the proof, signed by their keys.
        var receipts = running.History.Where(h => h.Statement.Payload.Body is Receipt).Select(h => h.Statement.Payload.By).Distinct();
        Assert.Equal(new Digest?[] { left.Id.Value, right.Id.Value }.Order(), receipts.Order());

        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("both nodes to be empty", () => left.Traces().Count == 0 && right.Traces().Count == 0, stage.Logs);
        Assert.Equal("ended", (await stage.BundleAsync(id)).Agreement.Status);
    }

    [Fact]
    public async Task A_node_that_refuses_ends_it_everywhere_and_nothing_ran()
    {
        // This ledger does not look at flists; the nodes do.
        await using var stage = await Stage.Stage.SetAsync(examine: false);
        var (north, south) = (await stage.AddFarmAsync("north"), await stage.AddFarmAsync("south"));
        var (left, right) = (await stage.AddNodeAsync(north, "left"), await stage.AddNodeAsync(south, "right"));
        var flist = await stage.PublishAsync(Trees.Make(stage, "web"));
        var bad = Trees.Run("broken", right.Id, flist, "true") with { Entry = "/bin/nothing" };
        var id = await stage.AgreeAsync(stage.Terms(Trees.Web("fine", left.Id, flist), bad), "refused");
        var refused = Assert.IsType<Agreement.Refused>((await stage.BundleAsync(id)).Agreement);
        Assert.Equal((RefusalCode.EntryNotDescribed, right.Id.Value), (refused.Code, refused.By));
        Assert.Empty(left.Traces());
        Assert.Empty(right.Traces());
        Assert.Equal("", left.Log(id, "fine"));
    }
}
