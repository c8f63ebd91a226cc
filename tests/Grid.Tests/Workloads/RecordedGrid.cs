using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Log;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Tests.Workloads;

/// <summary>What is recorded before each refusal of the rules "standing", <c>tests/vectors/refusals/recorded/log.json</c>, decided again entry by entry.</summary>
internal sealed class RecordedGrid : IDisposable
{
    private readonly List<(Entry Entry, ImmutableArray<Event> Events)> _entries = [];

    private RecordedGrid(JsonNode file)
    {
        Origin = file["origin"]!.GetValue<string>();
        Seed = Convert.FromHexString(file["seed"]!.GetValue<string>());
        Key = SigningKey.FromSeed(Seed);
        Now = DateTimeOffset.FromUnixTimeSeconds(file["now"]!.GetValue<long>());
        Accepted = Statement.Decode(Convert.FromHexString(file["accepted"]!.GetValue<string>()));
        State = GridState.Empty;
        foreach (var hex in file["entries"]!.AsArray())
        {
            var entry = Entry.Decode(Convert.FromHexString(hex!.GetValue<string>()));
            var statement = Statement.Decode(entry.StatementBytes);
            Assert.Null(statement.VerifySignatures());
            var events = Assert.IsType<Decision.Accepted>(State.Decide(statement, entry.Time)).Events;
            State = State.Evolve(entry.Index, entry.Time, statement.Id, events);
            _entries.Add((entry, events));
        }
    }

    public string Origin { get; }

    /// <summary>Of the ledger's key, so that anybody can go on with this log.</summary>
    public byte[] Seed { get; }

    public SigningKey Key { get; }

    /// <summary>When the refused statements are said.</summary>
    public DateTimeOffset Now { get; }

    /// <summary>What the refused differ from: signed by all, and nothing stands against it.</summary>
    public Statement Accepted { get; }

    public GridState State { get; }

    public IEnumerable<Entry> Entries => _entries.Select(e => e.Entry);

    public static RecordedGrid Read() => new(JsonNode.Parse(File.ReadAllText(Path.Combine(Path.GetDirectoryName(Here())!, "..", "..", "vectors", "refusals", "recorded", "log.json")))!);

    /// <summary>The proof that a ledger makes which records an agreement against its rules: what the terms name, and nothing of what others hold.</summary>
    public Bundle Forced(Statement statement)
    {
        var terms = (AgreementTerms)statement.Payload.Body;
        var wanted = new HashSet<Digest> { default, statement.Agreement()!.Value.Value, terms.User.Value };
        foreach (var part in terms.Farms)
        {
            Add(part.Farm);
            wanted.Add(part.Offer.Value);
            var offer = State.Offers.GetValueOrDefault(part.Offer);
            if (offer is not null)
                Add(offer.Terms.Farm);
            foreach (var node in part.Nodes.Concat(offer?.Terms.Nodes ?? []).Select(n => State.Nodes.GetValueOrDefault(n)).Where(n => n is not null))
            {
                wanted.UnionWith([node!.Id.Value, node.Invite.Value]);
                Add(node.Farm);
            }
        }
        void Add(FarmId farm) => wanted.UnionWith([farm.Value, State.Farms[farm].Account.Value]);

        List<Entry> all = [.. Entries, Entry.Record(_entries.Count, Now, statement.Bytes)];
        var tree = LogTree.Empty.Append([.. all.Select(e => e.LeafHash)]);
        return new Bundle(Origin, statement.Agreement()!.Value, new Checkpoint(Origin, tree.Size, tree.Root).Sign(Key).ToString(),
            [.. all.Where((_, i) => i == _entries.Count || _entries[i].Events.Any(e => e.Subjects.Any(wanted.Contains))).Select(e => new BundleEntry(e.Index, e.Bytes, tree.InclusionPath(e.Index, tree.Size)))]);
    }

    public void Dispose() => Key.Dispose();

    private static string Here([CallerFilePath] string path = "") => path;
}
