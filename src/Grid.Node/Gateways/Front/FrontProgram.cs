using System.Net;
using System.Net.Security;
using System.Runtime.InteropServices;
using System.Security.Authentication;
using Grid.Node.Containers;
using Grid.Node.Gateways.Acme;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Yarp.ReverseProxy.Forwarder;

namespace Grid.Node.Gateways.Front;

/// <summary><c>grid-node gateway</c>: serves the gateways of one node until it is told to end. Started by the agent, which it does not need.</summary>
internal static class FrontProgram
{
    public const string Usage = $"""
        grid-node {FrontProcess.Verb} --data DIR --run DIR
                  {GatewayOptions.Usage}

        Serves the gateways of a node. The agent starts it, with what it was given itself:

          --data DIR            what survives a reboot (needed)
          --run DIR             what does not (needed)
        {GatewayOptions.Explained}
        """;

    public static async Task<int> RunAsync(IReadOnlyList<string> arguments, TimeProvider time)
    {
        if (Parse(arguments) is not var (options, data, run))
        {
            Console.Error.WriteLine(new Refusal(NodeCode.Usage, "These are not what a node's gateways are started with.", $"'grid-node {FrontProcess.Verb} --help' lists them; the agent starts them itself.").From("grid-node"));
            return 2;
        }
        var files = new GatewayFiles(data, run);
        files.Make();
        var log = new FrontLog(files.Log, time);
        try
        {
            await ServeAsync(options, files, log, time);
            return 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.Write($"ended: {e.Message}");
            return 1;
        }
    }

    private static async Task ServeAsync(GatewayOptions options, GatewayFiles files, FrontLog log, TimeProvider time)
    {
        var self = Processes.Identify(Environment.ProcessId)!.Value;
        using var stopping = new CancellationTokenSource();
        using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, c =>
        {
            c.Cancel = true;
            stopping.Cancel();
        });
        using var routes = new RouteTable(files, self, log);
        using var certificates = new CertificateKeeper(options, files, routes, log, time);
        routes.Load();
        await using var app = Build(options, routes, time);
        await app.StartAsync(stopping.Token);
        PrivateFile.Replace(files.Front, System.Text.Encoding.ASCII.GetBytes(FrontProcess.Text(self)));
        log.Write($"listens on {options.Http} and {options.Https}");
        try
        {
            Task[] loops = [routes.FollowAsync(stopping.Token), certificates.RunAsync(stopping.Token)];
            // One that fails ends the other and the front with it, aloud: the agent starts another.
            await Task.WhenAny(loops);
            await stopping.CancelAsync();
            await Task.WhenAll(loops);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            log.Write("ended");
        }
    }

    private static WebApplication Build(GatewayOptions options, RouteTable routes, TimeProvider time)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddHttpForwarder();
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = TimeSpan.FromSeconds(1));
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(k =>
        {
            Limit(k);
            k.Listen(options.Http, l =>
            {
                l.Protocols = HttpProtocols.Http1;
                l.Use(ImpatientWith);
            });
            k.Listen(options.Https, l =>
            {
                l.Protocols = HttpProtocols.Http1AndHttp2;
                l.Use(ImpatientWith);
                l.Use(new Doorkeeper(routes).Before);
                l.UseHttps(new TlsHandshakeCallbackOptions { HandshakeTimeout = FrontLimits.Handshake, OnConnection = c => ValueTask.FromResult(Tls(c)) });
            });
        });
        var app = builder.Build();
        var forwarding = new Forwarding(app.Services.GetRequiredService<IHttpForwarder>());
        var plain = new PlainPort(routes, options.Https.Port);
        app.Run(context => Forwarding.RouteOf(context) is { } route ? forwarding.ForwardAsync(context, route) : plain.AnswerAsync(context));
        return app;
    }

    private static SslServerAuthenticationOptions Tls(TlsHandshakeCallbackContext context) => new()
    {
        ServerCertificateContext = Doorkeeper.RouteOf(context.Connection.Items)?.Certificate ?? throw new AuthenticationException("The route is gone."),
        EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        AllowRenegotiation = false,
    };

    // tcp(7), TCP_USER_TIMEOUT: how long what was sent may lie unacknowledged, or unsent before a closed window, until the kernel ends the connection.
    private static ConnectionDelegate ImpatientWith(ConnectionDelegate next) => connection =>
    {
        const int IPPROTO_TCP = 6, TCP_USER_TIMEOUT = 18;
        connection.Features.GetRequiredFeature<IConnectionSocketFeature>().Socket.SetRawSocketOption(IPPROTO_TCP, TCP_USER_TIMEOUT, BitConverter.GetBytes((int)FrontLimits.Unread.TotalMilliseconds));
        return next(connection);
    };

    private static void Limit(KestrelServerOptions kestrel)
    {
        var (limits, slowest) = (kestrel.Limits, new MinDataRate(FrontLimits.SlowestBody, FrontLimits.Grace));
        kestrel.AddServerHeader = false;
        kestrel.AllowHostHeaderOverride = false;
        limits.MaxConcurrentConnections = FrontLimits.Connections;
        limits.MaxConcurrentUpgradedConnections = FrontLimits.Connections;
        // Uploads are the backend's to bound; they are handed on as they come.
        limits.MaxRequestBodySize = null;
        limits.MaxRequestLineSize = FrontLimits.RequestLine;
        limits.MaxRequestHeaderCount = FrontLimits.Headers;
        limits.MaxRequestHeadersTotalSize = FrontLimits.HeaderBytes;
        limits.RequestHeadersTimeout = FrontLimits.RequestHeaders;
        limits.KeepAliveTimeout = FrontLimits.KeepAlive;
        limits.MinRequestBodyDataRate = slowest;
        limits.MinResponseDataRate = slowest;
        limits.Http2.MaxStreamsPerConnection = FrontLimits.StreamsOfConnection;
        limits.Http2.KeepAlivePingDelay = FrontLimits.KeepAlive;
    }

    private static (GatewayOptions Options, string Data, string Run)? Parse(IReadOnlyList<string> arguments)
    {
        string? One(string name) => arguments.Chunk(2).Where(p => p.Length == 2 && p[0] == name).Select(p => p[1]).FirstOrDefault();
        var errors = new List<Refusal>();
        var known = arguments.Chunk(2).All(p => p.Length == 2 && (p[0] is "--data" or "--run" || GatewayOptions.Names.Contains(p[0])));
        return known && One("--data") is { } data && One("--run") is { } run && GatewayOptions.Parse(One, errors) is { } options ? (options, Path.GetFullPath(data), Path.GetFullPath(run)) : null;
    }
}
