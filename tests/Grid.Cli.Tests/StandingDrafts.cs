using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Api;
using Grid.Cli.Settings;
using Grid.Ledger.Tests;
using Grid.Statements;
using Grid.Tests.Workloads;
using Grid.Units;

namespace Grid.Cli.Tests;

/// <summary>What the ledger would refuse for what it has recorded is refused while it is still a file: a name, an address or room that others hold, an offer that is over.</summary>
public sealed class StandingDrafts : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grid-ledger-").FullName;
    private readonly RecordedGrid _recorded = RecordedGrid.Read();
    private readonly TestShell _shell = new();
    private LedgerServer? _server;

    /// <summary>A real ledger goes on with the log of the vectors.</summary>
    public async ValueTask InitializeAsync()
    {
        // PostgreSQL runs as a user of its own and has to pass through.
        File.SetUnixFileMode(_directory, (UnixFileMode)0b111_101_101);
        var key = Path.Combine(_directory, "ledger.key");
        await File.WriteAllTextAsync(key, Convert.ToHexStringLower(_recorded.Seed) + "\n");
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var clock = new TestClock(_recorded.Entries.First().Time);
        _server = await LedgerServer.StartAsync(new LedgerOptions { Origin = _recorded.Origin, Data = _directory, Listen = "http://127.0.0.1:0", Rate = 0 }, clock);
        using var http = new HttpClient { BaseAddress = new Uri(_server.Address) };
        foreach (var entry in _recorded.Entries.Skip(1))
        {
            clock.Set(entry.Time);
            using var content = new ByteArrayContent(entry.StatementBytes.ToArray()) { Headers = { ContentType = new MediaTypeHeaderValue("application/cose") } };
            (await http.PostAsync("v1/statements", content)).EnsureSuccessStatusCode();
        }
        clock.Set(_recorded.Now);
        _shell.Time = clock;
        await _shell.JsonAsync("ledger", "trust", _server.Address, "--yes");
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
            await _server.DisposeAsync();
        _shell.Dispose();
        _recorded.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task Every_vector_of_what_is_recorded_is_refused_by_plan_with_its_code()
    {
        var vectors = RefusalVector.All().Where(v => v.Rules == "standing" && !v.Unasked.Contains("draft")).ToList();
        Assert.True(vectors.Count > 20);
        await _shell.JsonAsync(Plan(_recorded.Accepted));
        await Assert.AllAsync(vectors, async v => Assert.Equal((v.Name, v.Code), (v.Name, await _shell.RefusedAsync(Plan(v.Statement)))));
    }

    [Fact]
    public async Task What_stands_against_a_draft_is_all_said_at_once_and_where_it_is_written()
    {
        var held = RefusalVector.All().First(v => v.Name == "standing-address-held").Statement;
        var terms = (AgreementTerms)held.Payload.Body;
        var late = terms with { Term = terms.Term with { AnswerBy = _recorded.Now.AddMinutes(-1) } };
        var (_, _, error) = await _shell.RunAsync([.. Plan(held.Payload.By!.Value, late), "-o", "json"]);
        var draft = (await File.ReadAllLinesAsync(_shell.PathOf("grid.yaml"), TestContext.Current.CancellationToken)).Select((text, i) => (Text: text, Line: i + 1)).ToList();
        int LineOf(string key) => draft.First(l => l.Text.Contains($"\"{key}\":", StringComparison.Ordinal)).Line;
        Assert.Equal([(RefusalCode.TermInPast, LineOf("answerBy")), (RefusalCode.AddressConflict, LineOf("ip"))],
            JsonNode.Parse(error)!["errors"]!.AsArray().Select(e => (e!["code"]!.GetValue<string>(), int.Parse(e["where"]!.GetValue<string>().Split(':')[^2], CultureInfo.InvariantCulture))));
    }

    [Fact]
    public async Task What_is_too_much_is_found_at_what_takes_most_and_an_offer_where_it_is_named()
    {
        var vectors = RefusalVector.All().Where(v => v.Rules == "standing").ToDictionary(v => v.Name, v => v.Statement);
        await Assert.AllAsync(new[]
        {
            ("capacity-cpu", "\"cpu\":"), ("capacity-memory", "\"memory\":"), ("capacity-ssd", "\"size\":"), ("capacity-hdd", "\"size\":"), ("capacity-ipv4", "\"ip\":"),
            ("offer-ceiling", "\"cpu\":"), ("offer-expired", "\"offer1"), ("offer-withdrawn", "\"offer1"), ("offer-for-another-node", "\"node\":"),
        }, async found =>
        {
            var (name, at) = found;
            var (_, _, error) = await _shell.RunAsync([.. Plan(vectors[$"standing-{name}"]), "-o", "json"]);
            var lines = await File.ReadAllLinesAsync(_shell.PathOf("grid.yaml"), TestContext.Current.CancellationToken);
            var line = int.Parse(JsonNode.Parse(error)!["error"]!["where"]!.GetValue<string>().Split(':')[^2], CultureInfo.InvariantCulture);
            Assert.True(lines[line - 1].Contains(at, StringComparison.Ordinal), $"{name}: {line}: {lines[line - 1]}");
        });
    }

    private string[] Plan(Statement statement) => Plan(statement.Payload.By!.Value, (AgreementTerms)statement.Payload.Body);

    private string[] Plan(Digest user, AgreementTerms terms)
    {
        // What is amended was made from a file of this name.
        var name = "refused";
        if (terms.Amends is { } amends)
        {
            name = "amended";
            Assert.Null((Book.Empty with { Agreements = Book.Empty.Agreements.SetItem(name, $"{amends.Agreement}") }).Save(_shell.PathOf("book.json")));
        }
        var draft = DraftText.Of(name, terms, _recorded.Now, id => $"{id}", terms.Farms);
        return ["plan", _shell.Write("grid.yaml", draft), "--account", $"{new AccountId(user)}", "--key", "none"];
    }
}
