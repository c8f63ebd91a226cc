using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Grid.Gateways;
using Grid.Node.Containers;
using Grid.Node.Gateways;
using Grid.Node.Tests.Networks;
using Grid.Reconciliation;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Grid.Node.Tests.Gateways;

/// <summary>The front as a process of its own, certificates of a real authority, everything over real sockets.</summary>
public sealed class FrontTests
{
    private const string Shop = "shop.gw.example";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_route_serves_http_1_and_2_websockets_and_grpc_under_a_certificate_of_its_own_and_goes_with_all_its_traces()
    {
        await using var lab = await GatewayLab.SetAsync();
        var id = await lab.OpenAsync("door", Shop, Tls.Terminate, EchoAsync);
        var calls = await lab.OpenAsync("calls", "calls.gw.example", Tls.Terminate, EchoAsync, protocols: HttpProtocols.Http2);
        await lab.ServingAsync(id);
        await lab.ServingAsync(calls);
        foreach (var version in new[] { HttpVersion.Version11, HttpVersion.Version20 })
        {
            using var http = lab.Client(version);
            using var request = new HttpRequestMessage(HttpMethod.Post, $"https://{Shop}/a%2Fb/c?q=%20&r") { Version = version, VersionPolicy = HttpVersionPolicy.RequestVersionExact, Content = new StringContent("body") };
            request.Headers.TryAddWithoutValidation("X-Forwarded-For", "192.0.2.66");
            request.Headers.TryAddWithoutValidation("Forwarded", "for=192.0.2.66");
            request.Headers.TryAddWithoutValidation("X-Real-IP", "192.0.2.66");
            using var response = await http.SendAsync(request, Cancel);
            Assert.Equal((HttpStatusCode.OK, version), (response.StatusCode, response.Version));
            Assert.Equal($"HTTP/1.1 POST {Shop} /a%2Fb/c?q=%20&r for=127.0.0.1 proto=https host={Shop} forwarded= real= body", await response.Content.ReadAsStringAsync(Cancel));
        }

        // The shape of gRPC: HTTP/2 all the way, each message when it is sent, the outcome in a trailer.
        using (var http = lab.Client(HttpVersion.Version20))
        {
            await using var call = new StreamedCall(http, "https://calls.gw.example/grpc");
            for (byte message = 0; message < 3; message++)
                await call.SayAsync(message);
            var response = await call.ResponseAsync();
            Assert.Equal(("HTTP/2", StreamedCall.Type), (response.Headers.GetValues("X-Backend").Single(), response.Content.Headers.ContentType!.MediaType));
            Assert.Equal("0", await call.EndAsync());
        }

        foreach (var version in new[] { HttpVersion.Version11, HttpVersion.Version20 })
        {
            using var http = lab.Client(version);
            using var socket = new ClientWebSocket { Options = { HttpVersion = version, HttpVersionPolicy = HttpVersionPolicy.RequestVersionExact } };
            await socket.ConnectAsync(new Uri($"wss://{Shop}/socket"), lab.Invoker(), Cancel);
            await socket.SendAsync("hello"u8.ToArray(), WebSocketMessageType.Text, true, Cancel);
            var buffer = new byte[64];
            var got = await socket.ReceiveAsync(buffer, Cancel);
            Assert.Equal("hello", Encoding.UTF8.GetString(buffer, 0, got.Count));
            await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "", Cancel);
        }

