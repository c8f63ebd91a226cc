using System.Collections.Concurrent;
using System.Text;
using System.Text.Json.Nodes;
using Grid.Hub.Tests;
using Grid.Log;
using Grid.Statements;
using Grid.Units;

namespace Grid.Stories.Tests.Stage;

/// <summary>
/// A ledger that lies with its own key: what was forged stands in its log in the place of what it was sent, and every checkpoint and every proof that
/// it shows is of that log. In all else it answers as the honest one behind it, whose rules would have let none of it pass.
/// </summary>
public sealed class ForgingLedger : IAsyncDisposable
{
    private readonly Stage _stage;
    private readonly LyingServer _server;
    private readonly SigningKey _key;
    private readonly ConcurrentDictionary<StatementId, byte[]> _forged = [];
    private readonly ConcurrentDictionary<string, bool> _hidden = [];
    private readonly Lock _one = new();
    private readonly List<Entry> _entries = [];
    private LogTree _tree = LogTree.Empty;

    private ForgingLedger(Stage stage, LyingServer server)
    {
        (_stage, _server) = (stage, server);
        _key = SigningKey.FromSeed(Convert.FromHexString(File.ReadAllText(stage.At("ledger.key")).Trim()));
        server.Lie = Answer;
    }

    public Uri Address => new(_server.Address);

    public static async Task<ForgingLedger> StartAsync(Stage stage) => new(stage, await LyingServer.StartAsync(stage.LedgerAddress.AbsoluteUri));

    /// <summary>What it records when it is sent this.</summary>
    public void Forge(Statement sent, byte[] recorded) => _forged[sent.Id] = recorded;

    /// <summary>Says no more that there is news of this.</summary>
    public void Hide(AgreementId agreement) => _hidden[agreement.ToString()] = true;

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _key.Dispose();
    }

    private void Answer(Answer answer)
    {
        if (answer.Status != 200 || !answer.Path.StartsWith("/v1/", StringComparison.Ordinal) || JsonNode.Parse(answer.Body) is not JsonObject document)
            return;
        lock (_one)
        {
            (document["items"] as JsonArray)?.RemoveAll(i => _hidden.ContainsKey((string?)i!["id"] ?? ""));
            if (answer.Path.StartsWith("/v1/consistency", StringComparison.Ordinal))
                document["path"] = Path(Grown((long)document["to"]!).ConsistencyPath((long)document["from"]!, (long)document["to"]!));
            else if (Checkpoint.TryVerify((string?)document["checkpoint"], Stage.Origin, _stage.LedgerKey, out var honest))
                Prove(document, honest.Size);
        }
        answer.Body = Encoding.UTF8.GetBytes(document.ToJsonString());
    }

    private void Prove(JsonObject document, long size)
    {
        document["checkpoint"] = new Checkpoint(Stage.Origin, size, Grown(size).RootAt(size)).Sign(_key).ToString();
        // A bundle has many entries; the answer to one statement is one itself.
        foreach (var shown in document["entries"] as IEnumerable<JsonNode?> ?? [document])
        {
            var index = (long)shown!["index"]!;
            shown["entry"] = Convert.ToBase64String(_entries[(int)index].Bytes.Span);
            shown["path"] = Path(_tree.InclusionPath(index, size));
        }
    }

    private LogTree Grown(long size)
    {
        while (_entries.Count < size)
        {
            Assert.True(_stage.Client.EntriesAsync(_entries.Count / TilePath.FullWidth, size, default).GetAwaiter().GetResult().Try(out var entries, out var refusal), refusal?.ToString());
            foreach (var entry in entries.Skip(_entries.Count % TilePath.FullWidth))
                _entries.Add(_forged.TryGetValue(Statement.Decode(entry.StatementBytes).Id, out var other) ? Entry.Record(entry.Index, entry.Time, other) : entry);
            _tree = _tree.Append([.. _entries.Skip((int)_tree.Size).Select(e => e.LeafHash)]);
        }
        return _tree;
    }

    private static JsonArray Path(IEnumerable<Digest> hashes) => [.. hashes.Select(h => (JsonNode?)h.ToString())];
}
