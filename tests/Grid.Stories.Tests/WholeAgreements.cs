using Grid.Agreements;
using Grid.Gateways;
using Grid.Node.Tests.Gateways;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>An application of three tiers as one agreement over three nodes of two farms, and everything that may happen to it.</summary>
[Collection("one at a time")]
public sealed class WholeAgreements
{
    // What a node has of an agreement, by the first word of each trace; all of it is looked for at the end.
    private static readonly string[] Kinds = ["certificate", "cgroup", "container", "file", "gateway", "interface", "loop", "mount", "mounted", "namespace", "place", "process", "route", "rule", "tunnel"];

    [Fact]
    public async Task Three_tiers_change_as_a_whole_or_not_at_all_outlive_cuts_and_crashes_and_end_without_a_trace()
    {
        UnderlayNetwork.NeedsTunnels();
        if (!File.Exists("/usr/bin/mmdebstrap"))
            Assert.Skip("Three tiers need mmdebstrap; run tools/setup.");
        await using var stage = await Stage.Stage.SetAsync();
        using var wire = new UnderlayNetwork();
        var world = new OutsideWorld(wire.Add());
        Pebble? pebble = null;
        try
        {
            var (north, south) = (await stage.AddFarmAsync("north"), await stage.AddFarmAsync("south"));
            StageNode one = await stage.AddNodeAsync(north, "one", wire), two = await stage.AddNodeAsync(south, "two", wire), three = await stage.AddNodeAsync(north, "three", wire, async address =>
            {
                pebble = await world.CertifyAsync(stage.At("pebble"), address);
                return OutsideWorld.Doors(pebble, address, Tiers.Domain);
            });
            world.Root = await pebble!.RootAsync();
            await PlayAsync(stage, wire, world, await Tiers.MakeAsync(stage), one, two, three);
        }
        finally
        {
            pebble?.Dispose();
        }
    }

    private static async Task PlayAsync(Stage.Stage stage, UnderlayNetwork wire, OutsideWorld world, Tiers tiers, StageNode one, StageNode two, StageNode three)
    {
        StageNode[] nodes = [one, two, three];
        var id = await stage.AgreeAsync(await tiers.TermsAsync(one, two, three), "running");
        Assert.Equal(1, await tiers.VisitAsync(world, version: 1));
        // Sockets are wireguard-go's alone.
        Assert.Equal(Kinds, nodes.SelectMany(Left).Select(t => t.Split(' ')[0]).Distinct().Where(k => k != "socket").Order());

        // The application's files are replaced: its container is another, and nothing else is.
        var (before, kept) = (Pids(nodes), Picture([one, three]));
        Assert.Equal([Tiers.Application, Tiers.Database], before.Keys);
        await stage.AmendAsync(id, Replaced(await tiers.ApplicationAsync(2)));
        var visits = await tiers.VisitAsync(world, version: 2);
        Assert.True(visits > 1, $"{visits} visits are left of what was two or more.");
        await Wait.ForAsync("the new one to be healthy", () => Phase(two, Tiers.Application) == "running", stage.Logs);
        Assert.Equal(kept, Picture([one, three]));
        Assert.NotEqual(before[Tiers.Application], two.Running()[Tiers.Application]);

        // One node refuses an amendment, for nobody wrote that the name is this user's: nothing changes anywhere.
        kept = Picture(nodes);
        var third = await tiers.ApplicationAsync(3);
        await stage.AmendAsync(id, Replaced(third, Tiers.Leading("own", three, "own.example.org", DomainProof.Dns, 5)));
        var refusal = await Wait.ForAsync("the refusal", async () => (await stage.BundleAsync(id)).History.Select(h => h.Statement.Payload).FirstOrDefault(p => p.Body is WorkloadRefused), stage.Logs);
        Assert.Equal((three.Id.Value, RefusalCode.DomainNotProven), (refusal.By, ((WorkloadRefused)refusal.Body).Code));
        Assert.Equal((2, null), await stage.BundleAsync(id) is { Agreement: var a } ? (a.Version.Terms.Version, a.Next) : default);
        Assert.Equal(++visits, await tiers.VisitAsync(world, version: 2));
        await Wait.ForAsync("every node to be as it was", () => kept.SetEquals(Picture(nodes)), () => $"before: {string.Join('\n', kept.Except(Picture(nodes)))}\nnow: {string.Join('\n', Picture(nodes).Except(kept))}\n{stage.Logs()}");

        // Two nodes are cut off from the ledger: what runs goes on, an amendment waits for their word, and is lapsed by nobody meanwhile.
        wire.Cut(one.Space);
        wire.Cut(two.Space);
        await stage.AmendAsync(id, Replaced(third));
        await Wait.ForAsync("the other to be ready", async () => (await stage.BundleAsync(id)).Agreement.Next is Amendment.Agreed { ReadyNodes.Count: 1 } ready ? ready : null, stage.Logs);
        Assert.Equal(++visits, await tiers.VisitAsync(world, version: 2));
        Assert.Equal(kept, Picture(nodes));
        wire.Heal(one.Space);
        wire.Heal(two.Space);
        var healed = await tiers.VisitAsync(world, version: 3);
        Assert.True(healed > visits, $"{healed} visits are left of more than {visits}.");
        Assert.Equal(before[Tiers.Database], one.Running()[Tiers.Database]);

        // The database's node loses its power, and comes back with its disk: everything of it is there again, on the same rows.
        var (application, front) = (two.Running()[Tiers.Application], Picture([three]));
        await one.CrashAsync();
        Assert.All(Left(one), t => Assert.StartsWith("file ", t, StringComparison.Ordinal));
        Assert.Null(await Tiers.TryAsync(world));
        await one.StartAsync();
        Assert.Equal(healed + 1, await tiers.VisitAsync(world, version: 3));
        await stage.UntilAsync(id, "running");
        Assert.Equal(application, two.Running()[Tiers.Application]);
        Assert.Equal(front, Picture([three]));

        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("every trace to be gone", () => nodes.All(n => Left(n).Count == 0), () => string.Join('\n', nodes.SelectMany(Left)) + stage.Logs());
        Assert.Null(await Tiers.TryAsync(world));
    }

