using Grid.Agreements;
using Grid.Stories.Tests.Stage;
using Grid.Tests.World;
using Grid.Units;

namespace Grid.Stories.Tests;

/// <summary>A ledger that lies with its own key has a log without a fault: a node still acts on nothing that user and farmer did not sign.</summary>
[Collection("one at a time")]
public sealed class ForgingLedgers
{
    [Fact]
    public async Task What_its_key_signs_over_is_refused_by_the_node_and_nothing_starts_by_it()
    {
        await using var stage = await Stage.Stage.SetAsync(examine: false);
        await using var ledger = await ForgingLedger.StartAsync(stage);
        var farm = await stage.AddFarmAsync("north");
        var node = await stage.AddNodeAsync(farm, "one", ledger: ledger.Address);
        var flist = await stage.PublishAsync(Trees.Make(stage, "web"));
        await stage.AgreeAsync(stage.Terms(Trees.Web("steady", node.Id, flist)), "running");
        var pid = node.Running()["steady"];
        var random = new Random(9);
        foreach (var forgery in Forgery.All)
        {
            var statement = stage.Proposal(stage.Terms(Trees.Web("wanted", node.Id, flist)), farm);
            var id = new AgreementId(statement.Id.Value);
            ledger.Forge(statement, forgery.Make(statement, stage.Key("user").Public, stage.Key("north").Public, random));
            var index = (await stage.SubmitAsync(statement)).Index;

            // Said at once in its log; its status is written anew when something changes.
            await Wait.ForAsync($"the node to say what is wrong with {forgery.Name}", () => File.ReadLines(node.AgentLog).Any(l => l.Contains($"{id} is not believed: {forgery.Code}: ", StringComparison.Ordinal)
                && l.Contains($"ntry {index}", StringComparison.Ordinal)), () => node.Status() + stage.Logs());
            await NothingAsync(id);
            ledger.Hide(id);
        }

        // Without the farmer's word nothing is forged, only left out: it is believed, as the proposal that it is.
        var lone = stage.Proposal(stage.Terms(Trees.Web("wanted", node.Id, flist)), farm);
        var proposed = new AgreementId(lone.Id.Value);
        ledger.Forge(lone, Forgery.WithoutFarm(lone, stage.Key("north").Public));
        await stage.SubmitAsync(lone);
        await Wait.ForAsync("the node to see it", () => File.ReadLines(node.AgentLog).Any(l => l.Contains($"Agreement {proposed} is proposed", StringComparison.Ordinal)), () => node.Status() + stage.Logs());

        // In the same log, all that was forged included, what both did sign is proven and runs; by then it would have answered the proposal too.
        var other = await stage.AgreeAsync(stage.Terms(Trees.Web("other", node.Id, flist)), "running");
        await NothingAsync(proposed, "other");
        Assert.True(node.HasLog(other, "other"));
        Assert.Equal(pid, node.Running()["steady"]);

        // Both signed what the ledger was sent; the node was shown something else and has not answered.
        async Task NothingAsync(AgreementId id, params string[] besides)
        {
            Assert.Empty(Assert.IsType<Agreement.Agreed>((await stage.BundleAsync(id)).Agreement).ReadyNodes);
            Assert.Equal([.. besides, "steady"], node.Running().Keys.Order());
            Assert.Equal(pid, node.Running()["steady"]);
            Assert.False(node.HasLog(id, "wanted"));
            Assert.DoesNotContain(node.EveryTrace(), t => t.Contains($"{id}", StringComparison.Ordinal));
        }
    }
}
