using System.Collections.Immutable;
using System.Net;
using System.Text.Json;
using Grid.Agreements;
using Grid.Log;
using Grid.Statements;
using Grid.Tests.World;
using Grid.Units;

namespace Grid.Api.Tests;

public sealed class EndpointTests(LedgerFixture ledger)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private PublicKey Key => ledger.Grid.Key("ledger").Public;

    [Fact]
    public async Task The_ledger_says_what_it_is()
    {
        var info = await ledger.GetAsync("v1/ledger");
        Assert.Equal((TestGrid.Origin, Key.ToString()), (info.GetProperty("origin").GetString(), info.GetProperty("key").GetString()));
        Assert.True(info.GetProperty("index").GetInt64() >= ledger.Grid.Entries.Count);
    }

    [Fact]
    public async Task A_statement_is_answered_with_its_proof_and_found_again_by_its_id()
    {
        var statement = ledger.Make(g => g.Open(1, "somebody"));
        using var first = await ledger.PostAsync(statement);
        Assert.Equal(HttpStatusCode.OK, first.StatusCode);
        var answer = await LedgerFixture.JsonOf(first);
        Assert.False(answer.GetProperty("known").GetBoolean());
        Assert.Equal(["account.opened"], answer.GetProperty("events").EnumerateArray().Select(e => e.GetString()));
        Prove(answer, statement);
        using var second = await ledger.PostAsync(statement);
        var again = await LedgerFixture.JsonOf(second);
        Assert.True(again.GetProperty("known").GetBoolean());
        Assert.Equal(answer.GetProperty("index").GetInt64(), again.GetProperty("index").GetInt64());
        Prove(again, statement);
        Prove(await ledger.GetAsync($"v1/statements/{statement.Id}"), statement);
    }

    [Fact]
    public async Task Things_are_shown_as_they_stand()
    {
        var farm = ledger.Grid.Farms[0];
        Assert.Equal(2, (await ledger.GetAsync($"v1/accounts/{ledger.Grid.User}")).GetProperty("account").GetProperty("threshold").GetInt32());
        Assert.Equal("farm-alpha", (await ledger.GetAsync($"v1/farms/{farm.Id}")).GetProperty("farm").GetProperty("name").GetString());
        Assert.Equal(7000, (await ledger.GetAsync($"v1/nodes/{farm.Nodes[0].Id}")).GetProperty("node").GetProperty("offered").GetProperty("cpu").GetInt64());
        Assert.Equal("EUR", (await ledger.GetAsync($"v1/offers/{farm.Offer}")).GetProperty("offer").GetProperty("currency").GetProperty("code").GetString());
    }

    [Fact]
    public async Task Who_holds_a_name_is_said_until_it_lets_go_of_it()
    {
        var (farm, name) = (ledger.Grid.Farms[0], "held.example.org");
        var agreed = ledger.Make(g => g.SignedByUser(g.Priced(TestGrid.WithGateway(g.Terms(farm.Nodes[1].Id), name)), farm.Name));
        (await ledger.PostAsync(agreed)).EnsureSuccessStatusCode();
        var held = (await ledger.GetAsync($"v1/names/{name}")).GetProperty("name");
        Assert.Equal((name, new AgreementId(agreed.Id.Value).ToString()), (held.GetProperty("name").GetString(), held.GetProperty("agreement").GetString()));
        (await ledger.PostAsync(ledger.Make(g => g.Sign(g.User.Value, new CancelAgreement(new AgreementId(agreed.Id.Value)), g.KeysOf(g.User))))).EnsureSuccessStatusCode();
        using var free = await ledger.Http.GetAsync(new Uri($"v1/names/{name}", UriKind.Relative), Stop);
        Assert.Equal((HttpStatusCode.NotFound, RefusalCode.NotFound), (free.StatusCode, (await LedgerFixture.JsonOf(free)).GetProperty("code").GetString()));
    }

    [Fact]
    public async Task Lists_come_in_pages()
    {
        var nodes = new List<string>();
        for (var cursor = ""; cursor is not null;)
        {
            var page = await ledger.GetAsync($"v1/nodes?limit=2{(cursor.Length == 0 ? "" : $"&cursor={cursor}")}");
            Assert.True(page.GetProperty("items").GetArrayLength() <= 2);
            nodes.AddRange(page.GetProperty("items").EnumerateArray().Select(n => n.GetProperty("id").GetString()!));
            cursor = page.GetProperty("next").GetString();
        }
        Assert.Equal(ledger.Grid.Farms.SelectMany(f => f.Nodes).Select(n => n.Id.ToString()), nodes);
        Assert.Equal(2, (await ledger.GetAsync("v1/farms")).GetProperty("items").GetArrayLength());
        Assert.Equal(2, (await ledger.GetAsync("v1/offers")).GetProperty("items").GetArrayLength());
        Assert.EndsWith("Z", (await ledger.GetAsync("v1/offers")).GetProperty("items")[0].GetProperty("expires").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_agreement_is_filtered_shown_and_proven_by_its_bundle()
    {
        var id = await RunAsync("bundle");
        var shown = (await ledger.GetAsync($"v1/agreements/{id}")).GetProperty("agreement");
        Assert.Equal(("running", 1), (shown.GetProperty("status").GetString(), shown.GetProperty("version").GetProperty("number").GetInt32()));
        foreach (var filter in new[] { $"user={ledger.Grid.User}", $"farm={ledger.Grid.Farms[0].Id}", $"node={ledger.Grid.Farms[0].Nodes[0].Id}", "status=running" })
            Assert.Contains(id.ToString(), Ids(await ledger.GetAsync($"v1/agreements?{filter}")));
        foreach (var filter in new[] { $"farm={ledger.Grid.Farms[1].Id}", $"node={ledger.Grid.Farms[1].Nodes[0].Id}", "status=lapsed" })
            Assert.DoesNotContain(id.ToString(), Ids(await ledger.GetAsync($"v1/agreements?{filter}")));

        var text = await ledger.Http.GetByteArrayAsync(new Uri($"v1/agreements/{id}/bundle", UriKind.Relative), Stop);
        Assert.True(BundleJson.TryParse(text, out var bundle, out var refusal), refusal?.ToString());
        Assert.Null(bundle.Verify(TestGrid.Origin, Key, out var verified));
        Assert.Equal((id, "running"), (verified!.Agreement.Id, verified.Agreement.Status));
        Assert.Equal(BundleJson.Format(bundle), text);
    }

    [Fact]
    public async Task A_bundle_without_receipts_is_smaller_and_proves_the_same()
    {
        var id = await RunAsync("receipts");
        var before = (await ledger.GetAsync($"v1/agreements/{id}")).GetProperty("agreement").GetRawText();
        for (var i = 0; i < 3; i++)
        {
            using var posted = await ledger.PostAsync(ledger.Make(g => g.Receipt(g.Farms[0].Nodes[0], g.State.Agreements[id])));
            // Who waits learns that there is something to look at, though nothing is shown that is new.
            var view = await ledger.GetAsync($"v1/agreements/{id}");
            Assert.Equal((before, (await LedgerFixture.JsonOf(posted)).GetProperty("index").GetInt64()), (view.GetProperty("agreement").GetRawText(), view.GetProperty("newest").GetInt64()));
        }
        var (full, lean) = (await VerifyAsync($"v1/agreements/{id}/bundle?receipts=true"), await VerifyAsync($"v1/agreements/{id}/bundle?receipts=false"));
        Alike.Same(full.Agreement, lean.Agreement);
        Assert.Equal((4, 1), (Receipts(full), Receipts(lean)));
        Assert.Equal(full.Changed, lean.Changed);
        using var wrong = await ledger.Http.GetAsync(new Uri($"v1/agreements/{id}/bundle?receipts=no", UriKind.Relative), Stop);
        Assert.Equal(HttpStatusCode.BadRequest, wrong.StatusCode);

        int Receipts(VerifiedAgreement verified) => verified.History.Count(e => e.Statement.Payload.Body is Receipt r && r.Agreement == id);
    }

    [Fact]
    public async Task A_node_hears_of_its_agreements_as_they_change()
    {
        var node = ledger.Grid.Farms[0].Nodes[1];
        var before = (await ledger.GetAsync($"v1/nodes/{node.Id}/agreements")).GetProperty("index").GetInt64();
        var waiting = ledger.GetAsync($"v1/nodes/{node.Id}/agreements?after={before}&wait=60");
        var statement = ledger.Make(g => g.SignedByUser(g.Terms(node.Id) with { Note = "heard" }, "alpha"));
        using var posted = await ledger.PostAsync(statement);
        var index = (await LedgerFixture.JsonOf(posted)).GetProperty("index").GetInt64();
        var item = Assert.Single((await waiting.WaitAsync(Stop)).GetProperty("items").EnumerateArray());
        Assert.Equal((new AgreementId(statement.Id.Value).ToString(), index, "agreed"),
            (item.GetProperty("id").GetString(), item.GetProperty("changed").GetInt64(), item.GetProperty("status").GetString()));
        Assert.Empty((await ledger.GetAsync($"v1/nodes/{node.Id}/agreements?after={index}")).GetProperty("items").EnumerateArray());
    }

    [Fact]
    public async Task A_half_signed_agreement_waits_for_its_farmer()
    {
        var farmer = ledger.Grid.Farms[0].Account;
        var half = ledger.Make(g => g.SignedByUser(g.Terms(g.Farms[0].Nodes[0].Id) with { Note = "draft" }));
        using var laid = await ledger.PostAsync(half, "v1/drafts");
        Assert.Equal(HttpStatusCode.Accepted, laid.StatusCode);
        Assert.Contains(half.Id.ToString(), Ids(await ledger.GetAsync($"v1/drafts?for={farmer}")));
        Assert.Contains(half.Id.ToString(), Ids(await ledger.GetAsync($"v1/drafts?for={ledger.Grid.User}")));
        Assert.DoesNotContain(half.Id.ToString(), Ids(await ledger.GetAsync($"v1/drafts?for={ledger.Grid.Farms[1].Account}")));
        var waiting = (await ledger.GetAsync($"v1/drafts?for={farmer}")).GetProperty("items").EnumerateArray().First(i => i.GetProperty("id").GetString() == half.Id.ToString());
        var found = Statement.Decode(waiting.GetProperty("statement").GetBytesFromBase64());
        var whole = found.Merge(Statement.Sign(found.PayloadBytes.ToArray(), ledger.Grid.Key("alpha")));
        using var posted = await ledger.PostAsync(whole);
        Assert.Equal(HttpStatusCode.OK, posted.StatusCode);
        Assert.DoesNotContain(half.Id.ToString(), Ids(await ledger.GetAsync($"v1/drafts?for={farmer}")));
    }

    [Fact]
    public async Task Proofs_between_any_two_sizes_verify()
    {
        var size = (await ledger.GetAsync("v1/ledger")).GetProperty("index").GetInt64();
        var leaves = await LeavesAsync(size);
        var tree = LogTree.Empty.Append(leaves);
        for (var index = 0; index < size; index += 3)
        {
            var proof = await ledger.GetAsync($"v1/proof/{index}?size={size}");
            Assert.True(MerkleTree.VerifyInclusion(leaves[index], index, size, Path(proof), tree.Root));
            var consistency = await ledger.GetAsync($"v1/consistency?from={index + 1}&to={size}");
            Assert.True(MerkleTree.VerifyConsistency(index + 1, size, Path(consistency), tree.RootAt(index + 1), tree.Root));
        }
        var note = await ledger.Http.GetStringAsync(new Uri("checkpoint", UriKind.Relative), Stop);
        Assert.True(Checkpoint.TryVerify(note, TestGrid.Origin, Key, out var checkpoint));
        Assert.True(checkpoint.Size >= size);
    }

    [Fact]
    public async Task Tiles_hold_the_hashes_of_the_entries_and_bundles_the_entries()
    {
        var size = (await ledger.GetAsync("v1/ledger")).GetProperty("index").GetInt64();
        var leaves = await LeavesAsync(size);
        var width = (int)long.Min(size, 256);
        var tile = await ledger.Http.GetByteArrayAsync(new Uri(new TilePath(0, 0, width).ToString(), UriKind.Relative), Stop);
        Assert.Equal(leaves.Take(width).SelectMany(l => l.ToArray()), tile);
    }

    [Fact]
    public async Task Health_readiness_numbers_and_the_description_are_there()
    {
        Assert.Equal("ok\n", await ledger.Http.GetStringAsync(new Uri("healthz", UriKind.Relative), Stop));
        Assert.Equal("ok\n", await ledger.Http.GetStringAsync(new Uri("readyz", UriKind.Relative), Stop));
        var metrics = await ledger.Http.GetStringAsync(new Uri("metrics", UriKind.Relative), Stop);
        foreach (var name in new[] { "grid_log_size ", "grid_batch_entries_bucket{le=\"512\"}", "grid_commit_seconds_count", "grid_statements_accepted_total" })
            Assert.Contains(name, metrics);
        var description = await ledger.GetAsync("openapi/v1.json");
        var time = description.GetProperty("components").GetProperty("schemas").GetProperty("OfferView").GetProperty("properties").GetProperty("expires");
        Assert.Equal(("string", "date-time"), (time.GetProperty("type").GetString(), time.GetProperty("format").GetString()));
    }

    private async Task<AgreementId> RunAsync(string note)
    {
        var north = ledger.Grid.Farms[0].Nodes[0];
        var first = ledger.Grid.Entries.Count;
        var id = ledger.Make(g => g.Run(g.Terms(north.Id) with { Note = note }).Id);
        foreach (var (_, statement, _) in ledger.Grid.Entries.Skip(first).ToList())
            (await ledger.PostAsync(statement)).EnsureSuccessStatusCode();
        return id;
    }

    private async Task<VerifiedAgreement> VerifyAsync(string path)
    {
        var text = await ledger.Http.GetByteArrayAsync(new Uri(path, UriKind.Relative), Stop);
        Assert.True(BundleJson.TryParse(text, out var bundle, out var refusal), refusal?.ToString());
        Assert.Null(bundle.Verify(TestGrid.Origin, Key, out var verified));
        return verified!;
    }

    private void Prove(JsonElement answer, Statement statement)
    {
        var entry = Entry.Decode(answer.GetProperty("entry").GetBytesFromBase64());
        Assert.True(Checkpoint.TryVerify(answer.GetProperty("checkpoint").GetString(), TestGrid.Origin, Key, out var checkpoint));
        Assert.Equal((statement.Id.ToString(), entry.Index), (answer.GetProperty("id").GetString(), answer.GetProperty("index").GetInt64()));
        Assert.Equal(statement.Bytes.ToArray(), entry.StatementBytes.ToArray());
        Assert.Equal((checkpoint.Size, entry.Time), (answer.GetProperty("size").GetInt64(), answer.GetProperty("time").GetDateTimeOffset()));
        Assert.True(MerkleTree.VerifyInclusion(entry.LeafHash, entry.Index, checkpoint.Size, Path(answer), checkpoint.Root));
    }

    private async Task<Digest[]> LeavesAsync(long size)
    {
        var leaves = new List<Digest>();
        for (var index = 0L; index * 256 < size; index++)
        {
            var name = new TilePath(null, index, (int)long.Min(256, size - (index * 256))).ToString();
            var bundle = await ledger.Http.GetByteArrayAsync(new Uri(name, UriKind.Relative), Stop);
            leaves.AddRange(EntryBundle.Decode(bundle).Select(b => Entry.Decode(b).LeafHash));
        }
        return [.. leaves];
    }

    private static Digest[] Path(JsonElement answer) => [.. answer.GetProperty("path").EnumerateArray().Select(h => Digest.ParseHex(h.GetString()!))];

    private static IEnumerable<string> Ids(JsonElement page) => page.GetProperty("items").EnumerateArray().Select(i => i.GetProperty("id").GetString()!);
}
