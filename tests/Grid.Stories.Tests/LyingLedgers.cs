using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Farms;
using Grid.Hub.Tests;
using Grid.Offers;
using Grid.Statements;
using Grid.Stories.Tests.Stage;
using Grid.Units;

namespace Grid.Stories.Tests;

/// <summary>A ledger is believed in nothing that it cannot prove: whatever it says instead, nothing starts by it and nothing ends.</summary>
[Collection("one at a time")]
public sealed class LyingLedgers
{
    /// <param name="Says">what the agent says of it, one of these, with the agreement in the place of {0}</param>
    /// <param name="Bend">what becomes of the proof of an agreement that is wanted</param>
    private sealed record Lie(string Name, ImmutableArray<string> Says, Action<Answer, Scene> Bend)
    {
        /// <summary>As what the ledger says cannot be so.</summary>
        public Lie(string name, string code, Action<Answer, Scene> bend) : this(name, [Disbelieved(code)], bend)
        {
        }

        public static string Disbelieved(string code) => $"Agreement {{0}} is not believed: {code}: ";
    }

    private sealed record Scene(byte[] Other, Random Random);

    /// <summary>A lie while it is told.</summary>
    private sealed record Telling(Lie Lie)
    {
        /// <summary>How long the agent's log was when it was told first; what it says to this comes after it, and what it said to the one before does not.</summary>
        public int? From { get; set; }
    }

    // A bit may be one that the format knows, or one that only the log's hashes do.
    private static readonly ImmutableArray<string> Flipped =
    [
        .. new[] { RefusalCode.BadProof, RefusalCode.Malformed, RefusalCode.TooLarge, RefusalCode.UnknownField, RefusalCode.MissingField, RefusalCode.UnknownKind, RefusalCode.UnknownVersion }
            .Select(Lie.Disbelieved),
    ];

    private static readonly ImmutableArray<Lie> All =
    [
        .. Enumerable.Range(0, 4).Select(i => new Lie($"a bit of an entry, {i}", Flipped, (a, s) => Entry(a, s.Random, Flip))),
        .. Enumerable.Range(0, 2).Select(i => new Lie($"a bit of a path, {i}", RefusalCode.BadProof, (a, s) => Path(a, s.Random))),
        new("another agreement's", RefusalCode.BadProof, (a, s) => a.Body = s.Other),
        // A true proof of what it was before; but the ledger has said that there is more.
        new("without the farmer's word", ["could not be had: bad-proof: The ledger says that {0} changed"], (a, _) => Document(a, d => d["entries"]!.AsArray().RemoveAt(d["entries"]!.AsArray().Count - 1))),
        new("without the farm", RefusalCode.NotFound, (a, _) => Document(a, d => d["entries"]!.AsArray().RemoveAll(e => IsOf<RegisterFarm>(e!)))),
        new("without the offer", RefusalCode.NotFound, (a, _) => Document(a, d => d["entries"]!.AsArray().RemoveAll(e => IsOf<PostOffer>(e!)))),
        new("in another order", RefusalCode.Malformed, (a, _) => Document(a, d => Swap(d["entries"]!.AsArray()))),
        new("under another checkpoint", RefusalCode.BadProof, (a, s) => Document(a, d => d["checkpoint"] = JsonNode.Parse(s.Other)!["checkpoint"]!.DeepClone())),
        new("unsigned", RefusalCode.BadCheckpoint, (a, _) => Document(a, d => d["checkpoint"] = ((string)d["checkpoint"]!).Split("\n\n")[0] + "\n\n")),
        new("cut short", RefusalCode.Malformed, (a, _) => a.Body = a.Body[..^1]),
        new("nothing", RefusalCode.Malformed, (a, _) => a.Body = []),
        new("not found", ["could not be had: not-found: Not that one."], (a, _) => NotFound(a, "Not that one.")),
        new("broken", ["could not be had: unreachable: "], (a, _) => (a.Status, a.Body) = (500, "no"u8.ToArray())),
    ];

