using System.Collections.Concurrent;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Grid.Gateways;
using Grid.Node.Gateways.Front;
using Grid.Units;

namespace Grid.Node.Gateways.Acme;

/// <summary>
/// Sees to it that every route whose TLS ends here has a certificate: what is on disk while it is good, a new one when two thirds of its life are
/// over. Keys are made here and leave only in a signing request. After a failure it waits twice as long as after the one before.
/// </summary>
internal sealed class CertificateKeeper : IDisposable
{
    private const int AtOnce = 4;

    private static readonly TimeSpan FirstWait = TimeSpan.FromSeconds(5), LongestWait = TimeSpan.FromHours(1), LongestSleep = TimeSpan.FromHours(6);

    private readonly GatewayFiles _files;
    private readonly RouteTable _routes;
    private readonly FrontLog _log;
    private readonly TimeProvider _time;
    private readonly HttpClient _http;
    private readonly ECDsa _account;
    private readonly AcmeClient _authority;
    private readonly ConcurrentDictionary<ServedRoute, Standing> _standings = new();
    private readonly SemaphoreSlim _look = new(0, 1);

    // Owned by the loop.
    private readonly Dictionary<ServedRoute, Task> _orders = [];

    private sealed record Standing(DateTimeOffset Next, int Failures, DateTimeOffset? Until);

    public CertificateKeeper(GatewayOptions options, GatewayFiles files, RouteTable routes, FrontLog log, TimeProvider time)
    {
        (_files, _routes, _log, _time) = (files, routes, log, time);
        _http = Client(options.AcmeRoot);
        _account = Key(files.AccountKey);
        _authority = new AcmeClient(_http, options.Acme, _account, time);
        routes.Changed += Look;
    }

