using System.Net;
using System.Net.Sockets;
using System.Threading.RateLimiting;
using Grid.Api.Endpoints;
using Grid.Ledger.Postgres;
using Grid.Ledger.Sequencing;
using Grid.Ledger.Store;
using Grid.Statements;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Grid.Api;

/// <summary>A running ledger: the store, the sequencer and the endpoints on one address.</summary>
public sealed class LedgerServer : IAsyncDisposable
{
    private const int MaximumConnections = 4096;

    private readonly Stack<IAsyncDisposable> _parts = new();
    private WebApplication? _app;
    private Sequencer? _sequencer;
    private KeyLimit? _keys;

    private LedgerServer()
    {
    }

    /// <summary>Where it listens, with the port that was taken.</summary>
    public string Address => _app!.Urls.First();

    public Sequencer Sequencer => _sequencer!;

    internal IReadOnlyList<Endpoint> Endpoints => _app!.Services.GetRequiredService<EndpointDataSource>().Endpoints;

    /// <param name="clock">the ledger's; the machine's when null</param>
    /// <param name="admission">evidence that is asked for before a statement is decided; see <see cref="SequencerOptions.Admission"/></param>
    /// <exception cref="StartException">the key cannot be used, or the address cannot be listened on</exception>
    /// <exception cref="ClusterException">the private PostgreSQL does not start</exception>
    /// <exception cref="LogDamagedException">the stored log is not what was recorded</exception>
    /// <exception cref="WriterReplacedException">another process writes this log</exception>
    /// <exception cref="System.Data.Common.DbException">the database cannot be reached</exception>
    public static async Task<LedgerServer> StartAsync(
        LedgerOptions options, TimeProvider? clock = null, Func<Statement, CancellationToken, ValueTask<Refusal?>>? admission = null, CancellationToken stop = default)
    {
        var server = new LedgerServer();
        try
        {
            await server.StartPartsAsync(options, clock ?? TimeProvider.System, admission, stop);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Returns when asked to end, or throws what made the sequencer unable to go on.</summary>
    public async Task WaitForShutdownAsync()
    {
        var shutdown = _app!.WaitForShutdownAsync();
        if (await Task.WhenAny(shutdown, Sequencer.Completion) != shutdown)
            await Sequencer.Completion;
        await shutdown;
    }

    public async ValueTask DisposeAsync()
    {
        while (_parts.TryPop(out var part))
            await part.DisposeAsync();
        _keys?.Dispose();
    }

    private async Task StartPartsAsync(LedgerOptions options, TimeProvider clock, Func<Statement, CancellationToken, ValueTask<Refusal?>>? admission, CancellationToken stop)
    {
        var builder = Builder(options);
        var app = builder.Build();
        var logs = app.Services.GetRequiredService<ILoggerFactory>();
        var key = KeyFile.Open(options.KeyFile);
        var connection = options.Postgres ?? (await Keep(EmbeddedPostgres.StartAsync(
            Path.Combine(options.Data!, "postgres"), PostgresBinaries.Find(options.Binaries), logs.CreateLogger<EmbeddedPostgres>(), stop))).ConnectionString;
        var store = await Keep(LedgerStore.OpenAsync(connection, stop));
        _keys = new KeyLimit(options.Rate);
        _sequencer = await Keep(Sequencer.StartAsync(
            store, new SequencerOptions(options.Origin) { Admission = (statement, cancel) => Admit(statement, _keys, admission, cancel) }, key, clock, logs.CreateLogger<Sequencer>(), stop));
        Map(app, _sequencer, clock);
        _parts.Push(app);
        _app = app;
        try
        {
            await app.StartAsync(stop);
        }
        catch (Exception e) when (e is IOException or SocketException or UnauthorizedAccessException)
        {
            throw StartException.CannotListen(options.Listen, e);
        }
    }

    private static ValueTask<Refusal?> Admit(Statement statement, KeyLimit keys, Func<Statement, CancellationToken, ValueTask<Refusal?>>? evidence, CancellationToken cancel) =>
        keys.Count(statement) is { } refusal ? ValueTask.FromResult<Refusal?>(refusal) : evidence?.Invoke(statement, cancel) ?? ValueTask.FromResult<Refusal?>(null);

    private async Task<T> Keep<T>(Task<T> starting) where T : IAsyncDisposable
    {
        var part = await starting;
        _parts.Push(part);
        return part;
    }

    private static WebApplicationBuilder Builder(LedgerOptions options)
    {
        // Configuration from files and the environment is not read: the command line says it all.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        // What keeps it from starting is said by whoever started it; the host would say it first, with a stack trace.
        builder.Logging.AddSimpleConsole(c => c.SingleLine = true).SetMinimumLevel(LogLevel.Warning).AddFilter("Grid", LogLevel.Warning)
            .AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = TimeSpan.FromSeconds(10));
        builder.Services.AddRouting();
        builder.Services.AddOpenApi("v1", Description.Complete);
        builder.Services.ConfigureHttpJsonOptions(o =>
        {
            o.SerializerOptions.TypeInfoResolverChain.Insert(0, ApiJson.Default);
            o.SerializerOptions.Converters.Add(new Units.UtcTimeConverter());
        });
        builder.Services.AddRateLimiter(o => Limit(o, options.Rate));
        builder.WebHost.UseKestrelCore().UseUrls(options.Listen).ConfigureKestrel(k =>
        {
            k.AddServerHeader = false;
            k.Limits.MaxConcurrentConnections = MaximumConnections;
            // More than a statement may have: what is a little too large is read to its end, so that its sender hears why it is refused.
            k.Limits.MaxRequestBodySize = 1 << 20;
            RequestHead.Limit(k.Limits);
            k.Limits.MinRequestBodyDataRate = new MinDataRate(1024, TimeSpan.FromSeconds(10));
            k.Limits.MinResponseDataRate = new MinDataRate(1024, TimeSpan.FromSeconds(20));
        });
        return builder;
    }

    private static void Limit(RateLimiterOptions limiter, int rate)
    {
        limiter.OnRejected = (rejected, _) => new ValueTask(new Problem(new Refusal(
            ApiCode.TooManyRequests, $"One address is answered {rate} requests a second.", "Send fewer, or wait.")).ExecuteAsync(rejected.HttpContext));
        limiter.GlobalLimiter = PartitionedRateLimiter.Create<HttpContext, string>(context => rate == 0
            ? RateLimitPartition.GetNoLimiter("")
            : RateLimitPartition.GetTokenBucketLimiter(Network(context.Connection.RemoteIpAddress), _ => KeyLimit.Bucket(rate)));
    }

    // Who has one IPv6 address has the 2⁶⁴ beside it.
    private static string Network(IPAddress? address) => address is { AddressFamily: System.Net.Sockets.AddressFamily.InterNetworkV6, IsIPv4MappedToIPv6: false }
        ? Convert.ToHexString(address.GetAddressBytes().AsSpan(0, 8))
        : address?.MapToIPv4().ToString() ?? "";

    private static void Map(WebApplication app, Sequencer sequencer, TimeProvider clock)
    {
        app.UseMiddleware<Errors>();
        app.UseRouting();
        app.UseRateLimiter();
        var all = app.MapGroup("").AddEndpointFilter(Requests.RefuseUnknownQuery);
        var v1 = all.MapGroup("/v1");
        new StatementEndpoints(sequencer, new Drafts(clock)).Map(v1);
        new ThingEndpoints(sequencer).Map(v1);
        var logs = new LogRelay(clock);
        new WorkloadLogEndpoints(sequencer, logs).Map(v1);
        new AgreementEndpoints(sequencer, logs, clock, app.Lifetime.ApplicationStopping).Map(v1);
        new LogEndpoints(sequencer).Map(all, v1);
        new HealthEndpoints(sequencer).Map(all);
        // The name is in the route, so that another is as absent as any address; the framework would say so in a text of its own.
        app.MapOpenApi("/openapi/{documentName:regex(^v1$)}.json");
    }
}
