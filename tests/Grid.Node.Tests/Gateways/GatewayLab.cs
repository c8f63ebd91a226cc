using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Grid.Gateways;
using Grid.Node.Containers;
using Grid.Node.Gateways;
using Grid.Node.Tests.Networks;
using Grid.Reconciliation;
using Grid.Units;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Grid.Node.Tests.Gateways;

/// <summary>One node's gateways with a real front and a real authority; backends listen inside the gateways' own namespaces.</summary>
internal sealed class GatewayLab : IAsyncDisposable
{
    private static int s_count;

    private readonly string _root = Path.Combine(Path.GetTempPath(), $"grid-gateways-{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}");
    private readonly List<ContainerId> _open = [];
    private readonly List<WebApplication> _backends = [];

    private GatewayLab()
    {
    }

    public Pebble Pebble { get; private set; } = null!;

    public GatewayOptions Options { get; private set; } = null!;

    public GatewayHost Host { get; private set; } = null!;

    public X509Certificate2 Root { get; private set; } = null!;

    /// <param name="asked">where the authority asks for challenges; null: at the front</param>
    public static async Task<GatewayLab> SetAsync(TimeSpan? validity = null, IPEndPoint? asked = null)
    {
        if (!Environment.IsPrivilegedProcess)
            Assert.Skip("Gateways need root: network namespaces.");
        var lab = new GatewayLab();
        try
        {
            Directory.CreateDirectory(lab._root);
            var (http, https) = (FreePort(), FreePort());
            lab.Pebble = await Pebble.StartAsync(Path.Combine(lab._root, "pebble"), IPAddress.Loopback, asked ?? http, validity ?? TimeSpan.FromDays(1));
            lab.Options = new GatewayOptions(http, https, "gw.example", lab.Pebble.Directory, lab.Pebble.Root, lab.Pebble.Dns);
            lab.Host = lab.Again();
            lab.Root = await lab.Pebble.RootAsync();
            return lab;
        }
        catch
        {
            await lab.DisposeAsync();
            throw;
        }
    }

    /// <summary>As an agent that was started again would see it.</summary>
    public GatewayHost Again(GatewayOptions? options = null) =>
        GatewayHost.Open(options ?? Options, Path.Combine(_root, "data"), Path.Combine(_root, "run"), out var why) ?? throw new InvalidOperationException(why);

    public static ContainerId Id(string name) => new(new AgreementId(Digest.Of("agreement"u8)), name);

    /// <summary>Opens a gateway and puts a backend behind it.</summary>
    /// <param name="backend">null: nobody is there</param>
    public async Task<ContainerId> OpenAsync(string name, string hostname, Tls tls, RequestDelegate? backend, X509Certificate2? certificate = null, HttpProtocols protocols = HttpProtocols.Http1AndHttp2)
    {
        var id = Id(name);
        _open.Add(id);
        var (place, outcome) = await Host.PlaceAsync(id);
        Assert.Equal(new Outcome.Done(), outcome);
        using (var inside = Node.Networks.NetworkNamespace.Of(place!.Value)!)
            inside.Ip("link set lo up");
        var endpoint = new IPEndPoint(IPAddress.Loopback, 8080);
        if (backend is not null)
            _backends.Add(await Upstream.StartAsync(endpoint, make => Inside(place.Value, make), backend, protocols, certificate));
        Assert.Equal(new Outcome.Done(), await Host.OpenAsync(id, new Route(hostname, tls, endpoint), place.Value));
        return id;
    }

    public GatewaySeen? Seen(ContainerId id) => Host.Observe().TryGetValue(id, out var seen) ? seen.Seen : null;

    public async Task ServingAsync(ContainerId id) => await Task.Run(() => Wait.For(() => Seen(id) is { Serving: true }, $"{id}: {Seen(id)}\n{Log}"));

    public string Log => File.Exists(Host.Files.Log) ? File.ReadAllText(Host.Files.Log) : "";

    /// <summary>A client that comes to the front for whatever name, and trusts the authority alone.</summary>
    public HttpClient Client(Version version) =>
        new(Handler()) { DefaultRequestVersion = version, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact, Timeout = TimeSpan.FromSeconds(20) };

    /// <summary>The same for WebSockets.</summary>
    public HttpMessageInvoker Invoker() => new(Handler());

    public SslClientAuthenticationOptions Trusting(string? name)
    {
        var options = new SslClientAuthenticationOptions { TargetHost = name, CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck } };
        options.CertificateChainPolicy.CustomTrustStore.Add(Root);
        return options;
    }

    /// <param name="protocol">what is to be spoken inside; null: nothing is said of it, which is HTTP/1.1</param>
    public async Task<SslStream> TlsAsync(string name, SslApplicationProtocol? protocol = null)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(Options.Https);
        var (tls, how) = (new SslStream(new NetworkStream(socket, ownsSocket: true)), Trusting(name));
        how.ApplicationProtocols = protocol is null ? null : [protocol.Value];
        await tls.AuthenticateAsClientAsync(how, TestContext.Current.CancellationToken);
        return tls;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var id in _open)
        {
            await Host.CloseAsync(id);
            await Host.LeaveAsync(id);
        }
        foreach (var backend in _backends)
            await backend.DisposeAsync();
        Host?.Dispose();
        Pebble?.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    /// <summary>A socket of a gateway's own namespace.</summary>
    public static Socket Inside(ProcessIdentity place, Func<Socket> make)
    {
        Socket? made = null;
        using var space = Node.Containers.Interop.Posix.OpenPath($"/proc/{place.Pid}/ns/net");
        var thread = new Thread(() => made = Node.Containers.Interop.Sched.setns(Node.Containers.Interop.Posix.Number(space), Node.Containers.Interop.Sched.CLONE_NEWNET) == 0 ? make() : null);
        thread.Start();
        thread.Join();
        return made ?? throw new IOException("setns");
    }

    private SocketsHttpHandler Handler() => new()
    {
        UseProxy = false,
        AllowAutoRedirect = false,
        SslOptions = Trusting(null),
        ConnectCallback = async (context, cancel) =>
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            await socket.ConnectAsync(context.InitialRequestMessage.RequestUri!.Scheme is "https" or "wss" ? Options.Https : Options.Http, cancel);
            return new NetworkStream(socket, ownsSocket: true);
        },
    };

    private static IPEndPoint FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (IPEndPoint)socket.LocalEndPoint!;
    }
}
