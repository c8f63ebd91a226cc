using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Grid.Addresses;
using Grid.Agreements;
using Grid.Farms;
using Grid.Node.Containers;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>A farm's public addresses: a node on a wire with the world, and a container that the world reaches by an address of its own.</summary>
[Collection("one at a time")]
public sealed class Addresses
{
    private const int Large = 1 << 20;

    private static readonly IPAddress Router = IPAddress.Parse("203.0.113.1"), Public = IPAddress.Parse("203.0.113.7"), Next = IPAddress.Parse("203.0.113.8");

    [Fact]
    public async Task An_address_is_reached_as_agreed_whatever_becomes_of_agent_and_container_and_is_gone_with_the_agreement()
    {
        if (!File.Exists("/usr/sbin/nft"))
            Assert.Skip("Addresses need nftables; run tools/setup.");
        await using var stage = await Stage.Stage.SetAsync();
        using var wire = new UnderlayNetwork();
        var world = wire.Add().Path;
        Run(world, "addr", "add", $"{Router}/24", "dev", "eth0");
        var farm = await stage.AddFarmAsync("north");
        var other = await stage.AddFarmAsync("south");
        var node = await stage.AddNodeAsync(farm, "one", wire, _ => Task.FromResult<IEnumerable<string>>(["--public", "eth0", "--public-ipv4", "2"]));
        var flist = await stage.PublishAsync(Trees.Make(stage, "public", root => File.WriteAllText(Path.Combine(root, "srv/large"), new string('x', Large))));
        var bare = Bare(node);
        var web = Trees.Run("web", node.Id, flist, "httpd", "-f", "-p", "8080", "-h", "/srv");
        var terms = stage.Terms(web, new PublicAddress("public", node.Id, Public, [new Port(Transport.Tcp, 8080)], "web"));

        // Whose an address is, the farmer says first; and one farm only.
        Assert.Equal(RefusalCode.AddressNotOwned, await stage.RefusedAsync(stage.Proposal(terms, farm)));
        await ListAsync(stage, farm, Public, Next);
        var foreign = await Assert.ThrowsAnyAsync<Exception>(() => ListAsync(stage, other, Public));
        Assert.Contains(RefusalCode.AddressConflict, foreign.Message, StringComparison.Ordinal);

        var id = await stage.AgreeAsync(terms, "running");
        Assert.Equal("page of public", await PageAsync(world, 8080));
        Assert.Equal(RefusalCode.AddressConflict, await stage.RefusedAsync(stage.Proposal(stage.Terms(web, new PublicAddress("mine", node.Id, Public, [new Port(Transport.Tcp, 80)], "web")), farm)));
        var held = await Assert.ThrowsAnyAsync<Exception>(() => ListAsync(stage, farm, Next));
        Assert.Contains(RefusalCode.AgreementsRunning, held.Message, StringComparison.Ordinal);

        // What else listens in the container is not reached, and nothing is begun from it, by whatever address.
        var init = node.Processes().Single().Value;
        using (var also = Inside(init, () => Listening(8081)))
            Assert.Null(await PageAsync(world, 8081));
        using (var heard = UnderlayNetwork.Inside(world, () => Bound(Router, 5353)))
        {
            foreach (var from in new[] { IPAddress.Any, Public })
            {
                using var begins = Inside(init, () => Bound(from, 8080));
                begins.SendTo("begun"u8, new IPEndPoint(Router, 5353));
                Assert.Null(await HearAsync(heard));
            }
            // A container cannot give itself another address, nor send raw packets; the test does it from outside.
            Run($"/proc/{init.Pid}/ns/net", "addr", "add", $"{Next}/32", "dev", "lo");
            using (var thief = Inside(init, () => Bound(Next, 8080)))
                thief.SendTo("stolen"u8, new IPEndPoint(Router, 5353));
            Assert.Null(await HearAsync(heard));
            Run($"/proc/{init.Pid}/ns/net", "addr", "del", $"{Next}/32", "dev", "lo");
        }

        // The agent is killed: the address is the kernel's. It comes back, and changes nothing.
        await node.KillAgentAsync();
        Assert.Equal("page of public", await PageAsync(world, 8080));
        await node.StartAsync();
        await Wait.ForAsync("the agent to see it", () => Phase(node) == "bound", stage.Logs);
        Assert.Equal(init, node.Processes().Single().Value);

        // The container ends and is started again: the address follows it.
        Posix.Kill(init.Pid);
        await Wait.ForAsync("another process", () => node.Processes().Values.Any(p => p != init), stage.Logs);
        await Wait.ForAsync("the page again", () => PageAsync(world, 8080), stage.Logs);

        // Another port and another address, by amendment: the container is not touched.
        init = node.Processes().Single().Value;
        await stage.AmendAsync(id, before => before with { Workloads = [.. before.Workloads.Select(w => w is PublicAddress a ? a with { Ip = Next } : w)] });
        await Wait.ForAsync("the page at the other address", () => PageAsync(world, 8080, Next), stage.Logs);
        Assert.Null(await PageAsync(world, 8080));
        await stage.UntilAsync(id, "running");
        Assert.Equal(init, node.Processes().Single().Value);
        Assert.Equal(Large, (await PageAsync(world, 8080, Next, "large"))!.Length);

        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        var watch = Stopwatch.StartNew();
        await Wait.ForAsync("the address to be gone", () => Bare(node) == bare, () => Bare(node) + stage.Logs());
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(10), $"It was there for {watch.Elapsed.TotalSeconds:0.0} s after the end.");
        await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace()) + stage.Logs());
        await ListAsync(stage, farm);

        // What the world got by the address is the container's, and in its receipts.
        var used = (await stage.BundleAsync(id)).History.Select(h => h.Statement.Payload.Body).OfType<Receipt>().SelectMany(r => r.Workloads).Where(w => w.Name == "web").Aggregate(Consumption.None, (sum, r) => sum.Then(r.Used));
        Assert.InRange(used.Sent.Value, Large, 2 * Large);
        Assert.InRange(used.Received.Value, 1, Large);
    }

    private static async Task ListAsync(Stage.Stage stage, StageFarm farm, params IPAddress[] addresses) =>
        await stage.SubmitAsync(stage.Sign(farm.Account.Value, new ListAddresses(farm.Id, [.. addresses.Select(a => new FarmAddress(a, 24, Router))]), farm.Name));

    private static string? Phase(StageNode node) =>
        node.Status().GetProperty("workloads").EnumerateArray().Where(w => w.GetProperty("kind").GetString() == PublicAddress.KindName).Select(w => w.GetProperty("phase").GetString()).SingleOrDefault();

    /// <summary>All that an address may leave in the node's namespace.</summary>
    private static string Bare(StageNode node) => string.Concat(
        Run(node.Space, "-o", "link", "show", "type", "veth"), Run(node.Space, "-4", "route", "show", "table", "all"), Run(node.Space, "rule", "show"), Run(node.Space, "neigh", "show", "proxy"),
        Start(node.Space, "/usr/sbin/nft", "list", "ruleset"));

    private static T Inside<T>(ProcessIdentity init, Func<T> make) => UnderlayNetwork.Inside($"/proc/{init.Pid}/ns/net", make);

    private static Socket Bound(IPAddress address, int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(address, port));
        return socket;
    }

    private static Socket Listening(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Any, port));
        socket.Listen();
        return socket;
    }

    private static async Task<string?> HearAsync(Socket socket)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        var buffer = new byte[64];
        try
        {
            return Encoding.UTF8.GetString(buffer, 0, await socket.ReceiveAsync(buffer, limit.Token));
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    private static async Task<string?> PageAsync(string world, int port, IPAddress? address = null, string path = "") =>
        (await Pages.TryAsync(world, new IPEndPoint(address ?? Public, port), path, TimeSpan.FromSeconds(3)))?.Trim();

    private static string Run(string space, params string[] arguments) => Start(space, "/usr/sbin/ip", arguments);

    private static string Start(string space, string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("/usr/bin/nsenter", [$"--net={space}", program, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var said = process.StandardOutput.ReadToEnd();
        var wrong = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {wrong}");
        return said;
    }
}
