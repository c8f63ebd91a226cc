using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Log;
using Grid.Statements;
using Grid.Tests.World;
using Grid.Units;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Grid.Client.Tests;

/// <summary>
/// A ledger over real HTTP that answers truly from a grid in memory, until a test bends an answer on its way out or puts another log in its place.
/// </summary>
internal sealed class TwistedServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private TwistedServer(WebApplication app, TestGrid grid) => (_app, Grid) = (app, grid);

    /// <summary>What it answers from; another one is another history.</summary>
    public TestGrid Grid { get; set; }

    /// <summary>Only so many entries are shown.</summary>
    public int? Shown { get; set; }

    /// <summary>Bends the JSON of an answer; gets the path.</summary>
    public Action<string, JsonObject>? Twist { get; set; }

    /// <summary>Bends the bytes of an answer.</summary>
    public Func<byte[], byte[]>? Mangle { get; set; }

    /// <summary>Answers in the ledger's place.</summary>
    public Func<HttpContext, Task>? Instead { get; set; }

    public Uri Address => new(_app.Urls.First());

    public int Size => Shown ?? Grid.Entries.Count;

    public static async Task<TwistedServer> StartAsync(TestGrid grid)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        var server = new TwistedServer(app, grid);
        app.Run(server.AnswerAsync);
        await app.StartAsync();
        return server;
    }

    public LedgerClient Client(ICheckpointStore? seen = null, TimeProvider? time = null, string key = "ledger") => new(
        new HttpClient { BaseAddress = Address }, new LedgerTrust(TestGrid.Origin, Grid.Key(key).Public), seen ?? new MemoryCheckpointStore(), time ?? TimeProvider.System);

    public LogTree Tree() => LogTree.Empty.Append([.. Recorded().Select(e => e.LeafHash)]);

    public string Note() => Tree() is var tree ? new Checkpoint(TestGrid.Origin, tree.Size, tree.Root).Sign(Grid.Key("ledger")).ToString() : "";

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        Grid.Dispose();
    }

    private List<Entry> Recorded() => [.. Grid.Recorded.Take(Size)];

    private async Task AnswerAsync(HttpContext context)
    {
        if (Instead is { } instead)
        {
            await instead(context);
            return;
        }
        var path = context.Request.Path.Value!;
        var (status, type, body) = path.StartsWith("/tile/entries/", StringComparison.Ordinal) && TilePath.TryParse(path[1..], out var tile)
            ? (200, "application/octet-stream", EntryBundle.Encode([.. Recorded().Skip((int)tile.Index * 256).Take(tile.Width).Select(e => e.Bytes)]))
            : path == "/checkpoint" ? (200, "text/plain; charset=utf-8", Encoding.UTF8.GetBytes(Note()))
            : path.EndsWith("/bundle", StringComparison.Ordinal) ? (200, "application/json", BundleJson.Format(Grid.Bundle(Id.Parse<AgreementId>(path.Split('/')[3]), context.Request.Query["receipts"] != "false")))
            : await JsonAsync(context, path);
        body = Mangle?.Invoke(body) ?? body;
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        await context.Response.Body.WriteAsync(body);
    }

    private async Task<(int Status, string Type, byte[] Body)> JsonAsync(HttpContext context, string path)
    {
        var query = context.Request.Query;
        long Number(string name) => long.Parse(query[name]!, CultureInfo.InvariantCulture);
        JsonObject? answer = null;
        if (path == "/v1/ledger")
        {
            answer = new JsonObject { ["origin"] = TestGrid.Origin, ["key"] = Grid.Key("ledger").Public.ToString(), ["index"] = Size };
        }
        else if (path == "/v1/consistency")
        {
            var (from, to) = (Number("from"), Number("to"));
            // Another log has no honest proof; it sends the best it can make.
            answer = new JsonObject { ["from"] = from, ["to"] = to, ["path"] = Texts(to <= Size ? Tree().ConsistencyPath(from, to) : []) };
        }
        else if (path.StartsWith("/v1/proof/", StringComparison.Ordinal))
        {
            var index = long.Parse(path[10..], CultureInfo.InvariantCulture);
            answer = new JsonObject { ["index"] = index, ["size"] = Number("size"), ["path"] = Texts(Tree().InclusionPath(index, Number("size"))) };
        }
        else if (path.StartsWith("/v1/statements", StringComparison.Ordinal))
        {
            StatementId id;
            if (context.Request.Method == "POST")
            {
                var body = new MemoryStream();
                await context.Request.Body.CopyToAsync(body);
                var statement = Statement.Decode(body.ToArray());
                Grid.Submit(statement);
                id = statement.Id;
            }
            else
            {
                id = Id.Parse<StatementId>(path[15..]);
            }
            answer = Answer(id);
        }
        if (answer is null)
        {
            var problem = new JsonObject { ["type"] = "about:blank", ["title"] = "Not Found", ["status"] = 404, ["code"] = RefusalCode.NotFound, ["detail"] = "It is not here.", ["next"] = "Look elsewhere." };
            return (404, "application/problem+json", Encoding.UTF8.GetBytes(problem.ToJsonString()));
        }
        Twist?.Invoke(path, answer);
        return (200, "application/json; charset=utf-8", Encoding.UTF8.GetBytes(answer.ToJsonString()));
    }

    private JsonObject? Answer(StatementId id)
    {
        var index = Grid.Entries.FindIndex(e => e.Statement.Id == id);
        if (index < 0 || index >= Size)
            return null;
        var entry = Recorded()[index];
        return new JsonObject
        {
            ["id"] = id.ToString(),
            ["index"] = index,
            ["time"] = entry.Time.ToString("O", CultureInfo.InvariantCulture),
            ["known"] = false,
            ["entry"] = Convert.ToBase64String(entry.Bytes.Span),
            ["size"] = Size,
            ["path"] = Texts(Tree().InclusionPath(index, Size)),
            ["checkpoint"] = Note(),
            ["events"] = new JsonArray([.. Grid.Entries[index].Events.Select(e => (JsonNode?)e.Name)]),
        };
    }

    private static JsonArray Texts(IEnumerable<Digest> path) => new([.. path.Select(p => (JsonNode?)p.ToString())]);
}
