using System.Net;
using Grid.Agreements;
using Grid.Cli.Up;
using Grid.Networks;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>One agreement of several kinds over three nodes of two farms, and everything that may happen to it.</summary>
[Collection("one at a time")]
public sealed class WholeAgreements
{
    private static readonly NetworkAddress Store = new("net", IPAddress.Parse("10.44.0.2")), Application = new("net", IPAddress.Parse("10.44.0.3")), Front = new("net", IPAddress.Parse("10.44.0.4"));

    [Fact]
    public async Task It_changes_as_a_whole_or_not_at_all_outlives_cuts_and_crashes_and_ends_without_a_trace()
    {
        if (!File.Exists("/usr/bin/wireguard-go"))
            Assert.Skip("Networks need wireguard-go, or a kernel with WireGuard; run tools/setup.");
        // This ledger does not look at flists; the nodes do.
        await using var stage = await Stage.Stage.SetAsync(examine: false);
        using var wire = new UnderlayNetwork();
        var (north, south) = (await stage.AddFarmAsync("north"), await stage.AddFarmAsync("south"));
        StageNode one = await stage.AddNodeAsync(north, "one", wire), two = await stage.AddNodeAsync(south, "two", wire), three = await stage.AddNodeAsync(north, "three", wire);
        StageNode[] nodes = [one, two, three];
        var flist = await stage.PublishAsync(Trees.Make(stage, "tiers", Pages));
        var terms = stage.Terms(
            new Network("net", IPNetwork.Parse("10.44.0.0/24"), Egress.None),
            new Volume("data", one.Id, Bytes.MiB(16), Media.Ssd, TimeSpan.Zero),
            // Every start of the store leaves a line on its volume, and serves them.
            Trees.Run("store", one.Id, flist, "sh", "-c", "echo started >> /data/index.html; sync; exec httpd -f -p 8080 -h /data") with { Mounts = [new VolumeMount("/data", "data")], Networks = [Store] },
            Trees.Run("application", two.Id, flist, "httpd", "-f", "-p", "8080", "-h", "/srv") with { Networks = [Application] },
            Trees.Run("front", three.Id, flist, "httpd", "-f", "-p", "8080", "-h", "/srv") with { Networks = [Front] });
        var id = await stage.AgreeAsync(terms, "running");
        var before = Pids(nodes);
        Assert.Equal(["application", "front", "store"], before.Keys.Order());
        await PageAsync("front", three, Application, "page of tiers\n", stage);

        // One node refuses an amendment: nothing changes anywhere.
        var bad = await AmendAsync(stage, id, t => t with { Workloads = [.. t.Workloads.Select(w => w is Container { Name: "front" } c ? c with { Entry = "/bin/nothing" } : w is Container { Name: "application" } a ? a with { Args = [.. a.Args, "-v"] } : w)] });
        await Wait.ForAsync("the refusal", async () => (await stage.BundleAsync(id)).History.Select(h => h.Statement.Payload.Body).OfType<WorkloadRefused>().FirstOrDefault(), stage.Logs);
        Assert.Equal((1, null), await stage.BundleAsync(id) is { Agreement: var a } ? (a.Version.Terms.Version, a.Next) : default);
        Assert.Equal(before, Pids(nodes));
        Assert.Equal(2, bad.Version);

        // A node is cut off from the ledger: what runs goes on, an amendment waits for its word, and is lapsed by nobody meanwhile.
        wire.Cut(two.Space);
        await AmendAsync(stage, id, t => t with { Workloads = [.. t.Workloads.Select(w => w is Container { Name: "application" } c ? c with { Args = ["httpd", "-f", "-p", "8080", "-h", "/srv/second"] } : w)] });
        await Wait.ForAsync("the others to be ready", async () => (await stage.BundleAsync(id)).Agreement.Next is Amendment.Agreed { ReadyNodes.Count: 2 } ready ? ready : null, stage.Logs);
        Assert.Equal(before, Pids(nodes));
        await PageAsync("front", three, Application, "page of tiers\n", stage);
        wire.Heal(two.Space);
        await Wait.ForAsync("the new application", () => two.Running().TryGetValue("application", out var pid) && pid != before["application"], stage.Logs);
        await PageAsync("front", three, Application, "second page\n", stage);
        var after = Pids(nodes);
        Assert.Equal((before["store"], before["front"]), (after["store"], after["front"]));

        // A node loses its power, and comes back with its disk: everything of it is there again, on the same data.
        await one.CrashAsync();
        Assert.All(one.EveryTrace(), t => Assert.StartsWith("file ", t, StringComparison.Ordinal));
        await one.StartAsync();
        await PageAsync("front", three, Store, "started\nstarted\n", stage);
        await stage.UntilAsync(id, "running");
        Assert.Equal((after["application"], after["front"]), (two.Running()["application"], three.Running()["front"]));

        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("every trace to be gone", () => nodes.All(n => n.EveryTrace().Count == 0), () => string.Join('\n', nodes.SelectMany(n => n.EveryTrace())) + stage.Logs());
    }

