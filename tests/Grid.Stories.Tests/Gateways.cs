using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Grid.Agreements;
using Grid.Gateways;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Tests.Gateways;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Grid.Stories.Tests;

/// <summary>
/// The world comes in by name: a container on one node, its gateways on another, the network between them, and a third machine that is the world, with
/// a certificate authority and a name server.
/// </summary>
[Collection("one at a time")]
public sealed class Gateways
{
    private const int Message = 1 << 20;

    private const string Domain = "gw.example", Shop = "shop.gw.example", Live = "live.gw.example", Calls = "calls.gw.example", Own = "own.example.org";

    [Fact]
    public async Task Names_lead_in_as_agreed_whatever_becomes_of_the_agent_and_are_gone_with_the_agreement()
    {
        UnderlayNetwork.NeedsTunnels();
        await using var stage = await Stage.Stage.SetAsync();
        using var wire = new UnderlayNetwork();
        var world = new OutsideWorld(wire.Add());
        Pebble? pebble = null;
        try
        {
            var farm = await stage.AddFarmAsync("north");
            var one = await stage.AddNodeAsync(farm, "one", wire);
            var two = await stage.AddNodeAsync(farm, "two", wire, async address =>
            {
                pebble = await world.CertifyAsync(stage.At("pebble"), address);
                return OutsideWorld.Doors(pebble, address, Domain);
            });
            world.Root = await pebble!.RootAsync();
            var flist = await stage.PublishAsync(Trees.Make(stage, "shop"));
            var web = Trees.Run("web", one.Id, flist, "httpd", "-f", "-p", "8080", "-h", "/srv") with { Networks = [At(2)] };
            Gateway Door(string name, string hostname, int port, byte host, DomainProof proof = DomainProof.Domain, Tls tls = Tls.Terminate) =>
                new(name, two.Id, hostname, tls, proof, new Backend("web", port), [At(host)]);
            var own = Door("own", Own, 8443, 6, DomainProof.Dns, Tls.Passthrough);

            // Nobody wrote that the name is this user's: the node finds out, and nothing starts anywhere.
            var refused = await stage.AgreeAsync(stage.Terms(Net, web, own), "refused");
            Assert.Equal(RefusalCode.DomainNotProven, Assert.IsType<Agreement.Refused>((await stage.BundleAsync(refused)).Agreement).Code);
            Assert.Empty(one.Running());
            await pebble.TellAsync($"{Gateway.Challenge}.{Own}", stage.User.ToString());

            var id = await stage.AgreeAsync(stage.Terms(Net, web, Door("door", Shop, 8080, 3), Door("live", Live, 8081, 4), Door("calls", Calls, 8082, 5), own), "running");
            Assert.Equal(RefusalCode.NameTaken, await stage.RefusedAsync(stage.Proposal(stage.Terms(Net, web, Door("mine", Shop, 8080, 3)), farm)));
            Assert.Equal(RefusalCode.DomainNotProven, await stage.RefusedAsync(stage.Proposal(stage.Terms(Net, web, Door("mine", "a.b.gw.example", 8080, 3)), farm)));

            // What the container itself serves.
            foreach (var version in new[] { HttpVersion.Version11, HttpVersion.Version20 })
            {
                using var http = world.Client(version);
                Assert.Equal("page of shop\n", await Wait.ForAsync($"the page by HTTP/{version}", () => TryAsync(http, $"https://{Shop}/index.html"), stage.Logs));
            }
            // Programs that speak the rest, in the container's own network namespace.
            var container = one.Processes().Single().Value;
            using var certificate = Upstream.SelfSigned(Own);
            await using var live = await BackendAsync(container, 8081, HttpProtocols.Http1);
            await using var calls = await BackendAsync(container, 8082, HttpProtocols.Http2);
            await using var secret = await BackendAsync(container, 8443, HttpProtocols.Http1AndHttp2, certificate);
            await SocketsAsync(world);
            await CallsAsync(world);
            await ThroughAsync(world, certificate);
            foreach (var nobody in new[] { "other.gw.example", "gw.example", "shop.gw.example.org" })
                await Assert.ThrowsAsync<AuthenticationException>(() => world.TlsAsync(nobody));
            using (var plain = world.Client(HttpVersion.Version11))
            {
                using var sent = await plain.GetAsync(new Uri($"http://{Own}/a?b"));
                Assert.Equal((HttpStatusCode.PermanentRedirect, $"https://{Own}/a?b"), (sent.StatusCode, sent.Headers.Location!.OriginalString));
            }

            // The agent is killed while an answer streams: it goes on, and on when the agent is back.
            var fronts = two.Gateways().Order().ToList();
            using var streaming = world.Client(HttpVersion.Version20);
            await using var ticks = await streaming.GetStreamAsync(new Uri($"https://{Live}/ticks"));
            await TicksAsync(ticks, 3);
            await two.KillAgentAsync();
            await TicksAsync(ticks, 3);
            using (var fresh = world.Client(HttpVersion.Version20))
                Assert.Equal("page of shop\n", await fresh.GetStringAsync(new Uri($"https://{Shop}/index.html")));
            await two.StartAsync();
            await Wait.ForAsync("the agent to see them", () => two.Status().GetProperty("workloads").EnumerateArray().Count(w => w.GetProperty("phase").GetString() is "serving") == 4, stage.Logs);
            await TicksAsync(ticks, 3);
            Assert.Equal(fronts, two.Gateways().Order());
            await CallsAsync(world);

            // One more stream, which the gateway hands through unread.
            using var unread = world.Client(HttpVersion.Version20, certificate);
            await using var secrets = await unread.GetStreamAsync(new Uri($"https://{Own}/ticks"));
            await TicksAsync(secrets, 3);
            await EndsAsync(stage, id, "four gateways", [
                ("the stream", () => EndedAsync(ticks)), ("the stream handed through", () => EndedAsync(secrets)),
                .. new[] { Shop, Live, Calls }.Select(n => (n, (Func<Task>)(() => NowhereAsync(world, stage, n)))), (Own, () => NowhereAsync(world, stage, Own, certificate)),
            ]);
            await Wait.ForAsync("every trace to be gone", () => one.Traces().Count == 0 && two.Traces().Count == 0, () => string.Join('\n', two.Traces()) + stage.Logs());
            await CountedAsync(stage, id);

            // The name is free for the next, who loses it as soon; also when the agent has just begun anew.
            foreach (var restarted in new[] { false, true })
            {
                var again = await stage.AgreeAsync(stage.Terms(Net, web, Door("door", Shop, 8080, 3)), "running");
                using (var fresh = world.Client(HttpVersion.Version11))
                    Assert.Equal("page of shop\n", await Wait.ForAsync("the page again", () => TryAsync(fresh, $"https://{Shop}/index.html"), stage.Logs));
                if (restarted)
                {
                    await two.KillAgentAsync();
                    await two.StartAsync();
                }
                await EndsAsync(stage, again, restarted ? "just after a restart of the agent" : "the agent running", (Shop, () => NowhereAsync(world, stage, Shop)));
                await Wait.ForAsync("every trace to be gone", () => one.Traces().Count == 0 && two.Traces().Count == 0, () => string.Join('\n', two.Traces()) + stage.Logs());
            }
        }
        finally
        {
            pebble?.Dispose();
        }
    }