    [Fact]
    public async Task Nothing_that_it_cannot_prove_starts_anything_or_ends_it()
    {
        await using var stage = await Stage.Stage.SetAsync();
        await using var ledger = await LyingServer.StartAsync(stage.LedgerAddress.AbsoluteUri);
        var farm = await stage.AddFarmAsync("north");
        var node = await stage.AddNodeAsync(farm, "one", ledger: new Uri(ledger.Address));
        var flist = await stage.PublishAsync(Trees.Make(stage, "web"));
        var steady = await stage.AgreeAsync(stage.Terms(Trees.Web("steady", node.Id, flist)), "running");
        var pid = node.Running()["steady"];
        using var http = new HttpClient { BaseAddress = stage.LedgerAddress };
        var scene = new Scene(await http.GetByteArrayAsync($"v1/agreements/{steady}/bundle?receipts=false"), new Random(7));

        // Signed by both, each in an entry of its own, while no proof of it arrives as it is.
        var proposed = stage.Proposal(stage.Terms(Trees.Web("wanted", node.Id, flist)));
        var wanted = new AgreementId(proposed.Id.Value);
        var (telling, told) = (new Telling(All[0]), 0);
        ledger.Lie = answer =>
        {
            if (answer.Path.Contains($"{wanted}/bundle", StringComparison.Ordinal))
            {
                var one = Volatile.Read(ref telling);
                one.From ??= Said().Count();
                one.Lie.Bend(answer, scene);
                Interlocked.Increment(ref told);
            }
            else if (answer.Path.Contains($"{steady}/bundle", StringComparison.Ordinal))
            {
                // Of what runs it says that there is no such agreement.
                NotFound(answer, "It never was.");
            }
            else if (answer.Path.Contains("/agreements?after=", StringComparison.Ordinal))
            {
                // And that it is over, for as long as anybody asks.
                Document(answer, d => d["items"]!.AsArray().Add(new JsonObject { ["id"] = steady.ToString(), ["changed"] = 1_000_000, ["status"] = "ended" }));
            }
        };
        await stage.SubmitAsync(proposed);
        await stage.SubmitAsync(proposed.Merge(Statement.Sign(proposed.PayloadBytes.ToArray(), stage.Key("north"))));
        foreach (var lie in All)
        {
            var now = new Telling(lie);
            Volatile.Write(ref telling, now);
            await Wait.ForAsync($"the node to say what is wrong with {lie.Name}", () => now.From is { } from && Said().Skip(from).Any(l => lie.Says.Any(s => l.Contains(string.Format(CultureInfo.InvariantCulture, s, wanted), StringComparison.Ordinal))),
                () => string.Join('\n', Said().Skip(now.From ?? int.MaxValue)) + node.Status() + stage.Logs());
            await NothingAsync(lie.Name);
        }

        // Nor does an agent that starts among such lies end what it finds, or start what it never saw proven.
        await node.KillAgentAsync();
        await node.StartAsync();
        var after = Volatile.Read(ref told);
        await Wait.ForAsync("the next agent to be told as well", () => Volatile.Read(ref told) >= after + 2, stage.Logs);
        await NothingAsync("the next agent");

        ledger.Lie = _ => { };
        await stage.UntilAsync(wanted, "running");
        Assert.Equal(pid, node.Running()["steady"]);
        foreach (var id in new[] { steady, wanted })
            await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace()) + stage.Logs());

        IEnumerable<string> Said() => File.ReadLines(node.AgentLog);

        // Its log would be there from before its first instruction on.
        async Task NothingAsync(string when)
        {
            Assert.Equal([("steady", pid)], node.Running().Select(r => (r.Key, r.Value)));
            Assert.Equal((when, false), (when, node.HasLog(wanted, "wanted")));
            Assert.DoesNotContain(node.EveryTrace(), t => t.Contains($"{wanted}", StringComparison.Ordinal));
            Assert.Equal((when, "agreed", 0), await stage.BundleAsync(wanted) is { Agreement: var a } ? (when, a.Status, (a as Agreement.Agreed)?.ReadyNodes.Count) : default);
        }
    }

    private static void NotFound(Answer answer, string detail) =>
        (answer.Status, answer.MediaType, answer.Body) = (404, "application/problem+json", Encoding.UTF8.GetBytes($$"""{"code":"not-found","title":"not-found","status":404,"detail":"{{detail}}"}"""));

    private static void Document(Answer answer, Action<JsonNode> change)
    {
        if (answer.Status != 200)
            return;
        var document = JsonNode.Parse(answer.Body)!;
        change(document);
        answer.Body = Encoding.UTF8.GetBytes(document.ToJsonString());
    }

    private static void Entry(Answer answer, Random random, Func<byte[], Random, byte[]> change) => Document(answer, d =>
    {
        var entries = d["entries"]!.AsArray();
        var entry = entries[random.Next(entries.Count)]!;
        entry["entry"] = Convert.ToBase64String(change(Convert.FromBase64String((string)entry["entry"]!), random));
    });

    private static void Path(Answer answer, Random random) => Document(answer, d =>
    {
        var paths = d["entries"]!.AsArray().Select(e => e!["path"]!.AsArray()).Where(p => p.Count > 0).ToList();
        var path = paths[random.Next(paths.Count)];
        var at = random.Next(path.Count);
        path[at] = Convert.ToHexStringLower(Flip(Convert.FromHexString((string)path[at]!), random));
    });

    private static bool IsOf<T>(JsonNode entry) => Statement.Decode(Log.Entry.Decode(Convert.FromBase64String((string)entry["entry"]!)).StatementBytes).Payload.Body is T;

    private static byte[] Flip(byte[] bytes, Random random)
    {
        bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
        return bytes;
    }

    private static void Swap(JsonArray entries)
    {
        var last = entries[^1];
        entries.RemoveAt(entries.Count - 1);
        entries.Insert(entries.Count - 1, last);
    }
}
