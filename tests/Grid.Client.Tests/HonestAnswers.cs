using System.Globalization;
using Grid.Agreements;
using Grid.Api;
using Grid.Ledger.Tests;
using Grid.Tests.World;
using Grid.Units;
using Microsoft.AspNetCore.Http;

namespace Grid.Client.Tests;

/// <summary>What holds up is believed: from the twisted server while it tells the truth, and from the real ledger on its PostgreSQL.</summary>
public sealed class HonestAnswers
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_submitted_statement_comes_back_with_its_place_in_the_log()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        using var client = server.Client();
        var statement = server.Grid.Open(1, "newcomer");

        var recorded = Given(await client.SubmitAsync(statement, Stop));

        Assert.Equal(statement.Id, recorded.Statement.Id);
        Assert.Equal(server.Size - 1, recorded.Index);
        Assert.Equal(server.Size, recorded.Checkpoint.Size);
        Assert.Equal(["account.opened"], recorded.Events);
    }

    [Fact]
    public async Task The_last_checkpoint_is_kept_and_growth_is_proven_against_it()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        var seen = new MemoryCheckpointStore();
        using (var first = server.Client(seen))
            Given(await first.CheckpointAsync(Stop));
        var before = seen.Note;
        server.Grid.Accept(server.Grid.Open(1, "newcomer"));
        using var second = server.Client(seen);

        var grown = Given(await second.CheckpointAsync(Stop));

        Assert.NotEqual(before, seen.Note);
        Assert.Equal(grown.Note, seen.Note);
    }

    [Fact]
    public async Task A_bundle_is_decided_again_and_its_log_is_held_against_what_was_seen()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        var running = server.Grid.Run(server.Grid.Terms(server.Grid.Farms[0].Nodes[0].Id));
        using var client = server.Client();

        var (_, verified) = Given(await client.BundleAsync(running.Id, receipts: true, Stop));

        Assert.IsType<Agreement.Running>(verified.Agreement);
        server.Grid.Accept(server.Grid.Receipt(server.Grid.Farms[0].Nodes[0], running));
        var full = Given(await client.BundleAsync(running.Id, receipts: true, Stop)).Bundle.Entries.Length;
        Assert.Equal(full - 1, Given(await client.BundleAsync(running.Id, receipts: false, Stop)).Bundle.Entries.Length);
    }

    [Fact]
    public async Task The_whole_log_is_audited()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        server.Grid.Run(server.Grid.Terms(server.Grid.Farms[0].Nodes[0].Id));
        using var client = server.Client();

        var report = Given(await LogAudit.RunAsync(client, null, null, Stop));

        Assert.Null(report.Problem);
        Assert.Equal(server.Size, report.Checked);
        Assert.Single(report.State.Agreements);
    }

    [Fact]
    public async Task A_problem_document_is_a_refusal_with_its_code_and_what_to_do_next()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        using var client = server.Client();

        var answer = await client.StatementAsync(new StatementId(Digest.Of("nothing"u8)), Stop);

        Assert.Equal(new Refusal(RefusalCode.NotFound, "It is not here.", "Look elsewhere."), Assert.IsType<Answer<Recorded>.Refused>(answer).Refusal);
    }

    [Fact]
    public async Task The_real_ledger_is_believed()
    {
        var directory = Directory.CreateTempSubdirectory("grid-client-").FullName;
        File.SetUnixFileMode(directory, (UnixFileMode)0b111_101_101);
        using var grid = new TestGrid();
        try
        {
            var key = Path.Combine(directory, "ledger.key");
            await File.WriteAllTextAsync(key, Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData("ledger"u8)) + "\n", Stop);
            File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            await using var server = await LedgerServer.StartAsync(
                new LedgerOptions { Origin = TestGrid.Origin, Data = directory, Listen = "http://127.0.0.1:0", Rate = 0 }, new TestClock(TestGrid.Epoch), stop: Stop);
            var seen = new FileCheckpointStore(Path.Combine(directory, "seen", "checkpoint"));
            using var client = new LedgerClient(new HttpClient { BaseAddress = new Uri(server.Address) }, new LedgerTrust(TestGrid.Origin, grid.Key("ledger").Public), seen, TimeProvider.System);
            var agreement = grid.Run(grid.Terms(grid.Farms[0].Nodes[0].Id));
            foreach (var (_, statement, _) in grid.Entries.Skip(1))
                Assert.Equal(statement.Id, Given(await client.SubmitAsync(statement, Stop)).Statement.Id);

            Assert.True(Given(await client.SubmitAsync(grid.Entries[1].Statement, Stop)).Known);
            Assert.Equal("running", Given(await client.BundleAsync(agreement.Id, receipts: true, Stop)).Verified.Agreement.Status);
            Assert.Null(Given(await LogAudit.RunAsync(client, null, null, Stop)).Problem);
            Assert.Equal(TestGrid.Origin, Given(await client.InfoAsync(Stop)).Origin);
            foreach (var view in new[]
            {
                await client.FarmsAsync(null, Stop), await client.NodesAsync(null, Stop), await client.OffersAsync(null, Stop), await client.AccountAsync(grid.User, Stop), await client.AgreementAsync(agreement.Id, Stop),
                await client.AgreementsAsync(new AgreementQuery(User: grid.User, Status: "running", Limit: 10), Stop), await client.NodeAsync(agreement.Version.Terms.Nodes.First(), Stop),
                await client.FarmAsync(grid.Farms[0].Id, Stop), await client.OfferAsync(grid.Farms[0].Offer, Stop),
            })
                Assert.True(Given(view).Index > 0);
            Assert.Equal(agreement.Id, Assert.Single(Given(await client.NodeAgreementsAsync(agreement.Version.Terms.Nodes.First(), 0, TimeSpan.Zero, Stop)).Items).Agreement);
            var half = grid.Sign(grid.User.Value, grid.Terms(grid.Farms[1].Nodes[0].Id), "user-a");
            Assert.Equal(half.Id, Given(await client.DraftAsync(half, Stop)));
            Assert.Equal(half.Id, Assert.Single(Given(await client.DraftsAsync(grid.User, Stop))).Id);
            Assert.NotNull(await seen.LoadAsync(Stop));
            var refused = await client.SubmitAsync(grid.Sign(null, new Grid.Log.OpenLedger(grid.Key("thief").Public), "thief"), Stop);
            Assert.Equal(RefusalCode.WrongState, Assert.IsType<Answer<Recorded>.Refused>(refused).Refusal.Code);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public async Task A_list_is_read_to_its_last_page_or_to_its_limit()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        using var client = server.Client();
        server.Instead = context => PageAsync(context, (at, limit) => (Enumerable.Range(at, int.Max(0, int.Min(int.Min(limit, 700), 2345 - at))), at + 700 < 2345 ? $"{at + 700}" : null));

        Assert.Equal(Enumerable.Range(0, 2345), Numbers(Given(await client.FarmsAsync(null, Stop))));
        Assert.Equal(Enumerable.Range(0, 5), Numbers(Given(await client.AgreementsAsync(new AgreementQuery(Limit: 5), Stop))));
        Assert.Equal(Enumerable.Range(0, 701), Numbers(Given(await client.NodesAsync(701, Stop))));
    }

    [Fact]
    public async Task Who_holds_a_name_is_believed_of_the_name_that_was_asked()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        using var client = server.Client();
        Assert.Null(Given(await client.HolderAsync("shop.example.org", Stop)));
        var holder = new AgreementId(Digest.Of("holder"u8));
        server.Instead = context => HeldAsync(context, "shop.example.org", $"{holder}");
        Assert.Equal(holder, Given(await client.HolderAsync("shop.example.org", Stop)));
        Assert.IsType<Answer<AgreementId?>.Disproved>(await client.HolderAsync("other.example.org", Stop));
        server.Instead = context => HeldAsync(context, "shop.example.org", "somebody");
        Assert.IsType<Answer<AgreementId?>.Disproved>(await client.HolderAsync("shop.example.org", Stop));
    }

    private static Task HeldAsync(HttpContext context, string name, string agreement) =>
        context.Response.WriteAsJsonAsync(new { index = 1, name = new { name, agreement } }, (System.Text.Json.JsonSerializerOptions?)null, "application/json");

    [Fact]
    public async Task A_list_without_an_end_is_not_read_without_end()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        using var client = server.Client();
        server.Instead = context => PageAsync(context, (_, _) => ([], "7"));
        Assert.Equal(RefusalCode.Malformed, Assert.IsType<Answer<LedgerView>.Disproved>(await client.OffersAsync(null, Stop)).Refusal.Code);
        server.Instead = context => PageAsync(context, (at, limit) => (Enumerable.Range(0, limit), $"{at + 1}"));
        Assert.Equal(RefusalCode.TooLarge, Assert.IsType<Answer<LedgerView>.Refused>(await client.OffersAsync(null, Stop)).Refusal.Code);
        server.Instead = context => PageAsync(context, (_, limit) => (Enumerable.Range(0, limit + 1), null));
        Assert.Equal(RefusalCode.Malformed, Assert.IsType<Answer<LedgerView>.Disproved>(await client.OffersAsync(3, Stop)).Refusal.Code);
    }

    private static Task PageAsync(HttpContext context, Func<int, int, (IEnumerable<int> Items, string? Next)> page)
    {
        var query = context.Request.Query;
        var (items, next) = page(int.Parse(query["cursor"].FirstOrDefault() ?? "0", CultureInfo.InvariantCulture), int.Parse(query["limit"]!, CultureInfo.InvariantCulture));
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync($$"""{"index":9,"items":[{{string.Join(',', items)}}]{{(next is null ? "" : $",\"next\":\"{next}\"")}}}""");
    }

    private static IEnumerable<int> Numbers(LedgerView view) => view.Body.GetProperty("items").EnumerateArray().Select(i => i.GetInt32());

    internal static T Given<T>(Answer<T> answer)
    {
        Assert.True(answer.Try(out var value, out var refusal), refusal?.ToString());
        return value!;
    }
}
