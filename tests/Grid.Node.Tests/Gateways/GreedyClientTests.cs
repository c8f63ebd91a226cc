using System.Diagnostics;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Grid.Gateways;
using Grid.Node.Gateways.Front;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Grid.Node.Tests.Gateways;

/// <summary>Who is slow on purpose, and who has too much to say, holds no more than a little, and not for long.</summary>
public sealed class GreedyClientTests
{
    private const string Shop = "shop.gw.example", Calls = "calls.gw.example", Own = "own.example.org";

    // Far more than the front allows, and less than what ends everything after a silence.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Slow_and_greedy_clients_are_let_go()
    {
        await using var lab = await GatewayLab.SetAsync();
        var id = await lab.OpenAsync("door", Shop, Tls.Terminate, FrontTests.EchoAsync);
        await lab.ServingAsync(id);
        // Who says nothing, who says half a hello, who never finishes its headers.
        using var silent = await TcpAsync(lab.Options.Https);
        using var half = await TcpAsync(lab.Options.Https);
        await half.SendAsync(new byte[] { 22, 3, 1, 2, 0, 1, 0 });
        await using var slow = await lab.TlsAsync(Shop);
        await slow.WriteAsync(Encoding.ASCII.GetBytes($"GET / HTTP/1.1\r\nHost: {Shop}\r\nX: "), Cancel);
        await using var slow2 = await RawHttp2.OpenAsync(lab, Shop);
        await slow2.SendAsync(RawHttp2.Headers, RawHttp2.EndStream, 1, RawHttp2.Head("GET", Shop));
        using var noise = await TcpAsync(lab.Options.Https);
        await noise.SendAsync("GET / HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray());
        Assert.Equal(0, await noise.ReceiveAsync(new byte[16], Cancel));
        Assert.Equal(0, await silent.ReceiveAsync(new byte[16], Cancel));
        Assert.Equal(0, await half.ReceiveAsync(new byte[16], Cancel));
        Assert.StartsWith("HTTP/1.1 408", await ReadAsync(slow));
        Assert.DoesNotContain(await slow2.ReceiveAllAsync(), f => f.Type == RawHttp2.Headers);
        // Who has too much to say before it says anything.
        foreach (var flood in new[] { string.Concat(Enumerable.Range(0, 200).Select(i => $"X-{i}: 1\r\n")), $"X: {new string('a', 64 * 1024)}\r\n" })
        {
            await using var greedy = await lab.TlsAsync(Shop);
            await greedy.WriteAsync(Encoding.ASCII.GetBytes($"GET / HTTP/1.1\r\nHost: {Shop}\r\n{flood}\r\n"), Cancel);
            Assert.StartsWith("HTTP/1.1 431", await ReadAsync(greedy));
        }
    }

    [Fact]
    public async Task Heads_by_HTTP_2_have_the_same_bounds()
    {
        await using var lab = await GatewayLab.SetAsync();
        var reached = 0;
        var id = await lab.OpenAsync("door", Shop, Tls.Terminate, c =>
        {
            Interlocked.Increment(ref reached);
            return Task.CompletedTask;
        });
        await lab.ServingAsync(id);
        // As many fields as may be, or more; and so many bytes that it takes several frames.
        foreach (var (fields, length, allowed) in new[] { (90, 1, true), (200, 1, false), (90, 200, true), (90, 500, false) })
        {
            using var http = lab.Client(HttpVersion.Version20);
            using var request = new HttpRequestMessage(HttpMethod.Get, $"https://{Shop}/") { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
            for (var i = 0; i < fields; i++)
                request.Headers.TryAddWithoutValidation($"X-{i}", new string('a', length));
            var said = await SaidAsync(http, request);
            Assert.True(allowed == (said == "200"), $"{fields} fields of {length}: {said}");
        }
        Assert.Equal(2, reached);

        // Who never comes to the end of a head, though each frame is small: cut by what it says, or, when that is nothing, by the clock.
        byte[] fieldsOfOne = [.. Enumerable.Range(0, 40).SelectMany(i => RawHttp2.Field(($"x-{i}", new string('a', 90))))];
        foreach (var (more, before) in new (byte[], TimeSpan)[] { (fieldsOfOne, FrontLimits.RequestHeaders), ([], Patience) })
        {
            await using var flood = await RawHttp2.OpenAsync(lab, Shop);
            await flood.SendAsync(RawHttp2.Headers, RawHttp2.EndStream, 1, RawHttp2.Head("GET", Shop));
            var clock = Stopwatch.StartNew();
            var sent = await SendUntilCutAsync(flood, more);
            Assert.True(clock.Elapsed < before, $"It went on for {clock.Elapsed}, {sent} frames of {more.Length}.");
        }
        Assert.Equal(2, reached);
    }

    [Fact]
    public async Task Who_stops_in_the_middle_of_a_body_is_let_go_and_who_waits_for_an_answer_is_not()
    {
        await using var lab = await GatewayLab.SetAsync();
        var id = await lab.OpenAsync("door", Shop, Tls.Terminate, FrontTests.EchoAsync);
        var calls = await lab.OpenAsync("calls", Calls, Tls.Terminate, FrontTests.EchoAsync, protocols: HttpProtocols.Http2);
        await lab.ServingAsync(id);
        await lab.ServingAsync(calls);
        // These wait, from before the others begin: nothing is owed by either side.
        using var http = lab.Client(HttpVersion.Version20);
        await using var call = new StreamedCall(http, $"https://{Calls}/");
        await call.SayAsync(1);
        using var invoker = lab.Invoker();
        var sockets = new List<ClientWebSocket>();
        foreach (var version in new[] { HttpVersion.Version11, HttpVersion.Version20 })
        {
            sockets.Add(new ClientWebSocket { Options = { HttpVersion = version, HttpVersionPolicy = HttpVersionPolicy.RequestVersionExact } });
            await sockets[^1].ConnectAsync(new Uri($"wss://{Shop}/"), invoker, Cancel);
            await EchoedAsync(sockets[^1]);
        }

        await using var slow = await lab.TlsAsync(Shop);
        await slow.WriteAsync(Encoding.ASCII.GetBytes($"POST / HTTP/1.1\r\nHost: {Shop}\r\nContent-Length: 1000\r\n\r\nx"), Cancel);
        await using var slow2 = await RawHttp2.OpenAsync(lab, Shop);
        await slow2.SendAsync(RawHttp2.Headers, RawHttp2.EndHeaders, 1, RawHttp2.Head("POST", Shop));
        await slow2.SendAsync(RawHttp2.Data, 0, 1, [120]);
        Assert.Matches("^(HTTP/1.1 408|$)", await ReadAsync(slow));
        Assert.DoesNotContain(await slow2.ReceiveAllAsync(), f => f.Type == RawHttp2.Data);

        await call.SayAsync(2);
        Assert.Equal("0", await call.EndAsync());
        foreach (var socket in sockets)
        {
            await EchoedAsync(socket);
            socket.Dispose();
        }
    }

    [Fact]
    public async Task Who_stops_reading_is_let_go_with_all_that_it_held()
    {
        await using var lab = await GatewayLab.SetAsync();
        using var certificate = Upstream.SelfSigned(Own);
        var cut = System.Threading.Channels.Channel.CreateUnbounded<string>();
        async Task EndlessAsync(HttpContext context)
        {
            var page = new byte[16_384];
            try
            {
                while (!context.RequestAborted.IsCancellationRequested)
                    await context.Response.Body.WriteAsync(page, context.RequestAborted);
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
                // As it should be.
            }
            cut.Writer.TryWrite(context.Request.Host.Host);
        }
        var id = await lab.OpenAsync("door", Shop, Tls.Terminate, EndlessAsync);
        var through = await lab.OpenAsync("through", Own, Tls.Passthrough, EndlessAsync, certificate);
        await lab.ServingAsync(id);
        await lab.ServingAsync(through);
        await using var deaf = await AskAsync(await lab.TlsAsync(Shop), Shop);
        // And who gives no leave to send what it asked for, though it is there.
        await using var closed = await RawHttp2.OpenAsync(lab, Shop, (RawHttp2.InitialWindow, 0));
        await closed.SendAsync(RawHttp2.Headers, RawHttp2.EndHeaders | RawHttp2.EndStream, 1, RawHttp2.Head("GET", Shop));
        await using var unread = await AskAsync(await BelievingAsync(lab, certificate, Own), Own);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        // Longer than a front may take that has to share two processors with all other tests.
        patience.CancelAfter(2 * Patience);
        var names = new List<string>();
        try
        {
            while (names.Count < 3)
                names.Add(await cut.Reader.ReadAsync(patience.Token));
        }
        catch (OperationCanceledException) when (!Cancel.IsCancellationRequested)
        {
            // Said by who is missing.
        }
        Assert.Equal([Own, Shop, Shop], names.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Who_gives_no_leave_for_the_second_piece_of_an_answer_is_let_go_as_for_the_first()
    {
        await using var lab = await GatewayLab.SetAsync();
        var (go, cut) = (new TaskCompletionSource(), new TaskCompletionSource());
        var id = await lab.OpenAsync("door", Shop, Tls.Terminate, async context =>
        {
            if (HttpMethods.IsHead(context.Request.Method))
                return;
            try
            {
                // So little that Kestrel takes it before there is leave.
                await context.Response.Body.WriteAsync(new byte[1_000], context.RequestAborted);
                await context.Response.Body.FlushAsync(context.RequestAborted);
                await go.Task;
                while (true)
                    await context.Response.Body.WriteAsync(new byte[16_384], context.RequestAborted);
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
                cut.SetResult();
            }
        });
        await lab.ServingAsync(id);
        await using var closed = await RawHttp2.OpenAsync(lab, Shop, (RawHttp2.InitialWindow, 0));
        await closed.SendAsync(RawHttp2.Headers, RawHttp2.EndHeaders | RawHttp2.EndStream, 1, RawHttp2.Head("GET", Shop));
        // Once the head of another answer is there, which comes later, the first piece of this has begun to wait.
        await HeadAsync(1);
        await closed.SendAsync(RawHttp2.Headers, RawHttp2.EndHeaders | RawHttp2.EndStream, 3, RawHttp2.Head("HEAD", Shop));
        await HeadAsync(3);
        go.SetResult();
        await cut.Task.WaitAsync(2 * Patience, Cancel);

        async Task HeadAsync(int stream)
        {
            while (await closed.ReceiveAsync() is var frame && (frame?.Type, frame?.Stream) != (RawHttp2.Headers, stream))
                Assert.NotNull(frame);
        }
    }

    private static async Task<SslStream> AskAsync(SslStream tls, string name)
    {
        await tls.WriteAsync(Encoding.ASCII.GetBytes($"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"), Cancel);
        await tls.ReadExactlyAsync(new byte[1024], Cancel);
        return tls;
    }

    private static async Task<SslStream> BelievingAsync(GatewayLab lab, X509Certificate2 only, string name)
    {
        var tls = new SslStream(new NetworkStream(await TcpAsync(lab.Options.Https), ownsSocket: true), false, (_, shown, _, _) => shown!.GetCertHashString() == only.GetCertHashString());
        await tls.AuthenticateAsClientAsync(name);
        return tls;
    }

    private static async Task<string> SaidAsync(HttpClient http, HttpRequestMessage request)
    {
        try
        {
            using var answer = await http.SendAsync(request, Cancel);
            return $"{(int)answer.StatusCode}";
        }
        catch (HttpRequestException e)
        {
            return $"{e.HttpRequestError}";
        }
    }

    /// <returns>how many frames went out before the other end closed</returns>
    private static async Task<int> SendUntilCutAsync(RawHttp2 to, byte[] more)
    {
        var (over, frames) = (to.ReceiveAllAsync(), 0);
        try
        {
            for (; !over.IsCompleted; frames++)
                await to.SendAsync(RawHttp2.Continuation, 0, 1, more);
        }
        catch (IOException)
        {
            // It was not let finish.
        }
        await over;
        return frames;
    }

    private static async Task EchoedAsync(ClientWebSocket socket)
    {
        await socket.SendAsync("hello"u8.ToArray(), WebSocketMessageType.Text, true, Cancel);
        var buffer = new byte[64];
        var got = await socket.ReceiveAsync(buffer, Cancel);
        Assert.Equal("hello", Encoding.UTF8.GetString(buffer, 0, got.Count));
    }

    private static async Task<string> ReadAsync(SslStream from)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        patience.CancelAfter(Patience);
        var answer = new byte[1024];
        return Encoding.ASCII.GetString(answer, 0, await from.ReadAsync(answer, patience.Token));
    }

    private static async Task<Socket> TcpAsync(IPEndPoint to)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(to);
        return socket;
    }
}
