using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using Grid.Gateways;
using Grid.Node.Containers;
using Grid.Node.Gateways.Front;
using Grid.Node.Tests.Networks;

namespace Grid.Node.Tests.Gateways;

/// <summary>However many connections somebody opens, the others are served.</summary>
public sealed class CapTests
{
    private const string Shop = "shop.gw.example";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_route_and_all_together_have_as_many_connections_as_they_may_and_the_others_are_served()
    {
        await using var lab = await GatewayLab.SetAsync();
        var door = await lab.OpenAsync("door", Shop, Tls.Terminate, FrontTests.EchoAsync);
        var through = new List<(ContainerId Id, string Name)>();
        for (var i = 0; i < FrontLimits.Connections / FrontLimits.ConnectionsOfRoute; i++)
            through.Add((await lab.OpenAsync($"through-{i}", $"own-{i}.example.org", Tls.Passthrough, null), $"own-{i}.example.org"));
        await lab.ServingAsync(door);
        foreach (var (id, _) in through)
            await lab.ServingAsync(id);
        var (backends, held) = (new List<Socket>(), new List<Socket>());
        try
        {
            var hello = await HelloTests.RealHelloAsync(through[0].Name);
            backends.Add(await FillAsync(lab, through[0].Id, hello, held));

            // One more is let go at once, whoever it is; another route's are not concerned.
            using (var more = await AskAsync(lab, hello))
                Assert.Equal(0, await ReceiveAsync(more));
            using (var http = lab.Client(HttpVersion.Version11))
                Assert.StartsWith("HTTP/1.1 GET", await http.GetStringAsync(new Uri($"https://{Shop}/"), Cancel));
            Assert.Equal(FrontLimits.ConnectionsOfRoute, Waiting(lab, through[0].Id));

            // Who leaves makes room.
            held[^1].Dispose();
            held.RemoveAt(held.Count - 1);
            Socket? next = null;
            Wait.For(() =>
            {
                next?.Dispose();
                next = AskAsync(lab, hello).GetAwaiter().GetResult();
                return !next.Poll(TimeSpan.FromMilliseconds(200), SelectMode.SelectRead);
            }, "room for another");
            held.Add(next!);

            // When all places are taken nobody is met any more; when one goes the next is.
            foreach (var (id, name) in through.Skip(1))
                backends.Add(await FillAsync(lab, id, await HelloTests.RealHelloAsync(name), held));
            using var late = lab.Client(HttpVersion.Version11);
            Assert.False(Serves(late));
            held[^1].Dispose();
            Wait.For(() => Serves(late), "the front to serve again");
        }
        finally
        {
            held.Concat(backends).ToList().ForEach(s => s.Dispose());
        }
    }

    /// <summary>Opens as many as a route may have, all the way.</summary>
    /// <returns>a backend that never comes to accept: the kernel keeps what waits for it, and nobody closes anything</returns>
    private static async Task<Socket> FillAsync(GatewayLab lab, ContainerId gateway, byte[] hello, List<Socket> held)
    {
        var backend = GatewayLab.Inside(lab.Host.PlaceOf(gateway)!.Value, () => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
        backend.Bind(new IPEndPoint(IPAddress.Loopback, 8080));
        backend.Listen(FrontLimits.ConnectionsOfRoute);
        for (var left = FrontLimits.ConnectionsOfRoute; left > 0; left -= 64)
            held.AddRange(await Task.WhenAll(Enumerable.Range(0, 64).Select(_ => AskAsync(lab, hello))));
        await Task.Run(() => Wait.For(() => Waiting(lab, gateway) == FrontLimits.ConnectionsOfRoute, "all of them to be led to the backend"));
        return backend;
    }

    // As the kernel counts them in the gateway's namespace: connections to the backend, by its end.
    private static int Waiting(GatewayLab lab, ContainerId gateway)
    {
        var pid = lab.Host.PlaceOf(gateway)!.Value.Pid;
        return File.ReadLines($"/proc/{pid}/net/tcp").Count(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [_, "0100007F:1F90", _, "01", ..]);
    }

    private static bool Serves(HttpClient http)
    {
        try
        {
            using var answer = http.Send(new HttpRequestMessage(HttpMethod.Get, $"https://{Shop}/") { Version = HttpVersion.Version11 }, Cancel);
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static async Task<Socket> AskAsync(GatewayLab lab, byte[] hello)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(lab.Options.Https, Cancel);
        await socket.SendAsync(hello, Cancel);
        return socket;
    }

    private static async Task<int> ReceiveAsync(Socket socket)
    {
        try
        {
            return await socket.ReceiveAsync(new byte[16], Cancel);
        }
        catch (SocketException)
        {
            // It was not let finish.
            return 0;
        }
    }
}