    private static Func<AgreementTerms, AgreementTerms> Replaced(FlistId application, params Workload[] more) => terms => terms with
    {
        Workloads = [.. terms.Workloads.Select(w => w is Container { Name: Tiers.Application } c ? c with { Flist = application } : w).Concat(more).OrderBy(w => w.Name, StringComparer.Ordinal)],
    };

    /// <summary>All that a node has besides itself.</summary>
    private static IReadOnlyList<string> Left(StageNode node) => [.. node.EveryTrace(), .. node.Mentioning().Select(p => $"process {p}")];

    /// <summary>What lasts of it: not the tools that an agent starts to look, nor where it only enters to.</summary>
    private static SortedSet<string> Picture(IEnumerable<StageNode> nodes) =>
        new(nodes.SelectMany(n => n.EveryTrace().Where(t => !t.StartsWith("namespace ", StringComparison.Ordinal)).Concat(n.Running().Select(r => $"runs {r.Key} {r.Value}")).Select(t => $"{n.Name}: {t}")), StringComparer.Ordinal);

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
        // When the ledger is there again it is told why.
        var why = $"paused: the ledger was silent for longer than the {Offline.Shortest.TotalSeconds:0} s of the term's 'offline'";
        async Task<List<WorkloadReport>> SaidAsync(AgreementId id) => [.. (await stage.BundleAsync(id)).History.Select(h => h.Statement.Payload.Body).OfType<Receipt>().Select(r => r.Workloads.Single())];
        var reports = await Wait.ForAsync("the receipts to be there", async () => await SaidAsync(paused) is var all && all.FindIndex(r => r.State is WorkloadState.Stopped) is >= 0 and var at && all[^1].State is WorkloadState.Running && at < all.Count - 1 ? all : null, stage.Logs);
        Assert.All(reports, r => Assert.Equal(r.State is WorkloadState.Stopped, r.Reason == why));
        Assert.Contains($"workload stopped: start 1, {why}", (await stage.ExplainAsync(paused, "paused")).Steps);
        Assert.All(await SaidAsync(kept), r => Assert.NotEqual(WorkloadState.Stopped, r.State));
        Assert.Equal(("running", "running"), ((await stage.BundleAsync(kept)).Agreement.Status, (await stage.BundleAsync(paused)).Agreement.Status));
    }

    private static string? Phase(StageNode node, string workload) =>
        node.Status().GetProperty("workloads").EnumerateArray().First(w => w.GetProperty("name").GetString() == workload).GetProperty("phase").GetString();

    private static SortedDictionary<string, int> Pids(IEnumerable<StageNode> nodes) => new(nodes.SelectMany(n => n.Running()).ToDictionary(), StringComparer.Ordinal);
}
