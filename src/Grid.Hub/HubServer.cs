using System.Net.Sockets;
using Grid.Flists.Store;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Grid.Hub;

/// <summary>A running hub: the store behind the endpoints of <see cref="HubEndpoints"/> on one address.</summary>
public sealed class HubServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly DirectoryStore _store;
    private readonly HubEndpoints _endpoints;

    private HubServer(WebApplication app, DirectoryStore store, HubEndpoints endpoints)
    {
        (_app, _store, _endpoints) = (app, store, endpoints);
    }

    /// <summary>Where it listens, with the port that was taken.</summary>
    public string Address => _app.Urls.First();

    /// <exception cref="Api.StartException">the address cannot be listened on</exception>
    /// <exception cref="IOException">the store cannot be opened</exception>
    public static async Task<HubServer> StartAsync(HubOptions options, CancellationToken cancellation = default)
    {
        var store = DirectoryStore.Open(options.Store, new StoreOptions(options.MaximumBytes, options.MaximumMeta));
        // Configuration from files and the environment is not read: the command line says it all.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        // What keeps it from starting is said by whoever started it, in one line; the host would say it first, with a stack trace.
        builder.Logging.AddSimpleConsole().SetMinimumLevel(LogLevel.Warning).AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = TimeSpan.FromSeconds(10));
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrelCore().UseUrls(options.Listen).ConfigureKestrel(k =>
        {
            k.AddServerHeader = false;
            Limit(k.Limits, options);
        });
        var app = builder.Build();
        var endpoints = new HubEndpoints(store, options, app.Services.GetRequiredService<ILogger<HubServer>>());
        app.Use(endpoints.AnswerErrors);
        app.UseRouting();
        app.Use(Queries.RefuseUnknown);
        endpoints.Map(app);
        var server = new HubServer(app, store, endpoints);
        try
        {
            await app.StartAsync(cancellation);
        }
        catch (Exception e)
        {
            await server.DisposeAsync();
            if (e is IOException or SocketException or UnauthorizedAccessException)
                throw Api.StartException.CannotListen(options.Listen, e);
            throw;
        }
        return server;
    }

    public Task WaitForShutdownAsync() => _app.WaitForShutdownAsync();

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _endpoints.Dispose();
        _store.Dispose();
    }

    private static void Limit(KestrelServerLimits limits, HubOptions options)
    {
        limits.MaxConcurrentConnections = options.MaximumConnections;
        limits.MaxRequestBodySize = HubEndpoints.SmallBody;
        Api.RequestHead.Limit(limits);
        limits.MinRequestBodyDataRate = new MinDataRate(4096, TimeSpan.FromSeconds(10));
        limits.MinResponseDataRate = new MinDataRate(4096, TimeSpan.FromSeconds(10));
    }
}
