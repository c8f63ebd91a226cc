using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Grid.Client;
using Grid.Log;
using Grid.Statements;
using Grid.Units;

namespace Grid.Node.Tests.Agent;

/// <summary>A log that takes every statement once and proves it. Between it and who speaks there may be somebody.</summary>
internal sealed class RecordingLedger : IDisposable
{
    public const string Origin = "grid.test/main";

    private readonly SigningKey _key = SigningKey.FromSeed(new byte[32]);
    private readonly List<(Statement Statement, Entry Entry)> _entries = [];
    private LogTree _tree = LogTree.Empty;

    public RecordingLedger() => Client = new LedgerClient(
        new HttpClient(new Wire(this)) { BaseAddress = new Uri("http://ledger.invalid") }, new LedgerTrust(Origin, _key.Public), new MemoryCheckpointStore(), TimeProvider.System);

    public LedgerClient Client { get; }

    /// <summary>What comes back for a statement instead of the ledger's answer; null is that answer.</summary>
    public Func<HttpResponseMessage?> Instead { get; set; } = () => null;

    /// <summary>True: who is between takes the ledger's answer away, and not the statement.</summary>
    public bool Hears { get; set; }

    /// <summary>How many statements were sent, whatever came of them.</summary>
    public int Sent { get; private set; }

    /// <summary>What is recorded, in its order.</summary>
    public IReadOnlyList<Body> Recorded => [.. _entries.Select(e => e.Statement.Payload.Body)];

    /// <summary>Answers that are no ledger's, or not of this one, or none of them forever.</summary>
    public static HttpResponseMessage Says(string answer) => answer switch
    {
        "a proxy's page" => new HttpResponseMessage(HttpStatusCode.NotFound) { Content = new StringContent("<html>not here", Encoding.UTF8, "text/html") },
        "a portal" => new HttpResponseMessage(HttpStatusCode.Found) { Headers = { Location = new Uri("http://portal.invalid/login") } },
        "another thing" => new HttpResponseMessage(HttpStatusCode.OK) { Content = new StringContent("{}", Encoding.UTF8, "application/json") },
        "nobody" => throw new HttpRequestException("Connection refused"),
        "busy" => Problem(HttpStatusCode.ServiceUnavailable, "busy"),
        _ => Problem(HttpStatusCode.Conflict, answer),
    };

    public void Dispose()
    {
        Client.Dispose();
        _key.Dispose();
    }

    private static HttpResponseMessage Problem(HttpStatusCode status, string code)
    {
        var problem = new StringContent($$"""{"code":"{{code}}"}""");
        problem.Headers.ContentType = new MediaTypeHeaderValue("application/problem+json");
        return new HttpResponseMessage(status) { Content = problem };
    }

    private HttpResponseMessage Record(Statement statement)
    {
        var known = _entries.FindIndex(e => e.Statement.Id == statement.Id);
        var index = known < 0 ? _entries.Count : known;
        if (known < 0)
        {
            var entry = Entry.Record(index, DateTimeOffset.UnixEpoch, statement.Bytes);
            _entries.Add((statement, entry));
            _tree = _tree.Append(entry.LeafHash);
        }
        return Json(new
        {
            id = statement.Id.ToString(),
            index,
            time = _entries[index].Entry.Time,
            known = known >= 0,
            entry = _entries[index].Entry.Bytes.ToArray(),
            size = _tree.Size,
            path = Path(_tree.InclusionPath(index, _tree.Size)),
            checkpoint = new Checkpoint(Origin, _tree.Size, _tree.Root).Sign(_key).ToString(),
            events = Array.Empty<string>(),
        });
    }

    private static IEnumerable<string> Path(ImmutableArray<Digest> path) => path.Select(d => Convert.ToHexStringLower(d.ToArray()));

    private static HttpResponseMessage Json(object document) => new(HttpStatusCode.OK) { Content = new StringContent(JsonSerializer.Serialize(document), Encoding.UTF8, "application/json") };

    private sealed class Wire(RecordingLedger ledger) : HttpMessageHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            if (request.Content is null)
            {
                var asked = request.RequestUri!.Query.TrimStart('?').Split('&', '=');
                var (from, to) = (long.Parse(asked[1], CultureInfo.InvariantCulture), long.Parse(asked[3], CultureInfo.InvariantCulture));
                return Json(new { from, to, path = Path(ledger._tree.ConsistencyPath(from, to)) });
            }
            var statement = Statement.Decode(await request.Content.ReadAsByteArrayAsync(cancellationToken));
            ledger.Sent++;
            if (ledger.Hears)
                ledger.Record(statement);
            return ledger.Instead() ?? ledger.Record(statement);
        }
    }
}
