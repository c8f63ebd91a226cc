using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Log;
using Grid.Statements;
using Grid.Tests.World;
using Grid.Units;

namespace Grid.Tests;

/// <summary>A small ledger as bytes, for readers in other languages: <c>tests/vectors/log</c>.</summary>
public sealed class LogVectorTests
{
    private static readonly JsonSerializerOptions Indented = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = true };

    [Fact]
    public void Writing_the_log_again_changes_nothing()
    {
        var log = Make();
        if (Vectors.Write)
            Vectors.Save("log/log.json", log.ToJsonString(Indented) + "\n");
        Assert.True(JsonNode.DeepEquals(log, Vectors.Node("log/log.json")));
    }

    [Fact]
    public void The_written_bundle_verifies_with_the_ledgers_key_alone()
    {
        if (Vectors.Write)
            Vectors.Save("log/bundle.json", MakeBundle().ToJsonString(Indented) + "\n");
        var file = Vectors.Node("log/bundle.json");
        Assert.True(NoteKey.TryParse(file.Text("vkey"), out var key));
        Assert.True(BundleJson.TryParse(JsonSerializer.SerializeToUtf8Bytes(file["bundle"]), out var bundle, out var refusal), refusal?.ToString());
        Assert.Null(bundle.Verify(key.Name, key.Key, out var verified));
        Assert.Equal(file.Text("status"), verified!.Agreement.Status);
    }

    private static JsonObject Make()
    {
        var key = GoodStatements.Key("ledger");
        var entries = GoodStatements.All().Select((g, i) => Entry.Record(i, GoodStatements.Issued.AddSeconds(i / 3), g.Encode())).ToArray();
        var tree = LogTree.Empty.Append([.. entries.Select(e => e.LeafHash)]);
        var sizes = Enumerable.Range(1, entries.Length).ToArray();
        return new JsonObject
        {
            ["vkey"] = new NoteKey(GoodStatements.Origin, key.Public).ToString(),
            ["entries"] = new JsonArray([.. entries.Select(e => Hex(e.Bytes.Span))]),
            ["checkpoints"] = new JsonArray([.. Enumerable.Range(0, entries.Length + 1).Select(n => (JsonNode)new Checkpoint(GoodStatements.Origin, n, tree.RootAt(n)).Sign(key).ToString())]),
            ["inclusion"] = new JsonArray([.. sizes.Where(n => n % 5 == 1).SelectMany(n => Enumerable.Range(0, n).Select(i => new JsonObject { ["index"] = i, ["size"] = n, ["path"] = Hashes(tree.InclusionPath(i, n)) }))]),
            ["consistency"] = new JsonArray([.. sizes.Where(n => n % 5 == 1).SelectMany(n => Enumerable.Range(1, n).Select(i => new JsonObject { ["from"] = i, ["to"] = n, ["path"] = Hashes(tree.ConsistencyPath(i, n)) }))]),
            ["tiles"] = new JsonObject(TilePath.Between(0, tree.Size).Select(t => KeyValuePair.Create(t.ToString(), Hex(tree.Tile(t.Level!.Value, t.Index, t.Width))))),
            ["bundles"] = new JsonObject { [new TilePath(null, 0, entries.Length).ToString()] = Hex(EntryBundle.Encode([.. entries.Select(e => e.Bytes)])) },
        };
    }

    private static JsonObject MakeBundle()
    {
        using var grid = new TestGrid();
        var agreement = grid.Run(grid.Terms(grid.Farms[0].Nodes[0].Id, grid.Farms[1].Nodes[0].Id));
        return new JsonObject
        {
            ["vkey"] = new NoteKey(TestGrid.Origin, grid.Key("ledger").Public).ToString(),
            ["status"] = agreement.Status,
            ["bundle"] = JsonNode.Parse(BundleJson.Format(grid.Bundle(agreement.Id))),
        };
    }

    private static JsonNode? Hex(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(bytes);

    private static JsonArray Hashes(IEnumerable<Digest> path) => [.. path.Select(h => (JsonNode)h.ToString())];
}
