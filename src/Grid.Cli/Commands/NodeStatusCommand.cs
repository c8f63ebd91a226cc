using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Cli.Drafts;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Units;

namespace Grid.Cli.Commands;

/// <summary>
/// How a node stands. A node takes no calls, so one on this machine is read where it writes it down; of another only what the ledger knows is shown.
/// </summary>
internal static class NodeStatusCommand
{
    private const string DefaultData = "/var/lib/grid/node", FileName = "status.json";
    private const int LongestStatus = 16 << 20;

    public static Command Build(Frame frame)
    {
        var node = new Argument<string?>("NODE") { Description = "Another node, by the ledger: a node1… id, an alias, a farm with one node, or FARM/N", Arity = ArgumentArity.ZeroOrOne };
        node.CompletionSources.Add(context => Completion.Nodes(frame, context.ParseResult));
        var data = new Option<string>("--data") { Description = "The data directory of the node on this machine", DefaultValueFactory = _ => DefaultData, HelpName = "DIR" };
        return frame.Reading("status", "How the node on this machine stands, or the agreements of another", [node, data], (session, cancellation) =>
            session.Value(node) is { } other ? OfLedgerAsync(session, other, cancellation) : OfMachineAsync(session, session.Value(data)!, cancellation));
    }

    private static async Task<Outcome> OfLedgerAsync(Session session, string node, CancellationToken cancellation) =>
        session.Book().Try(out var book, out var refusal) && (await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
        && (await new Catalogue(ledger, book, cancellation).NodeAsync(node).ConfigureAwait(false)).Try(out var known, out refusal)
        && (await ledger.AgreementsAsync(new Client.AgreementQuery(Node: known.Id), cancellation).ConfigureAwait(false)).Try(out var view, out refusal)
            ? AgreementCommands.Table(view, book)
            : refusal;

    private static async Task<Outcome> OfMachineAsync(Session session, string data, CancellationToken cancellation)
    {
        var path = Path.Combine(data, FileName);
        if (!File.Exists(path))
            return new Refusal(CliCode.FileUnreadable, $"No node has written {path}.", "Name the data directory of the node on this machine with --data, or the node with NODE.");
        if (!Files.ReadText(path, LongestStatus).Try(out var text, out var refusal))
            return refusal;
        try
        {
            using var document = JsonDocument.Parse(text);
            var drains = Render.Text(document.RootElement, "broken") ?? await DrainedAsync(session, document.RootElement, cancellation).ConfigureAwait(false);
            return Shown(document.RootElement, drains, session.Shell.Time.GetUtcNow());
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            return new Refusal(CliCode.FileUnreadable, $"{path} is not a node's status.", "The agent of this node may be of another version.");
        }
    }

    // Its farmer says so to the ledger, not to the node. Where none is set, or it is away, the node's own word is all there is.
    private static async Task<string?> DrainedAsync(Session session, JsonElement status, CancellationToken cancellation)
    {
        if (session.Context is not { Ledger: not null, LedgerKey: not null } || !Units.Id.TryParse<NodeId>(status.GetProperty("node").GetString()!, out var id))
            return null;
        try
        {
            return (await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out _)
                && (await ledger.NodeAsync(id, cancellation).ConfigureAwait(false)).Try(out var view, out _) && view.Body.TryGetProperty("node", out var node)
                ? Render.Text(node, "drains") : null;
        }
        catch (Client.LedgerUnreachableException e)
        {
            session.Say($"{e.Message} Whether its farmer drains it is not known.");
            return null;
        }
    }

    private static Outcome Shown(JsonElement status, string? drains, DateTimeOffset now)
    {
        var document = Render.Node(status).AsObject();
        var silence = Time(status, "heard") is { } heard && heard <= now ? now - heard : (TimeSpan?)null;
        document["silentSeconds"] = silence is { } silent ? (long)silent.TotalSeconds : null;
        document["drains"] = drains;
        return Outcome.Of(document,
        [
            new Block.Fields(
            [
                ("node", status.GetProperty("node").GetString()),
                ("ledger", Ledger(status, silence)),
                ("receipts waiting", Render.Text(status, "receiptsWaiting")),
                ("flist cache", Render.Bytes(status.GetProperty("cacheBytes").GetInt64())),
                ("drains", drains is not null ? new Cell(drains, Ink.Bad) : "no"),
                .. Render.Text(status, "blind") is { } blind ? [("blind", new Cell(blind, Ink.Bad))] : (IEnumerable<(string, Cell)>)[],
            ]),
            new Block.Table(NodeView.CapacityColumns, [NodeView.Capacity(status, "held"), NodeView.Capacity(status, "offered")]),
            new Block.Table(["for", "by", "because"],
                [.. Items(status, "mechanisms").Select(m => ImmutableArray.Create<Cell>(Render.Text(m, "name"), Render.Text(m, "active") is { } by ? by : new Cell("nothing", Ink.Notice), Render.Text(m, "why")))]),
            new Block.Table(["workload", "kind", "agreement", "phase", "pid", "starts", "failures", "next try", "why"], [.. Items(status, "workloads").Select(w => Workload(w, now))], "no workloads"),
            .. Items(status, "strangers").ToList() is { Count: > 0 } strangers
                ? [new Block.Table(["stranger", "pid", "in", "agreement", "found", "now"], [.. strangers.Select(s => Stranger(s, now))])]
                : (IEnumerable<Block>)[],
        ]);
    }

    private static ImmutableArray<Cell> Stranger(JsonElement stranger, DateTimeOffset now) =>
    [
        Render.Text(stranger, "path"), Render.Text(stranger, "pid"), Render.Text(stranger, "workload"), Render.Text(stranger, "agreement"), Time(stranger, "found") is { } found ? $"{Ago(now - found)} ago" : null,
        stranger.GetProperty("there").GetBoolean() ? new Cell("runs", Ink.Bad) : "gone",
    ];

    private static Cell Ledger(JsonElement status, TimeSpan? silence) => (silence, Render.Text(status, "ledgerTrouble")) switch
    {
        (null, var trouble) => new Cell($"never heard{(trouble is null ? "" : $": {trouble}")}", Ink.Bad),
        ({ } silent, null) => $"heard {Ago(silent)} ago",
        ({ } silent, var trouble) => new Cell($"silent for {Ago(silent)}: {trouble}", Ink.Bad),
    };

    private static ImmutableArray<Cell> Workload(JsonElement workload, DateTimeOffset now)
    {
        var phase = workload.GetProperty("phase").GetString();
        return
        [
            Render.Text(workload, "name"), Render.Text(workload, "kind"), $"{Render.Text(workload, "agreement")} ({Render.Text(workload, "agreementStatus")})",
            new Cell(phase!, phase is "running" or "attached" or "serving" or "bound" ? Ink.Good : phase is "unknown" or "exited" ? Ink.Bad : Ink.Notice),
            Render.Text(workload, "pid"), Render.Text(workload, "generation"), Render.Text(workload, "failures"),
            Time(workload, "nextTry") is { } next && next > now ? $"in {Ago(next - now)}" : null, Render.Text(workload, "why"),
        ];
    }

    private static IEnumerable<JsonElement> Items(JsonElement status, string name) =>
        status.TryGetProperty(name, out var items) && items.ValueKind == JsonValueKind.Array ? items.EnumerateArray() : [];

    private static DateTimeOffset? Time(JsonElement element, string name) =>
        element.TryGetProperty(name, out var time) && time.ValueKind == JsonValueKind.String && time.TryGetDateTimeOffset(out var at) ? at : null;

    private static string Ago(TimeSpan time) => time switch
    {
        { TotalSeconds: < 120 } => $"{(long)time.TotalSeconds} s",
        { TotalMinutes: < 120 } => $"{(long)time.TotalMinutes} min",
        { TotalHours: < 48 } => $"{(long)time.TotalHours} h",
        _ => $"{(long)time.TotalDays} days",
    };
}
