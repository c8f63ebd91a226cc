using Grid.Agreements;
using Grid.Cli.Up;
using Grid.Node.Containers;
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
        // What is agreed to after it runs, so it had the time: of this one there is nothing.
        var alone = await stage.AgreeAsync(stage.Terms(Trees.Web("alone", left.Id, flist)), "running");
        Assert.Equal(["alone"], left.Running().Keys);
        Assert.False(left.HasLog(id, "web-left"));
        Assert.DoesNotContain(left.EveryTrace(), t => t.Contains($"{id}", StringComparison.Ordinal));

        await right.StartAsync();
        var running = await stage.UntilAsync(id, "running");
        Assert.Equal(["alone", "web-left"], left.Running().Keys.Order());
        Assert.Equal(["web-right"], right.Running().Keys);
        // The clock that counts from the machine's start is exact to a second.
        var both = running.History.Where(h => h.Statement.Payload.Body is WorkloadReady).Select(h => h.Time).Order().ToList();
        Assert.Equal(2, both.Count);
        Assert.All(left.Processes().Concat(right.Processes()).Where(p => p.Key.Agreement == id).Select(p => p.Value), p =>
            Assert.True(Processes.Started(p) > both[^1] - TimeSpan.FromSeconds(1), $"It ran at {Processes.Started(p)}, before the second was ready at {both[^1]}."));
        Assert.Equal("page of web\n", await NamespacePage.GetAsync(left.Running()["web-left"], Trees.Loopback, default));

        // No user of the machine reads a tenant's files where they are mounted, or sees whose there are.
        string Mode(string directory) => Convert.ToString((int)File.GetUnixFileMode(Path.Combine(left.Run, directory)), 8);
        Assert.Equal(("700", "711"), (Mode("flists"), Mode("roots")));
        var root = Path.Combine(left.Run, "roots", $"{id}.web-left");
        Assert.Equal("page of web\n", File.ReadAllText(Path.Combine(root, "root/srv/index.html")));
        Assert.True(Outsider.Sees(root));
        Assert.False(Outsider.Sees(Path.Combine(root, "root/srv/index.html")));

        // Both nodes' receipts are in the proof, signed by their keys.
        var receipts = running.History.Where(h => h.Statement.Payload.Body is Receipt).Select(h => h.Statement.Payload.By).Distinct();
        Assert.Equal(new Digest?[] { left.Id.Value, right.Id.Value }.Order(), receipts.Order());

        foreach (var one in new[] { id, alone })
            await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(one), "user"));
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
        var fine = Trees.Run("fine", left.Id, flist, "sh", "-c", "echo started; exec sleep 100000");
        var id = await stage.AgreeAsync(stage.Terms(fine, bad), "refused");
        var refused = Assert.IsType<Agreement.Refused>((await stage.BundleAsync(id)).Agreement);
        Assert.Equal((RefusalCode.EntryNotDescribed, right.Id.Value), (refused.Code, refused.By));
        // Also who asks of the one that would have run is told for what it did not.
        foreach (var workload in new[] { "fine", "broken" })
        {
            var (reason, steps) = await stage.ExplainAsync(id, workload);
            Assert.Contains(RefusalCode.EntryNotDescribed, reason, StringComparison.Ordinal);
            Assert.Contains($"agreement.refused: {refused.Code}: {refused.Detail}", steps);
        }

        // What both nodes agree to next is all that ever ran on either.
        await stage.AgreeAsync(stage.Terms(fine with { Name = "next-left" }, fine with { Name = "next-right", Node = right.Id }), "running");
        Assert.Equal(["next-left"], left.Running().Keys);
        Assert.Equal(["next-right"], right.Running().Keys);
        Assert.All(left.Traces().Concat(right.Traces()), t => Assert.DoesNotContain(id.ToString(), t, StringComparison.Ordinal));
        Assert.Equal((false, false), (left.HasLog(id, "fine"), right.HasLog(id, "broken")));
    }
}
