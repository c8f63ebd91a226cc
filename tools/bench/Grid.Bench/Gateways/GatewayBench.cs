using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.RegularExpressions;
using Grid.Bench.Networks;
using Grid.Gateways;
using Grid.Node.Containers;
using Grid.Node.Gateways;
using Grid.Node.Networks;
using Grid.Units;

namespace Grid.Bench.Gateways;

/// <summary>
/// Requests a second of a page of 128 bytes from nginx: asked of it in plain, through nginx as a proxy that ends TLS, through a gateway that does, and
/// through one that hands TLS on. wrk asks, by kept connections, on the same cores. In turn, three rounds, medians.
/// </summary>
internal static partial class GatewayBench
{
    private const int Rounds = 3, Plain = 8080, Secret = 8443, Proxy = 9443;
    private const string Nginx = "/usr/sbin/nginx", Wrk = "/usr/bin/wrk", Ended = "shop.example.org", Handed = "own.example.org";

    public static async Task<int> RunAsync(string[] args)
    {
        if (args.Length > 0)
        {
            await Console.Error.WriteLineAsync("tools/bench/run gateways");
            return 2;
        }
        var root = Directory.CreateTempSubdirectory("grid-bench-gateways-").FullName;
        var options = new GatewayOptions(new IPEndPoint(IPAddress.Loopback, 18080), new IPEndPoint(IPAddress.Loopback, 18443), null, new Uri("https://127.0.0.1:1/"), null, null);
        using var host = GatewayHost.Open(options, Path.Combine(root, "data"), Path.Combine(root, "run"), out var why) ?? throw new IOException(why);
        Process? nginx = null;
        ContainerId[] ids = [new(new AgreementId(Digest.Of("bench"u8)), "ended"), new(new AgreementId(Digest.Of("bench"u8)), "handed")];
        try
        {
            var ended = await PlaceAsync(host, ids[0]);
            // Both lead to one backend: the second shares the first's namespace.
            WriteCertificates(host, ids[0], root);
            nginx = StartNginx(root, ended);
            await OpenAsync(host, ids[0], new Route(Ended, Tls.Terminate, new IPEndPoint(IPAddress.Loopback, Plain)), ended);
            await OpenAsync(host, ids[1], new Route(Handed, Tls.Passthrough, new IPEndPoint(IPAddress.Loopback, Secret)), ended);
            while (host.Files.State(ids[0]) is not { Serving: true } || host.Files.State(ids[1]) is not { Serving: true })
                await Task.Delay(50);
            File.WriteAllText(Path.Combine(root, "hosts"), $"127.0.0.1 localhost {Ended} {Handed}\n");
            (string Name, ProcessIdentity? Inside, string Url, List<Asked> Got)[] rows =
            [
                ("nginx itself, plain", ended, $"http://{Ended}:{Plain}/", []), ("nginx as a proxy, TLS ended", ended, $"https://{Ended}:{Proxy}/", []),
                ("a gateway, TLS ended", null, $"https://{Ended}:{options.Https.Port}/", []), ("nginx itself, TLS", ended, $"https://{Handed}:{Secret}/", []),
                ("a gateway, TLS handed on", null, $"https://{Handed}:{options.Https.Port}/", []),
            ];
            foreach (var row in rows)
                Ask(root, row.Inside, row.Url, 2);
            for (var round = 0; round < Rounds; round++)
            {
                foreach (var row in rows)
                    row.Got.Add(Ask(root, row.Inside, row.Url, 4));
            }
            Console.WriteLine($"{Environment.ProcessorCount} cores, wrk -t1 -c32 -d4s, {Rounds} rounds in turn, medians; load after {File.ReadAllText("/proc/loadavg").Split(' ')[0]}");
            var table = new Table("what", "requests/s", "of nginx as a proxy", "p50 ms", "p99 ms");
            var peer = Median(rows[1].Got, a => a.Rate);
            foreach (var row in rows)
                table.Add(row.Name, Table.Number(Median(row.Got, a => a.Rate)), Table.Milliseconds(Median(row.Got, a => a.Rate) / peer), Table.Milliseconds(Median(row.Got, a => a.P50)), Table.Milliseconds(Median(row.Got, a => a.P99)));
            table.Print(Console.Out);
            return 0;
        }
        finally
        {
            foreach (var id in ids)
                await host.CloseAsync(id);
            if (nginx is not null)
            {
                nginx.Kill(entireProcessTree: true);
                nginx.WaitForExit();
                nginx.Dispose();
            }
            Directory.Delete(root, recursive: true);
        }
    }

    private sealed record Asked(double Rate, double P50, double P99);

