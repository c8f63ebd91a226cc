using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Grid.Node.Tests.Gateways;

/// <summary>
/// Let's Encrypt's own test authority (Debian's pebble), and the name server that comes with it, where every name leads to one address. It refuses a
/// part of all nonces, as a strict authority may.
/// </summary>
internal sealed class Pebble : IDisposable
{
    private const string Authority = "/usr/bin/pebble", NameServer = "/usr/bin/pebble-challtestsrv", Nsenter = "/usr/bin/nsenter";

    private readonly List<Process> _processes = [];
    private readonly string _directory;
    private readonly HttpClient _http;
    private readonly IPEndPoint _names;

    private Pebble(string directory, IPAddress address, HttpClient http, int[] ports)
    {
        (_directory, _http, _names) = (directory, http, new IPEndPoint(address, ports[2]));
        Directory = new Uri($"https://{address}:{ports[0]}/dir");
        Roots = new Uri($"https://{address}:{ports[1]}/roots/0");
        Dns = new IPEndPoint(address, ports[3]);
    }

    /// <summary>The ACME directory.</summary>
    public Uri Directory { get; }

    /// <summary>Trusts <see cref="Directory"/>'s own TLS.</summary>
    public string Root => Path.Combine(_directory, "api.pem");

    public IPEndPoint Dns { get; }

    private Uri Roots { get; }

    /// <param name="directory">its own, made here</param>
    /// <param name="address">where it listens</param>
    /// <param name="gateway">where every name leads, and on which port it asks there for challenges</param>
    /// <param name="space">the network namespace it lives in; null: this one</param>
    /// <param name="inside">makes a socket in that namespace</param>
    public static async Task<Pebble> StartAsync(string directory, IPAddress address, IPEndPoint gateway, TimeSpan validity, string? space = null, Func<Func<Socket>, Socket>? inside = null)
    {
        foreach (var program in new[] { Authority, NameServer })
        {
            if (!File.Exists(program))
                Assert.Skip($"Certificates need {program}; run tools/setup.");
        }
        System.IO.Directory.CreateDirectory(directory);
        inside ??= make => make();
        var ports = Enumerable.Range(0, 4).Select(_ => inside(() =>
        {
            // Below those that the kernel gives to whoever asks for any: between here and there somebody would be given one of these.
            for (; ; )
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                try
                {
                    socket.Bind(new IPEndPoint(address, Random.Shared.Next(10_000, 32_768)));
                    return socket;
                }
                catch (SocketException e) when (e.SocketErrorCode is SocketError.AddressAlreadyInUse)
                {
                    socket.Dispose();
                }
            }
        })).ToList();
        var numbers = ports.Select(p => ((IPEndPoint)p.LocalEndPoint!).Port).ToArray();
        ports.ForEach(p => p.Dispose());
        var http = new HttpClient(new SocketsHttpHandler
        {
            UseProxy = false,
            SslOptions = { CertificateChainPolicy = Trusting(WriteCertificate(directory, address)) },
            ConnectCallback = async (context, cancel) =>
            {
                var socket = inside(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
                await socket.ConnectAsync(context.DnsEndPoint, cancel);
                return new NetworkStream(socket, ownsSocket: true);
            },
        });
        var pebble = new Pebble(directory, address, http, numbers);
        var config = Path.Combine(directory, "pebble.json");
        await File.WriteAllTextAsync(config, JsonSerializer.Serialize(new
        {
            pebble = new
            {
                listenAddress = $"{address}:{numbers[0]}",
                managementListenAddress = $"{address}:{numbers[1]}",
                certificate = pebble.Root,
                privateKey = Path.Combine(directory, "api.key"),
                httpPort = gateway.Port,
                tlsPort = gateway.Port,
                ocspResponderURL = "",
                externalAccountBindingRequired = false,
                certificateValidityPeriod = (long)validity.TotalSeconds,
            },
        }));
        pebble.Start(space, NameServer, "-defaultIPv4", $"{gateway.Address}", "-defaultIPv6", "", "-dns01", $"{pebble.Dns}", "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", $"{pebble._names}");
        pebble.Start(space, Authority, "-config", config, "-dnsserver", $"{pebble.Dns}");
        await pebble.AnswersAsync();
        return pebble;
    }

    /// <summary>Writes a TXT record.</summary>
    public async Task TellAsync(string name, string value)
    {
        using var response = await _http.PostAsJsonAsync(new Uri($"http://{_names}/set-txt"), new { host = $"{name}.", value });
        response.EnsureSuccessStatusCode();
    }

    /// <summary>What its certificates are trusted by; another at each start.</summary>
    public async Task<X509Certificate2> RootAsync() => X509Certificate2.CreateFromPem(await _http.GetStringAsync(Roots));

    public void Dispose()
    {
        _http.Dispose();
        foreach (var process in _processes)
        {
            process.Kill();
            process.WaitForExit();
            process.Dispose();
        }
        _processes.Clear();
    }

    private async Task AnswersAsync()
    {
        for (var clock = Stopwatch.StartNew(); ;)
        {
            try
            {
                await RootAsync();
                using var _ = await _http.GetAsync(new Uri($"http://{_names}/"));
                return;
            }
            catch (HttpRequestException) when (clock.Elapsed < TimeSpan.FromSeconds(15))
            {
                await Task.Yield();
            }
        }
    }

    private void Start(string? space, string program, params string[] args)
    {
        var start = new ProcessStartInfo(space is null ? program : Nsenter, space is null ? args : [$"--net={space}", program, .. args]) { RedirectStandardOutput = true, RedirectStandardError = true };
        (start.Environment["PEBBLE_VA_NOSLEEP"], start.Environment["PEBBLE_WFE_NONCEREJECT"]) = ("1", "30");
        var process = Process.Start(start)!;
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _processes.Add(process);
    }

    private static X509ChainPolicy Trusting(X509Certificate2 root)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.Add(root);
        return policy;
    }

    private static X509Certificate2 WriteCertificate(string directory, IPAddress address)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=pebble", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(address);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(1));
        File.WriteAllText(Path.Combine(directory, "api.pem"), certificate.ExportCertificatePem());
        File.WriteAllText(Path.Combine(directory, "api.key"), key.ExportPkcs8PrivateKeyPem());
        return certificate;
    }
}