    public async Task RunAsync(CancellationToken cancel)
    {
        var rung = _look.WaitAsync(cancel);
        try
        {
            while (true)
            {
                foreach (var (route, order) in _orders.Where(o => o.Value.IsCompleted).ToList())
                {
                    _orders.Remove(route);
                    await order;
                }
                var now = _time.GetUtcNow();
                foreach (var over in _standings.Keys.Where(r => r.Over.IsCancellationRequested).ToList())
                    _standings.TryRemove(over, out _);
                // A few at once: one whose name leads astray is waited for at length, and the authority is nobody's to flood.
                foreach (var due in _routes.All.Where(r => r.Route.Tls is Tls.Terminate && !_orders.ContainsKey(r) && Of(r).Next <= now).Take(AtOnce - _orders.Count).ToList())
                    _orders[due] = KeepAsync(due, cancel);
                var next = _orders.Count == AtOnce ? DateTimeOffset.MaxValue
                    : _routes.All.Where(r => r.Route.Tls is Tls.Terminate && !_orders.ContainsKey(r)).Select(r => Of(r).Next).DefaultIfEmpty(DateTimeOffset.MaxValue).Min();
                var sleep = next <= now ? TimeSpan.Zero : next - now < LongestSleep ? next - now : LongestSleep;
                // The end of an order wakes by itself: one that rang could be looked at before it counts as completed, and be forgotten for hours.
                await ((Task)Task.WhenAny([rung, .. _orders.Values])).WaitAsync(sleep, _time, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                if (rung.IsCompleted)
                {
                    await rung;
                    rung = _look.WaitAsync(cancel);
                }
                cancel.ThrowIfCancellationRequested();
            }
        }
        finally
        {
            await Task.WhenAll(_orders.Values).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    public void Dispose()
    {
        _authority.Dispose();
        _http.Dispose();
        _account.Dispose();
        _look.Dispose();
    }

    private Standing Of(ServedRoute route) => _standings.GetOrAdd(route, r => Load(r) ?? new Standing(DateTimeOffset.MinValue, 0, null));

    private async Task KeepAsync(ServedRoute route, CancellationToken cancel)
    {
        var standing = Of(route);
        try
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, route.Over);
            await OrderAsync(route, either.Token);
            _standings[route] = Load(route) ?? throw new AcmeException("The authority's certificate is not for this name, or not for now.");
            _log.Write($"{route.Route.Hostname}: certificate until {_standings[route].Until?.Text()}");
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested && route.Over.IsCancellationRequested)
        {
            // Nobody wants it any more.
        }
        catch (Exception e) when (e is AcmeException or HttpRequestException or TaskCanceledException or IOException or CryptographicException or KeyNotFoundException or InvalidOperationException && !cancel.IsCancellationRequested)
        {
            var wait = FirstWait * (1L << int.Min(standing.Failures, 20));
            _standings[route] = standing with { Next = _time.GetUtcNow() + (wait < LongestWait ? wait : LongestWait), Failures = standing.Failures + 1 };
            _log.Write($"{route.Route.Hostname}: no certificate: {e.Message}");
            _routes.Tell(route, e.Message.Length > 200 ? e.Message[..200] : e.Message, standing.Until);
        }
    }

    private async Task OrderAsync(ServedRoute route, CancellationToken cancel)
    {
        var tokens = new List<string>();
        try
        {
            using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var request = new CertificateRequest(new X500DistinguishedName(""), key, HashAlgorithmName.SHA256);
            var names = new SubjectAlternativeNameBuilder();
            names.AddDnsName(route.Route.Hostname);
            request.CertificateExtensions.Add(names.Build());
            var chain = await _authority.OrderAsync(route.Route.Hostname, request.CreateSigningRequest(), (token, answer) =>
            {
                tokens.Add(token);
                _routes.Answer(route, token, answer);
            }, cancel);
            cancel.ThrowIfCancellationRequested();
            Directory.CreateDirectory(_files.Certificate(route.Id), DirectoryModes.Private);
            // One file, so that no crash leaves a chain with another's key.
            PrivateFile.Replace(FileOf(route), System.Text.Encoding.ASCII.GetBytes($"{key.ExportPkcs8PrivateKeyPem()}\n{chain}"));
        }
        finally
        {
            tokens.ForEach(_routes.Forget);
        }
    }

    /// <summary>Takes what is on disk into use.</summary>
    /// <returns>null when there is nothing good</returns>
    private Standing? Load(ServedRoute route)
    {
        try
        {
            var pem = File.ReadAllText(FileOf(route));
            using var leaf = X509Certificate2.CreateFromPem(pem, pem);
            var chain = new X509Certificate2Collection();
            chain.ImportFromPem(pem);
            var now = _time.GetUtcNow();
            if (!leaf.MatchesHostname(route.Route.Hostname) || now < leaf.NotBefore.ToUniversalTime() - TimeSpan.FromHours(1) || now >= leaf.NotAfter.ToUniversalTime())
                return null;
            // The key of one that was read from PEM is gone with it on no platform of ours, but the context wants it exportable.
            route.Certificate = SslStreamCertificateContext.Create(X509CertificateLoader.LoadPkcs12(leaf.Export(X509ContentType.Pkcs12), null), [.. chain.Skip(1)], offline: true);
            DateTimeOffset from = leaf.NotBefore.ToUniversalTime(), until = leaf.NotAfter.ToUniversalTime();
            _routes.Tell(route, null, until);
            return new Standing(from + ((until - from) * 2 / 3), 0, until);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or CryptographicException)
        {
            return null;
        }
    }

    private string FileOf(ServedRoute route) => Path.Combine(_files.Certificate(route.Id), "certificate.pem");

    private void Look()
    {
        try
        {
            _look.Release();
        }
        catch (Exception e) when (e is SemaphoreFullException or ObjectDisposedException)
        {
            // Somebody rang already, or nobody listens any more.
        }
    }

    private static HttpClient Client(string? root)
    {
        var handler = new SocketsHttpHandler { UseProxy = false, UseCookies = false, AllowAutoRedirect = false, ConnectTimeout = TimeSpan.FromSeconds(10), PooledConnectionLifetime = TimeSpan.FromMinutes(5) };
        if (root is not null)
        {
            var roots = new X509Certificate2Collection();
            roots.ImportFromPemFile(root);
            handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            handler.SslOptions.CertificateChainPolicy.CustomTrustStore.AddRange(roots);
        }
        var client = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(30), MaxResponseContentBufferSize = AcmeClient.LargestAnswer };
        // The authority asks for it (RFC 8555 §6.1).
        client.DefaultRequestHeaders.UserAgent.ParseAdd("grid-node");
        return client;
    }

    private static ECDsa Key(string path)
    {
        var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        if (File.Exists(path))
            key.ImportFromPem(File.ReadAllText(path));
        else
            PrivateFile.Replace(path, System.Text.Encoding.ASCII.GetBytes(key.ExportPkcs8PrivateKeyPem()));
        return key;
    }
}
