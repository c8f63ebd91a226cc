using System.Text.Json;
using System.Text.RegularExpressions;
using Grid.Agreements;
using Grid.Stories.Tests.Stage;

namespace Grid.Stories.Tests;

/// <summary>Whoever operates a grid finds everything that was done for an agreement by its id, and nothing of what is inside it.</summary>
[Collection("one at a time")]
public sealed partial class Traces
{
    private static readonly string[] Numbers =
    [
        "grid.node.step.duration s", "grid.node.workloads {workload}", "grid.node.workload.attempts {attempt}", "grid.node.ledger.silence s", "grid.node.receipts.waiting {receipt}",
        "grid.node.flist.cache.size By",
    ];

    [Fact]
    public async Task One_id_is_on_everything_from_the_users_command_to_the_nodes_receipt()
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists("/usr/bin/mmdebstrap"))
            Assert.Skip("grid up needs root and mmdebstrap; run tools/setup.");
        await using var collector = await OtlpReceiver.StartAsync();
        using var up = Heard.Grid(collector.Environment, "up");
        await up.SaysAsync("grid status --watch");
        var exports = up.Exports();
        var id = Agreement().Match(await GridAsync(exports, "status", "hello")).Value;
        // Numbers are of what is there when they are read, so it stays until they were: also what fails, of which there is none before somebody kills it.
        Posix.Kill(Pid(exports["GRID_NODE_LOGS"]));
        List<string> Missing() => [.. Numbers.Select(n => $"grid-node {n}").Except(collector.Metrics.Select(m => $"{m.Key} {m.Value}"))];
        await Wait.ForAsync("the node's numbers", () => Missing().Count == 0, () => $"Never heard: {string.Join(", ", Missing())}\n{up.Text}");
        await GridAsync(exports, "cancel", "hello", "--yes");
        await Wait.ForAsync("the end of what it did", () => collector.Spans.Any(s => s.Name == "step unmount-flist"), () => up.Text);
        up.Interrupt();
        Assert.True(await up.EndAsync() == 0, up.Text);
        Leftovers.None($"grid-up-{up.Id}");
        var about = collector.Spans.Where(s => s.Tags[TraceTag.Agreement].Contains(id)).ToList();

        // The node: what it pulled, verified and answered, each thing it did, and what it signed.
        var node = about.Where(s => s.Service == "grid-node").Select(s => s.Name).Distinct().Order(StringComparer.Ordinal);
        Assert.Superset(
            new HashSet<string>(["pull agreement", "verify agreement", "answer agreement", "step mount-flist", "step start", "step stop", "step unmount-flist", "step remove", "sign receipt", "submit statement"]),
            node.ToHashSet());
        Assert.All(collector.Spans.Where(s => s.Name.StartsWith("step ", StringComparison.Ordinal)), s => Assert.Contains(id, s.Tags[TraceTag.Agreement]));
        Assert.Contains(about, s => s is { Service: "grid-node", Name: "submit statement" } && s.Tags[TraceTag.StatementKind].Contains("receipt"));

        // Of each kind of step there are examples among the measurements: the agreement, and the span with all the rest. Its id makes no series of its own.
        var steps = collector.Histograms.Where(h => h.Name == "grid.node.step.duration").ToList();
        Assert.All(steps, s => Assert.Equal([TraceTag.Outcome, TraceTag.Step], s.Tags.Select(t => t.Key).Order(StringComparer.Ordinal)));
        var examples = steps.SelectMany(s => s.Examples, (s, e) => (Step: s.Tags[TraceTag.Step].Single(), e.Span, Agreements: e.Tags[TraceTag.Agreement])).Where(e => e.Agreements.Contains(id)).ToList();
        Assert.Superset(new HashSet<string>(["mount-flist", "start", "stop"]), examples.Select(e => e.Step).ToHashSet());
        Assert.All(examples, e => Assert.Contains(about, s => s.Id == e.Span && s.Name == $"step {e.Step}"));

        // One trace from the command that was typed to the disk of the ledger, handed on by the header of the request.
        var spans = collector.Spans.ToLookup(s => s.Id);
        var commit = about.First(s => s is { Service: "grid-ledger", Name: "commit" } && s.Tags[TraceTag.StatementKind].Contains(AgreementTerms.Name));
        var way = new List<string>();
        for (var at = commit; at is not null; at = spans[at.Parent].FirstOrDefault())
            way.Add($"{at.Service} {at.Source} {at.Name}");
        Assert.Equal("grid-ledger grid.ledger commit", way[0]);
        Assert.Equal("grid-ledger grid.ledger submit", way[1]);
        Assert.StartsWith("grid-ledger Microsoft.AspNetCore ", way[2], StringComparison.Ordinal);
        Assert.StartsWith("grid-cli System.Net.Http ", way[3], StringComparison.Ordinal);
        Assert.Equal("grid-cli grid.client submit statement", way[4]);
        Assert.Equal("grid-cli grid.cli grid apply", way[5]);
        Assert.Contains(about, s => s is { Service: "grid-ledger", Name: "decide" } && s.Parent == commit.Parent);

        // What the agreement says is in the agreement; the collector is told ids.
        Assert.False(collector.Heard("/etc/grid-example/nginx.conf"));
        Assert.False(collector.Heard("/usr/sbin/nginx"));
    }
    private static int Pid(string logs)
    {
        using var status = JsonDocument.Parse(File.ReadAllText(Path.Combine(Path.GetDirectoryName(logs)!, "status.json")));
        return status.RootElement.GetProperty("workloads").EnumerateArray().Single().GetProperty("pid").GetInt32();
    }

    private static async Task<string> GridAsync(IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        using var grid = Heard.Grid(environment, arguments);
        Assert.True(await grid.EndAsync() == 0, grid.Text);
        return grid.Text;
    }

    [GeneratedRegex("agr1[a-z0-9]+")]
    private static partial Regex Agreement();
}