    private static async Task<ProcessIdentity> PlaceAsync(GatewayHost host, ContainerId id)
    {
        var (place, outcome) = await host.PlaceAsync(id);
        using var inside = NetworkNamespace.Of(place ?? throw new IOException($"{outcome}"))!;
        inside.Ip("link set lo up");
        return place.Value;
    }

    private static async Task OpenAsync(GatewayHost host, ContainerId id, Route route, ProcessIdentity place)
    {
        if (await host.OpenAsync(id, route, place) is not Outcome.Done and var failed)
            throw new IOException($"{failed}");
    }

    private static void WriteCertificates(GatewayHost host, ContainerId id, string root)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={Ended}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(Ended);
        names.AddDnsName(Handed);
        request.CertificateExtensions.Add(names.Build());
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddMinutes(-1), DateTimeOffset.UtcNow.AddDays(90));
        host.Files.Make();
        Directory.CreateDirectory(host.Files.Certificate(id));
        File.WriteAllText(Path.Combine(host.Files.Certificate(id), "certificate.pem"), $"{key.ExportPkcs8PrivateKeyPem()}\n{certificate.ExportCertificatePem()}\n");
        File.WriteAllText(Path.Combine(root, "tls.key"), key.ExportPkcs8PrivateKeyPem());
        File.WriteAllText(Path.Combine(root, "tls.pem"), certificate.ExportCertificatePem());
    }

    private static Process StartNginx(string root, ProcessIdentity place)
    {
        var pages = Directory.CreateDirectory(Path.Combine(root, "pages")).FullName;
        File.WriteAllText(Path.Combine(pages, "index.html"), new string('x', 127) + "\n");
        var tls = $"ssl_certificate {root}/tls.pem; ssl_certificate_key {root}/tls.key;";
        File.WriteAllText(Path.Combine(root, "nginx.conf"), $$"""
            user root; daemon off; worker_processes auto; pid {{root}}/nginx.pid; error_log /dev/null;
            events { worker_connections 1024; }
            http {
              access_log off; client_body_temp_path {{root}}/body; proxy_temp_path {{root}}/proxy; fastcgi_temp_path {{root}}/f; uwsgi_temp_path {{root}}/u; scgi_temp_path {{root}}/s;
              keepalive_requests 1000000;
              upstream pages { server 127.0.0.1:{{Plain}}; keepalive 64; }
              server { listen 127.0.0.1:{{Plain}}; root {{pages}}; }
              server { listen 127.0.0.1:{{Secret}} ssl; {{tls}} root {{pages}}; }
              server { listen 127.0.0.1:{{Proxy}} ssl; {{tls}} location / {
                proxy_pass http://pages; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; } }
            }
            """);
        return Process.Start(new ProcessStartInfo("/usr/bin/nsenter", [$"--net=/proc/{place.Pid}/ns/net", Nginx, "-c", Path.Combine(root, "nginx.conf")]))!;
    }

    // wrk names whom it asks for by the address it is given; so in a view of the machine of its own the names lead here.
    private static Asked Ask(string root, ProcessIdentity? inside, string url, int seconds)
    {
        string[] into = inside is { } place ? [$"--net=/proc/{place.Pid}/ns/net"] : [];
        using var wrk = Process.Start(new ProcessStartInfo("/usr/bin/nsenter",
            [.. into, "/usr/bin/unshare", "--mount", "/bin/sh", "-c", $"mount --bind '{root}/hosts' /etc/hosts && exec {Wrk} -t1 -c32 -d{seconds}s --latency {url}"])
        { RedirectStandardOutput = true })!;
        var said = wrk.StandardOutput.ReadToEnd();
        wrk.WaitForExit();
        if (wrk.ExitCode != 0 || Failures().IsMatch(said) || !Rate().IsMatch(said))
            throw new IOException($"wrk {url}: {said}");
        return new Asked(double.Parse(Rate().Match(said).Groups[1].Value, CultureInfo.InvariantCulture), Latency(said, "50"), Latency(said, "99"));
    }

    private static double Latency(string said, string part)
    {
        var found = Regex.Match(said, $@"^\s+{part}%\s+([0-9.]+)(us|ms|s)", RegexOptions.Multiline);
        return double.Parse(found.Groups[1].Value, CultureInfo.InvariantCulture) * (found.Groups[2].Value switch { "us" => 0.001, "ms" => 1, _ => 1000 });
    }

    private static double Median(List<Asked> asked, Func<Asked, double> of) => asked.Select(of).Order().ElementAt(asked.Count / 2);

    [GeneratedRegex(@"Requests/sec:\s+([0-9.]+)")]
    private static partial Regex Rate();

    [GeneratedRegex("Socket errors|Non-2xx")]
    private static partial Regex Failures();
}
