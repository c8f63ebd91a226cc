using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;

namespace Grid.Cli.Up;

/// <summary>
/// A certificate authority of the private grid's own: Let's Encrypt's test authority as Debian packages it, and its name server, where every name leads
/// to this machine. What it signs is worth nothing outside.
/// </summary>
internal sealed class Authority : IAsyncDisposable
{
    private const string Pebble = "/usr/bin/pebble", NameServer = "/usr/bin/pebble-challtestsrv";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    private readonly List<Process> _processes = [];
    private readonly HttpClient _http;
    private readonly Uri _roots;

    private Authority(string directory, HttpClient http, Uri acme, Uri roots) => (RootFile, _http, Directory, _roots) = (Path.Combine(directory, "api.pem"), http, acme, roots);

    /// <summary>The ACME directory (RFC 8555 §7.1.1).</summary>
    public Uri Directory { get; }

    /// <summary>What <see cref="Directory"/>'s own TLS is trusted by, in PEM.</summary>
    public string RootFile { get; }

    /// <param name="directory">its own, made here</param>
    /// <param name="challenges">where it asks whether a name is who it says</param>
    /// <exception cref="UpFault">it is not installed, or does not answer</exception>
    public static async Task<Authority> StartAsync(Launcher launcher, string directory, IPEndPoint challenges, CancellationToken cancel)
    {
        if (new[] { Pebble, NameServer }.FirstOrDefault(p => !File.Exists(p)) is { } missing)
            throw new UpFault($"{missing} is not installed.", "Run 'tools/setup'.");
        System.IO.Directory.CreateDirectory(directory, (UnixFileMode)0b111_000_000);
        var (acme, control, dns) = (Free(), Free(), Free());
        var root = WriteCertificate(directory);
        var authority = new Authority(directory, Trusting(root), new Uri($"https://{acme}/dir"), new Uri($"https://{control}/roots/0"));
        var config = Path.Combine(directory, "pebble.json");
        await File.WriteAllTextAsync(config, new JsonObject
        {
            ["pebble"] = new JsonObject
            {
                ["listenAddress"] = $"{acme}",
                ["managementListenAddress"] = $"{control}",
                ["certificate"] = authority.RootFile,
                ["privateKey"] = Path.Combine(directory, "api.key"),
                ["httpPort"] = challenges.Port,
                ["tlsPort"] = challenges.Port,
            },
        }.ToJsonString(), cancel);
        try
        {
            authority.Start(launcher, NameServer, "-defaultIPv4", $"{challenges.Address}", "-defaultIPv6", "", "-dns01", $"{dns}", "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", $"{Free()}");
            // It waits at random, to be as slow as the real one.
            authority.Start(launcher, "/usr/bin/env", "PEBBLE_VA_NOSLEEP=1", Pebble, "-config", config, "-dnsserver", $"{dns}");
            for (var watch = Stopwatch.StartNew(); await authority.TryRootAsync(cancel) is null; await Task.Delay(50, cancel))
            {
                if (watch.Elapsed > Patience)
                    throw new UpFault($"{Pebble} does not answer within {Patience.TotalSeconds:0} s.");
            }
            return authority;
        }
        catch
        {
            await authority.DisposeAsync();
            throw;
        }
    }

    /// <summary>A port of this machine that nobody has now.</summary>
    public static IPEndPoint Free()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (IPEndPoint)socket.LocalEndPoint!;
    }

    /// <summary>Asks a name of the private grid by TLS, believing this authority and no other.</summary>
    /// <returns>null while nobody answers to it, or with an error</returns>
    public async Task<string?> TryGetAsync(string hostname, IPEndPoint at, CancellationToken cancel)
    {
        if (await TryRootAsync(cancel) is not { } root)
            return null;
        using var http = Trusting(root, at);
        try
        {
            return await http.GetStringAsync(new Uri($"https://{hostname}/"), cancel);
        }
        catch (Exception e) when (e is HttpRequestException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            return null;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in _processes)
        {
            NativeKill.Send(process.Id, NativeKill.SIGTERM);
            await process.WaitForExitAsync();
            process.Dispose();
        }
        _http.Dispose();
    }

    private async Task<X509Certificate2?> TryRootAsync(CancellationToken cancel)
    {
        try
        {
            return X509Certificate2.CreateFromPem(await _http.GetStringAsync(_roots, cancel));
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    private void Start(Launcher launcher, string program, params string[] arguments)
    {
        var process = launcher.Start(program, arguments);
        // Nobody reads what it says, and a full pipe would stop it.
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _processes.Add(process);
    }

    private static HttpClient Trusting(X509Certificate2 root, IPEndPoint? at = null)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.Add(root);
        return new HttpClient(new SocketsHttpHandler
        {
            UseProxy = false,
            SslOptions = { CertificateChainPolicy = policy },
            ConnectCallback = async (context, cancel) =>
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync((EndPoint?)at ?? context.DnsEndPoint, cancel);
                return new NetworkStream(socket, ownsSocket: true);
            },
        })
        { Timeout = TimeSpan.FromSeconds(10), MaxResponseContentBufferSize = 1 << 20 };
    }

    private static X509Certificate2 WriteCertificate(string directory)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=grid up", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(30));
        File.WriteAllText(Path.Combine(directory, "api.pem"), certificate.ExportCertificatePem());
        File.WriteAllText(Path.Combine(directory, "api.key"), key.ExportPkcs8PrivateKeyPem());
        return certificate;
    }
}
