using System.Collections.Immutable;
using System.Text.Json;
using Grid.Cli.Output;
using Grid.Client;

namespace Grid.Cli.Commands;

/// <summary>A node as the ledger shows it.</summary>
internal static class NodeView
{
    /// <summary>Whether it can be agreed on now, and else why not.</summary>
    public static Cell State(JsonElement node) => (Render.Text(node, "retired"), Render.Text(node, "drains")) switch
    {
        ("true", _) => new Cell("retired", Ink.Bad),
        (_, { } why) => new Cell($"drains: {why}", Ink.Notice),
        _ => node.TryGetProperty("offered", out _) ? new Cell("open", Ink.Good) : new Cell("has not reported", Ink.Notice),
    };

    public static Outcome Of(LedgerView view)
    {
        var node = view.Body.TryGetProperty("node", out var found) ? found : view.Body;
        var hardware = node.TryGetProperty("hardware", out var h) ? string.Join(", ", h.EnumerateObject().Select(p => p.Value.ToString())) : null;
        return Outcome.Of(Render.Node(view.Body),
            new Block.Fields(
            [
                ("node", Render.Text(node, "id")), ("farm", Render.Text(node, "farm")), ("state", State(node)), ("kinds", Texts(node, "kinds")), ("names under", Render.Text(node, "domain")),
                ("hardware", hardware), ("key", Render.Text(node, "key")), ("invite", Render.Text(node, "invite")), ("as of entry", Render.Text(view.Body, "index")),
            ]),
            new Block.Table(CapacityColumns, [Capacity(node, "held"), Capacity(node, "offered")]));
    }

    public static ImmutableArray<string> CapacityColumns => ["", "cpu", "memory", "ssd", "hdd", "ipv4"];

    /// <summary>A row of <see cref="CapacityColumns"/>: cores, bytes in their units, addresses.</summary>
    public static ImmutableArray<Cell> Capacity(JsonElement holder, string name) => !holder.TryGetProperty(name, out var all) || all.ValueKind != JsonValueKind.Object
        ? [name]
        :
        [
            name, Render.Cores(all.GetProperty("cpu").GetInt64()), .. ((ReadOnlySpan<string>)["memory", "ssd", "hdd"]).ToArray().Select(n => (Cell)Render.Bytes(all.GetProperty(n).GetInt64())),
            Render.Text(all, "publicIPv4") ?? Render.Text(all, "ipv4"),
        ];

    private static string? Texts(JsonElement element, string name) =>
        element.TryGetProperty(name, out var items) && items.ValueKind == JsonValueKind.Array ? string.Join(", ", items.EnumerateArray().Select(i => i.ToString())) : null;
}
