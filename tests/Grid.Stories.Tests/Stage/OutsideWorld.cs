using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Grid.Node.Tests.Gateways;

namespace Grid.Stories.Tests.Stage;

/// <summary>A machine on the wire that knows the gateway's address by every name, and trusts the authority.</summary>
internal sealed class OutsideWorld((string Path, IPAddress Address) place)
{
    public string Path => place.Path;

    public IPAddress Address => place.Address;

    public IPAddress Gateway { get; set; } = IPAddress.None;

    public X509Certificate2 Root { get; set; } = null!;

    public Socket Inside(Func<Socket> make) => UnderlayNetwork.Inside(place.Path, make);

    /// <summary>An authority here, which asks that gateway for its challenges.</summary>
    public Task<Pebble> CertifyAsync(string directory, IPAddress gateway)
    {
        Gateway = gateway;
        return Pebble.StartAsync(directory, Address, new IPEndPoint(gateway, 80), TimeSpan.FromDays(1), Path, Inside);
    }

    /// <summary>What a node is told that lets this world in.</summary>
    public static string[] Doors(Pebble pebble, IPAddress address, string domain) =>
    [
        "--gateway-http", $"{address}:80", "--gateway-https", $"{address}:443", "--gateway-domain", domain, "--acme", pebble.Directory.AbsoluteUri, "--acme-root", pebble.Root, "--dns", $"{pebble.Dns}",
    ];

    /// <param name="only">the one certificate that is believed; null: whatever the authority signed</param>
    /// <param name="at">where every name leads; null: to the gateway</param>
    public HttpClient Client(System.Version version, X509Certificate2? only = null, IPAddress? at = null) => new(Handler(only, at))
    {
        DefaultRequestVersion = version,
        DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        Timeout = TimeSpan.FromSeconds(20),
    };

    public HttpMessageInvoker Invoker() => new(Handler(null, null));

    /// <param name="only">the one certificate that is believed; null: whatever the authority signed</param>
    public async Task<SslStream> TlsAsync(string name, X509Certificate2? only = null)
    {
        var tls = new SslStream(new NetworkStream(await ConnectAsync(Gateway, 443, default), ownsSocket: true));
        await tls.AuthenticateAsClientAsync(Trusting(name, only));
        return tls;
    }

    private SocketsHttpHandler Handler(X509Certificate2? only, IPAddress? at) => new()
    {
        UseProxy = false,
        AllowAutoRedirect = false,
        SslOptions = Trusting(null, only),
        ConnectCallback = async (context, cancel) => new NetworkStream(await ConnectAsync(at ?? Gateway, context.DnsEndPoint.Port, cancel), ownsSocket: true),
    };

    private async Task<Socket> ConnectAsync(IPAddress address, int port, CancellationToken cancel)
    {
        var socket = Inside(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true });
        await socket.ConnectAsync(address, port, cancel);
        return socket;
    }

    private SslClientAuthenticationOptions Trusting(string? name, X509Certificate2? only)
    {
        if (only is not null)
            return new() { TargetHost = name, RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate!.GetCertHashString() == only.GetCertHashString() };
        var options = new SslClientAuthenticationOptions { TargetHost = name, CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck } };
        options.CertificateChainPolicy.CustomTrustStore.Add(Root);
        return options;
    }
}