        // Whoever knocks at the plain port is sent on; whoever asks for another name on this connection is told.
        using (var http = lab.Client(HttpVersion.Version11))
        {
            using var sent = await http.GetAsync(new Uri($"http://{Shop}/x?y=1"), Cancel);
            Assert.Equal((HttpStatusCode.PermanentRedirect, $"https://{Shop}:{lab.Options.Https.Port}/x?y=1"), (sent.StatusCode, sent.Headers.Location!.OriginalString));
            using var nobody = await http.GetAsync(new Uri("http://other.gw.example/"), Cancel);
            Assert.Equal(HttpStatusCode.NotFound, nobody.StatusCode);
            await using var crossed = await lab.TlsAsync(Shop);
            await crossed.WriteAsync("GET / HTTP/1.1\r\nHost: calls.gw.example\r\n\r\n"u8.ToArray(), Cancel);
            var told = new byte[1024];
            Assert.StartsWith("HTTP/1.1 421", Encoding.ASCII.GetString(told, 0, await crossed.ReadAsync(told, Cancel)));
            using var strange = new HttpRequestMessage(HttpMethod.Get, new Uri($"https://{Shop}/x?a b", new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true })) { Version = HttpVersion.Version20 };
            using var refused = await http.SendAsync(strange, Cancel);
            Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        }
        await Assert.ThrowsAsync<AuthenticationException>(() => lab.TlsAsync("other.gw.example"));
        await Assert.ThrowsAnyAsync<Exception>(() => lab.TlsAsync(""));
        var certificates = lab.Host.Files.Certificate(id);
        Assert.All(Directory.GetFiles(certificates), f => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(f)));

        Assert.Equal(new Outcome.Done(), await lab.Host.CloseAsync(id));
        Assert.Equal(new Outcome.Done(), await lab.Host.CloseAsync(calls));
        // Seen for as long as anything may be bound to their places.
        Assert.All(lab.Host.Observe().Values, g => Assert.True(g is { Seen: { Route: null, Serving: false }, Place: not null }));
        Assert.Equal(2, lab.Host.Observe().Count);
        // Then for as long as what went through them is to be read.
        foreach (var left in new[] { id, calls, id, calls })
            Assert.Equal(new Outcome.Done(), await lab.Host.LeaveAsync(left));
        Assert.Empty(lab.Host.Observe());
        Assert.False(Directory.Exists(certificates));
        Assert.Empty(Directory.GetFileSystemEntries(lab.Host.Files.Run));
        await Assert.ThrowsAsync<SocketException>(() => lab.TlsAsync(Shop));
    }

    [Fact]
    public async Task What_is_handed_through_is_read_by_the_backend_alone()
    {
        await using var lab = await GatewayLab.SetAsync();
        using var own = Upstream.SelfSigned("own.example.org");
        var through = await lab.OpenAsync("through", "own.example.org", Tls.Passthrough, c => c.Response.WriteAsync($"mine {c.Request.Protocol}"), own);
        var door = await lab.OpenAsync("door", Shop, Tls.Terminate, EchoAsync);
        await lab.ServingAsync(through);
        await lab.ServingAsync(door);
        using var http = new HttpClient(Handler(lab, (_, certificate, _, _) => certificate!.GetCertHashString() == own.GetCertHashString())) { DefaultRequestVersion = HttpVersion.Version20 };
        Assert.Equal("mine HTTP/2", await http.GetStringAsync(new Uri("https://own.example.org/"), Cancel));
        using var plain = lab.Client(HttpVersion.Version11);
        Assert.StartsWith("HTTP/1.1 GET", await plain.GetStringAsync(new Uri($"https://{Shop}/"), Cancel));

        // The other route stays when one goes, and the one that goes takes its connections along.
        using var tls = await RawAsync(lab, own);
        Assert.Equal(new Outcome.Done(), await lab.Host.CloseAsync(through));
        Assert.Equal(0, await ReadToEndAsync(tls));
        Assert.StartsWith("HTTP/1.1 GET", await plain.GetStringAsync(new Uri($"https://{Shop}/"), Cancel));
        Assert.True(lab.Seen(door) is { Serving: true });
    }

    [Fact]
    public async Task The_front_outlives_the_agent_and_is_started_again_when_it_ends()
    {
        await using var lab = await GatewayLab.SetAsync();
        var id = await lab.OpenAsync("door", Shop, Tls.Terminate, EchoAsync);
        await lab.ServingAsync(id);
        var (route, place) = (lab.Seen(id)!.Route!, lab.Host.PlaceOf(id)!.Value);
        using (var other = lab.Again())
        {
            Assert.Equal(lab.Seen(id), other.Observe()[id].Seen);
            var front = FrontProcess.Read(lab.Host.Files)!.Value;
            Assert.Equal(new Outcome.Done(), await other.OpenAsync(id, route, place));
            Assert.Equal(front, FrontProcess.Read(lab.Host.Files));
            Processes.Signal(front, 9);
            Wait.For(() => other.Observe()[id].Seen is { Whole: false, Serving: false }, "its end to be seen");
            Assert.Equal(new Outcome.Done(), await other.OpenAsync(id, route, place));
        }
        // What it had is taken up again: no second certificate is ordered.
        await lab.ServingAsync(id);
        Assert.Equal(1, lab.Log.Split('\n').Count(l => l.Contains("certificate until", StringComparison.Ordinal)));
        using var http = lab.Client(HttpVersion.Version20);
        Assert.StartsWith("HTTP/1.1 GET", await http.GetStringAsync(new Uri($"https://{Shop}/"), Cancel));
        // Told something else, it is another front.
        using var moved = lab.Again(lab.Options with { Dns = null });
        Assert.False(moved.Observe()[id].Seen.Whole);
    }

    [Fact]
    public async Task A_certificate_is_renewed_when_two_thirds_of_its_life_are_over()
    {
        // Long enough that a third of it is left for an order on a machine that has other things to do.
        await using var lab = await GatewayLab.SetAsync(TimeSpan.FromSeconds(12));
        var id = await lab.OpenAsync("door", Shop, Tls.Terminate, EchoAsync);
        await lab.ServingAsync(id);
        var first = lab.Host.Files.State(id)!.Until;
        Wait.For(() => lab.Host.Files.State(id)!.Until > first, $"second certificate\n{lab.Log}");
        using var http = lab.Client(HttpVersion.Version11);
        Assert.StartsWith("HTTP/1.1 GET", await http.GetStringAsync(new Uri($"https://{Shop}/"), Cancel));
    }

    [Fact]
    public async Task Without_a_certificate_nothing_is_served_and_the_reason_is_told()
    {
        await using var lab = await GatewayLab.SetAsync();
        lab.Pebble.Dispose();
        var id = await lab.OpenAsync("door", Shop, Tls.Terminate, EchoAsync);
        Wait.For(() => lab.Seen(id) is { Why: not null }, "a reason");
        Assert.True(lab.Seen(id) is { Whole: true, Serving: false });
        await Assert.ThrowsAsync<AuthenticationException>(() => lab.TlsAsync(Shop));
        using var http = lab.Client(HttpVersion.Version11);
        using var sent = await http.GetAsync(new Uri($"http://{Shop}/"), Cancel);
        Assert.Equal(HttpStatusCode.PermanentRedirect, sent.StatusCode);
    }

    [Fact]
    public async Task A_backend_that_is_not_there_is_said_to_be_not_there()
    {
        await using var lab = await GatewayLab.SetAsync();
        var id = await lab.OpenAsync("door", Shop, Tls.Terminate, null);
        await lab.ServingAsync(id);
        using var http = lab.Client(HttpVersion.Version20);
        using var response = await http.GetAsync(new Uri($"https://{Shop}/"), Cancel);
        Assert.Equal((HttpStatusCode.BadGateway, $"What serves {Shop} does not answer.\n"), (response.StatusCode, await response.Content.ReadAsStringAsync(Cancel)));
    }

    internal static async Task EchoAsync(HttpContext context)
    {
        var request = context.Request;
        context.Response.Headers["X-Backend"] = request.Protocol;
        if (await Upstream.EchoesAsync(context))
            return;
        var raw = context.Features.Get<IHttpRequestFeature>()!.RawTarget;
        var headers = request.Headers;
        await context.Response.WriteAsync($"{request.Protocol} {request.Method} {request.Host} {raw} for={headers["X-Forwarded-For"]} proto={headers["X-Forwarded-Proto"]} host={headers["X-Forwarded-Host"]} "
            + $"forwarded={headers["Forwarded"]} real={headers["X-Real-IP"]} {await new StreamReader(request.Body).ReadToEndAsync()}");
    }

    private static SocketsHttpHandler Handler(GatewayLab lab, System.Net.Security.RemoteCertificateValidationCallback validate) => new()
    {
        UseProxy = false,
        ConnectCallback = async (_, cancel) => new NetworkStream(await TcpAsync(lab.Options.Https, cancel), ownsSocket: true),
        SslOptions = new() { RemoteCertificateValidationCallback = validate },
    };

    private static async Task<Socket> TcpAsync(IPEndPoint to, CancellationToken cancel = default)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(to, cancel);
        return socket;
    }

    private static async Task<System.Net.Security.SslStream> RawAsync(GatewayLab lab, X509Certificate2 own)
    {
        var tls = new System.Net.Security.SslStream(new NetworkStream(await TcpAsync(lab.Options.Https), ownsSocket: true));
        await tls.AuthenticateAsClientAsync(new System.Net.Security.SslClientAuthenticationOptions
        {
            TargetHost = own.GetNameInfo(X509NameType.SimpleName, forIssuer: false),
            RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate!.GetCertHashString() == own.GetCertHashString(),
        });
        return tls;
    }

    private static async Task<int> ReadToEndAsync(Stream stream)
    {
        try
        {
            return await stream.ReadAsync(new byte[1], Cancel);
        }
        catch (IOException)
        {
            return 0;
        }
    }
}