    [Fact]
    public async Task What_is_to_be_paused_while_the_ledger_is_away_is_paused_and_goes_on_as_the_same_process()
    {
        await using var stage = await Stage.Stage.SetAsync();
        using var wire = new UnderlayNetwork();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one", wire);
        var flist = await stage.PublishAsync(Trees.Make(stage, "web"));
        var kept = await stage.AgreeAsync(stage.Terms(Trees.Web("kept", node.Id, flist)), "running");
        var terms = stage.Terms(Trees.Web("paused", node.Id, flist));
        var paused = await stage.AgreeAsync(terms with { Term = terms.Term with { Offline = new Offline(Offline.Shortest, Pause: true) } }, "running");
        var before = node.Running();

        wire.Cut(node.Space);
        await Wait.ForAsync("it to be paused", () => Phase(node, "paused") == "paused", stage.Logs);
        // A new agent knows how long the silence has been, and begins with it.
        await node.KillAgentAsync();
        await node.StartAsync();
        Assert.Equal("running", Phase(node, "kept"));
        Assert.Equal(["kept"], node.Running().Keys);

        wire.Heal(node.Space);
        await Wait.ForAsync("it to go on", () => Phase(node, "paused") == "running", stage.Logs);
        Assert.Equal(before.OrderBy(p => p.Key), node.Running().OrderBy(p => p.Key));
        Assert.Equal(("running", "running"), ((await stage.BundleAsync(kept)).Agreement.Status, (await stage.BundleAsync(paused)).Agreement.Status));
    }

    private static void Pages(string root)
    {
        Directory.CreateDirectory(Path.Combine(root, "data"));
        Directory.CreateDirectory(Path.Combine(root, "srv/second"));
        File.WriteAllText(Path.Combine(root, "srv/second/index.html"), "second page\n");
    }

    private static string? Phase(StageNode node, string workload) =>
        node.Status().GetProperty("workloads").EnumerateArray().First(w => w.GetProperty("name").GetString() == workload).GetProperty("phase").GetString();

    private static SortedDictionary<string, int> Pids(IEnumerable<StageNode> nodes) => new(nodes.SelectMany(n => n.Running()).ToDictionary(), StringComparer.Ordinal);

    private static async Task<AgreementTerms> AmendAsync(Stage.Stage stage, AgreementId id, Func<AgreementTerms, AgreementTerms> change)
    {
        var version = (await stage.BundleAsync(id)).Agreement.Version;
        var terms = stage.Priced(change(version.Terms with { Version = version.Terms.Version + 1, Amends = new Amends(id, version.Id), Term = Stage.Stage.Term() }));
        await stage.SubmitAsync(stage.Proposal(terms, [.. stage.Farms]));
        return terms;
    }

    private static async Task PageAsync(string from, StageNode node, NetworkAddress to, string page, Stage.Stage stage) =>
        await Wait.ForAsync($"'{page.Trim()}' from {to.Address}", async () => node.Running().TryGetValue(from, out var pid)
            && await NamespacePage.TryGetAsync(pid, new IPEndPoint(to.Address, 8080), default) == page ? page : null, stage.Logs);
}