    private static Network Net => new("net", IPNetwork.Parse("10.42.0.0/24"), Egress.None);

    private static NetworkAddress At(byte host) => new("net", new IPAddress([10, 42, 0, host]));

    private static async Task SocketsAsync(OutsideWorld world)
    {
        using var socket = new ClientWebSocket();
        await socket.ConnectAsync(new Uri($"wss://{Live}/socket"), world.Invoker(), default);
        await socket.SendAsync("hello"u8.ToArray(), WebSocketMessageType.Text, true, default);
        var buffer = new byte[64];
        var got = await socket.ReceiveAsync(buffer, default);
        Assert.Equal("hello", Encoding.UTF8.GetString(buffer, 0, got.Count));
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "", default);
    }

    private static async Task CallsAsync(OutsideWorld world)
    {
        byte[] message = [0, .. BitConverter.GetBytes(Message).Reverse(), .. new byte[Message]];
        using var http = world.Client(HttpVersion.Version20);
        using var request = new HttpRequestMessage(HttpMethod.Post, $"https://{Calls}/package.Service/Call") { Version = HttpVersion.Version20, Content = new ByteArrayContent(message) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/grpc");
        request.Headers.TE.ParseAdd("trailers");
        using var response = await http.SendAsync(request);
        Assert.Equal(message, await response.Content.ReadAsByteArrayAsync());
        Assert.Equal("0", response.TrailingHeaders.GetValues("grpc-status").Single());
    }

    /// <summary>What the world sent and got is the gateways', and in their receipts; behind them it is inside, and nobody's to pay.</summary>
    private static async Task CountedAsync(Stage.Stage stage, AgreementId id)
    {
        var reports = (await stage.BundleAsync(id)).History.Select(h => h.Statement.Payload.Body).OfType<Receipt>().SelectMany(r => r.Workloads).ToLookup(w => w.Name);
        Consumption Used(string name) => reports[name].Aggregate(Consumption.None, (sum, r) => sum.Then(r.Used));
        // Twice called, once before the agent was killed: what it had not said yet is in no receipt.
        Assert.InRange(Used("calls").Sent.Value, Message, 2 * (Message + Message / 8));
        Assert.InRange(Used("calls").Received.Value, Message, 2 * (Message + Message / 8));
        foreach (var (name, least) in new[] { ("door", 500), ("live", 500), ("own", 500), ("web", 0) })
        {
            Assert.InRange(Used(name).Sent.Value, least, 64 * least);
            Assert.InRange(Used(name).Received.Value, least, 64 * least);
        }
    }

    private static async Task ThroughAsync(OutsideWorld world, X509Certificate2 certificate)
    {
        using var http = world.Client(HttpVersion.Version20, certificate);
        Assert.Equal("HTTP/2 own.example.org", await http.GetStringAsync(new Uri($"https://{Own}/")));
    }

    private static async Task TicksAsync(Stream ticks, int count)
    {
        var buffer = new byte[1];
        for (var i = 0; i < count; i++)
        {
            if (await ticks.ReadAsync(buffer) == 0)
                throw new EndOfStreamException();
        }
    }

    /// <summary>Cancels, and gives all of these two seconds, from before the ledger has heard of it.</summary>
    private static async Task EndsAsync(Stage.Stage stage, AgreementId id, string when, params (string What, Func<Task> Gone)[] all)
    {
        var cancel = stage.Sign(stage.User.Value, new CancelAgreement(id), "user");
        var clock = Stopwatch.StartNew();
        var gone = all.Select(async a =>
        {
            await a.Gone();
            return (a.What, clock.Elapsed);
        }).ToList();
        await stage.SubmitAsync(cancel);
        foreach (var (what, after) in await Task.WhenAll(gone))
        {
            Console.WriteLine($"{when}: {what} was there for {after.TotalSeconds:0.00} s after the end");
            Assert.True(after < TimeSpan.FromSeconds(2), $"{when}: {what} was there for {after.TotalSeconds:0.0} s after the end.");
        }
    }

    private static Task EndedAsync(Stream ticks) => Assert.ThrowsAnyAsync<Exception>(() => TicksAsync(ticks, int.MaxValue)).WaitAsync(TimeSpan.FromSeconds(60));

    private static Task NowhereAsync(OutsideWorld world, Stage.Stage stage, string name, X509Certificate2? only = null) =>
        Wait.ForAsync($"{name} to lead nowhere", async () => await ServesAsync(world, name, only) ? null : "gone", stage.Logs);

    private static async Task<string?> TryAsync(HttpClient http, string url)
    {
        try
        {
            return await http.GetStringAsync(new Uri(url));
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    private static async Task<bool> ServesAsync(OutsideWorld world, string name, X509Certificate2? only)
    {
        try
        {
            await using var tls = await world.TlsAsync(name, only);
            return true;
        }
        catch (Exception e) when (e is SocketException or IOException or AuthenticationException)
        {
            return false;
        }
    }

    private static Task<WebApplication> BackendAsync(ProcessIdentity container, int port, HttpProtocols protocols, X509Certificate2? certificate = null) =>
        Upstream.StartAsync(new IPEndPoint(IPAddress.Parse("10.42.0.2"), port), make => UnderlayNetwork.Inside($"/proc/{container.Pid}/ns/net", make), AnswerAsync, protocols, certificate);

    private static async Task AnswerAsync(HttpContext context)
    {
        var (request, response) = (context.Request, context.Response);
        if (await Upstream.EchoesAsync(context))
            return;
        if (request.Path == "/ticks")
        {
            using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
            while (await timer.WaitForNextTickAsync(context.RequestAborted))
            {
                await response.WriteAsync(".", context.RequestAborted);
                await response.Body.FlushAsync(context.RequestAborted);
            }
        }
        else
        {
            await response.WriteAsync($"{request.Protocol} {request.Host}");
        }
    }
}
