using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Grid.Addresses;
using Grid.Farms;
using Grid.Node.Containers;
using Grid.Node.Networks;
using Grid.Units;

namespace Grid.Node.Tests.Networks;

/// <summary>A node and the world on one wire, and beyond the world's router a network behind it; all in namespaces of the test.</summary>
public sealed class AddressTests : IDisposable
{
    private static readonly AgreementId Agreement = new(Digest.Of("addresses"u8));

    // What answers does so within a few milliseconds; what is dropped would go on trying.
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(10), Short = TimeSpan.FromMilliseconds(300);

    private readonly Space _node, _world;
    private readonly PublicAddresses _host;
    private readonly List<Space> _containers = [];

    public AddressTests()
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists("/usr/sbin/nft"))
            Assert.Skip("Addresses need root, iproute2 and nftables; run tools/setup.");
        (_node, _world) = (new Space(ofContainer: false), new Space(ofContainer: false));
        _node.Ip("link set lo up", $"link add out type veth peer name out netns {_world.Init.Pid}", "link set out addrgenmode none", "addr add 192.0.2.10/24 dev out", "addr add 2001:db8:1::10/64 dev out nodad", "link set out up");
        _world.Ip("link set lo up", "link set out addrgenmode none", "addr add 203.0.113.1/24 dev out", "addr add 2001:db8:2::1/64 dev out nodad", "addr add 198.51.100.9/32 dev lo", "addr add 2001:db8:9::9/128 dev lo nodad", "link set out up");
        // The strictest that a farmer may have set.
        _node.Run("/usr/sbin/sysctl", "-q", "-w", "net.ipv4.conf.all.rp_filter=1");
        _host = PublicAddresses.Open($"test {Guid.NewGuid()}", _node.Path, "out", out var why) ?? throw new InvalidOperationException(why);
    }

    public void Dispose()
    {
        _containers.ForEach(c => c.Dispose());
        _node?.Dispose();
        _world?.Dispose();
    }

    [Theory]
    [InlineData("203.0.113.7/24@203.0.113.1", "203.0.113.1", "198.51.100.9")]
    [InlineData("2001:db8:2::7/64@2001:db8:2::1", "2001:db8:2::1", "2001:db8:9::9")]
    public async Task The_world_reaches_the_agreed_ports_and_no_others_and_the_container_begins_nothing(string text, string near, string far)
    {
        var (listed, web) = (Listed(text), Container());
        var ip = listed.Address;
        using var agreed = Served(web, ip.AddressFamily, 8080);
        using var other = Served(web, ip.AddressFamily, 8081);
        using var world = Served(_world, ip.AddressFamily, 80);
        using var own = Served(_node, ip.AddressFamily, 22);
        Bind("public", ip, web, listed, new Port(Transport.Tcp, 8080));

        Assert.Equal($"from {near}", await DialAsync(_world, new IPEndPoint(ip, 8080)));
        // From beyond the router: the reply goes by the gateway that the farm lists.
        Assert.Equal($"from {far}", await DialAsync(_world, new IPEndPoint(ip, 8080), IPAddress.Parse(far)));
        await RefusedAsync(_world, new IPEndPoint(ip, 8081));
        await RefusedAsync(web, new IPEndPoint(IPAddress.Parse(near), 80));
        await RefusedAsync(web, new IPEndPoint(IPAddress.Parse(far), 80));
        await RefusedAsync(web, new IPEndPoint(IPAddress.Parse(ip.AddressFamily is AddressFamily.InterNetwork ? "192.0.2.10" : "2001:db8:1::10"), 22));
        await RefusedAsync(_node, new IPEndPoint(ip, 8080));
        // No link-local address on either end: nothing is said on the link but what is agreed.
        Assert.DoesNotContain("fe80", web.Run("/usr/sbin/ip", "addr", "show"), StringComparison.Ordinal);

        // A way out of its own, as by egress, takes no answer along.
        web.Ip("link add way type veth peer name nowhere", "addr add 100.64.0.1/31 dev way", "addr add fd00::1/127 dev way nodad", "link set way up", "link set nowhere up",
            ip.AddressFamily is AddressFamily.InterNetwork ? "route add default via 100.64.0.0 dev way" : "route add default via fd00:: dev way metric 1");
        Assert.Equal($"from {far}", await DialAsync(_world, new IPEndPoint(ip, 8080), IPAddress.Parse(far)));

        // Another port by amendment: the first is closed at once, and the link stays.
        var link = Links();
        Bind("public", ip, web, listed, new Port(Transport.Tcp, 8081));
        Assert.Equal(link, Links());
        await RefusedAsync(_world, new IPEndPoint(ip, 8080));
        Assert.Equal($"from {near}", await DialAsync(_world, new IPEndPoint(ip, 8081)));
        Assert.Equal([new Port(Transport.Tcp, 8081)], Seen()["public"].Ports);
    }

    [Fact]
    public async Task Nobody_speaks_with_another_address_than_its_own()
    {
        var (a, b) = (Container(), Container());
        Bind("a", Listed("203.0.113.7/24@203.0.113.1").Address, a, Listed("203.0.113.7/24@203.0.113.1"), new Port(Transport.Udp, 53));
        Bind("b", Listed("203.0.113.8/24@203.0.113.1").Address, b, Listed("203.0.113.8/24@203.0.113.1"), new Port(Transport.Tcp, 8080), new Port(Transport.Udp, 53));
        using var heard = _world.Make(() => Bound(IPAddress.Parse("203.0.113.1"), 5353));
        using var served = Served(b, AddressFamily.InterNetwork, 8080);

        // What answers may answer, by its own address.
        using (var server = a.Make(() => Bound(IPAddress.Any, 53)))
        {
            heard.SendTo("ask"u8, new IPEndPoint(IPAddress.Parse("203.0.113.7"), 53));
            Assert.Equal("ask", await HearAsync(server));
            server.SendTo("answer"u8, new IPEndPoint(IPAddress.Parse("203.0.113.1"), 5353));
            Assert.Equal("answer", await HearAsync(heard));
            // The same port to somebody who never asked.
            server.SendTo("begun"u8, new IPEndPoint(IPAddress.Parse("203.0.113.1"), 5354));
            using var silent = _world.Make(() => Bound(IPAddress.Parse("203.0.113.1"), 5354));
            server.SendTo("begun"u8, new IPEndPoint(IPAddress.Parse("203.0.113.1"), 5354));
            Assert.Null(await HearAsync(silent, Short));
        }
        // It takes its neighbour's address as its own, to answer what the neighbour was asked, and one of nobody. The kernel's own check is no help here.
        _node.Run("/usr/sbin/sysctl", "-q", "-w", "net.ipv4.conf.all.rp_filter=0");
        foreach (var stolen in new[] { "203.0.113.8", "203.0.113.9" })
        {
            a.Ip($"addr add {stolen}/32 dev lo");
            heard.SendTo("ask"u8, new IPEndPoint(IPAddress.Parse(stolen), 53));
            using var thief = a.Make(() => Bound(IPAddress.Parse(stolen), 53));
            thief.SendTo("stolen"u8, new IPEndPoint(IPAddress.Parse("203.0.113.1"), 5353));
            Assert.Null(await HearAsync(heard, Short));
            a.Ip($"addr del {stolen}/32 dev lo");
        }
        // What the world may reach, a neighbour on the node may not: it would have to begin.
        await RefusedAsync(a, new IPEndPoint(IPAddress.Parse("203.0.113.8"), 8080));
        Assert.Equal("from 203.0.113.1", await DialAsync(_world, new IPEndPoint(IPAddress.Parse("203.0.113.8"), 8080)));
    }

    [Fact]
    public async Task It_is_found_again_bound_again_after_a_restart_and_released_without_a_trace()
    {
        var before = Traces();
        var (four, six, web) = (Listed("203.0.113.7/24@203.0.113.1"), Listed("2001:db8:2::7/64@2001:db8:2::1"), Container());
        Bind("a4", four.Address, web, four, new Port(Transport.Tcp, 8080));
        Bind("a6", six.Address, web, six, new Port(Transport.Tcp, 8080));
        Assert.Equal(["a4", "a6"], Seen().Where(s => s.Value is { Whole: true, Workload: "c0" }).Select(s => s.Key).Order());
        Assert.IsType<Outcome.Transient>(_host.Bind(Id("thief"), Wish("thief", four.Address), four, web.Init, null));

        // The container ends, and is there again.
        web.Dispose();
        Wait.For(() => Seen().Values.All(s => s is { Whole: false, Workload: null }), "end of the links");
        _containers.Clear();
        web = Container();
        using (var server = Served(web, AddressFamily.InterNetwork, 8080))
        {
            Bind("a4", four.Address, web, four, new Port(Transport.Tcp, 8080));
            Assert.Equal("from 203.0.113.1", await DialAsync(_world, new IPEndPoint(four.Address, 8080)));
        }
        Assert.True(Seen()["a4"].Whole);

        // Somebody takes away what leads to it: seen, and put right.
        foreach (var lost in new[] { "neigh del proxy 203.0.113.7 dev out", "rule del from 203.0.113.7", "route del 203.0.113.7" })
        {
            _node.Ip(lost);
            Assert.False(Seen()["a4"].Whole);
            Bind("a4", four.Address, web, four, new Port(Transport.Tcp, 8080));
            Assert.True(Seen()["a4"].Whole, lost);
        }
        _node.Run("/usr/sbin/nft", "flush", "ruleset");
        Assert.Empty(Seen());
        Bind("a4", four.Address, web, four, new Port(Transport.Tcp, 8080));
        Bind("a6", six.Address, web, six, new Port(Transport.Tcp, 8080));
        Assert.Equal(["a4", "a6"], Seen().Where(s => s.Value.Whole).Select(s => s.Key).Order());

        foreach (var name in new[] { "a4", "a6", "a6" })
            Assert.Equal(new Outcome.Done(), _host.Release(Id(name), _containers.Select(c => c.Init)));
        Assert.Empty(Seen());
        Assert.Equal(before, Traces());
        Assert.Equal(["lo"], web.Interfaces);
        Assert.DoesNotContain("5210", web.Run("/usr/sbin/ip", "rule", "show") + web.Run("/usr/sbin/ip", "-6", "rule", "show"), StringComparison.Ordinal);
    }

    [Fact]
    public void Two_that_change_places_do_not_wait_for_each_other()
    {
        var (seven, eight, a, b) = (Listed("203.0.113.7/24@203.0.113.1"), Listed("203.0.113.8/24@203.0.113.1"), Container(), Container());
        Bind("a", seven.Address, a, seven);
        Bind("b", eight.Address, b, eight);
        Assert.IsType<Outcome.Transient>(_host.Bind(Id("a"), Wish("a", eight.Address), eight, a.Init, null));
        Bind("b", seven.Address, b, seven);
        Bind("a", eight.Address, a, eight);
        Assert.Equal([("a", "c0", eight.Address), ("b", "c1", seven.Address)], Seen().OrderBy(s => s.Key).Select(s => (s.Key, s.Value.Workload, s.Value.Ip)));
    }

    [Theory]
    [InlineData("203.0.113.7/24@203.0.113.1")]
    [InlineData("2001:db8:2::7/64@2001:db8:2::1")]
    public async Task One_that_is_given_to_another_leaves_nothing_with_the_first(string text)
    {
        var (listed, first, second) = (Listed(text), Container(), Container());
        using var server = Served(second, listed.Address.AddressFamily, 8080);
        Bind("public", listed.Address, first, listed, new Port(Transport.Tcp, 8080));
        Bind("public", listed.Address, second, listed, new Port(Transport.Tcp, 8080));
        Assert.NotNull(await DialAsync(_world, new IPEndPoint(listed.Address, 8080)));
        Assert.Equal((true, "c1"), (Seen()["public"].Whole, Seen()["public"].Workload));
        Assert.Equal(["lo"], first.Interfaces);
        Assert.DoesNotContain("5210", first.Run("/usr/sbin/ip", "rule", "show") + first.Run("/usr/sbin/ip", "-6", "rule", "show"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("203.0.113.7/24@203.0.113.1", "203.0.113.1/24")]
    [InlineData("2001:db8:2::7/64@2001:db8:2::1", "2001:db8:2::1/64 nodad")]
    public async Task A_moved_address_is_known_to_its_neighbours_at_once(string text, string router)
    {
        // A second node on the same wire, which is a switch now.
        using var node = new Space(ofContainer: false);
        var at = router.Split(' ')[0];
        _world.Ip("link add wire type bridge", "link set wire addrgenmode none", $"link add other type veth peer name out netns {node.Init.Pid}", "link set other master wire up", "link set out master wire",
            $"addr del {at} dev out", "link set wire up", $"addr add {at} dev wire {router[at.Length..]}");
        node.Ip("link set lo up", "link set out up");
        var other = PublicAddresses.Open($"test {Guid.NewGuid()}", node.Path, "out", out var why) ?? throw new InvalidOperationException(why);
        var (listed, here, there) = (Listed(text), Container(), Container());
        using var first = Served(here, listed.Address.AddressFamily, 8080);
        using var second = Served(there, listed.Address.AddressFamily, 8080);
        Bind("public", listed.Address, here, listed, new Port(Transport.Tcp, 8080));
        Assert.NotNull(await DialAsync(_world, new IPEndPoint(listed.Address, 8080)));
        Assert.Equal(Mac(_node), Neighbour(listed.Address));

        Assert.Equal(new Outcome.Done(), _host.Release(Id("public"), _containers.Select(c => c.Init)));
        Assert.Equal(new Outcome.Done(), other.Bind(Id("public"), Wish("public", listed.Address, new Port(Transport.Tcp, 8080)), listed, there.Init, null));
        // Nobody has asked: it was told.
        Wait.For(() => Neighbour(listed.Address) == Mac(node), "the router to know the other node");
        Assert.NotEqual(Mac(_node), Mac(node));
        Assert.NotNull(await DialAsync(_world, new IPEndPoint(listed.Address, 8080)));
    }

    [Fact]
    public void A_node_without_the_wire_has_no_addresses()
    {
        Assert.Null(PublicAddresses.Open("test", _node.Path, "nowhere", out var why));
        Assert.Contains("nowhere", why, StringComparison.Ordinal);
    }

    private static FarmAddress Listed(string text)
    {
        Assert.True(FarmAddress.TryParse(text, out var listed));
        return listed!;
    }

    private static ContainerId Id(string name) => new(Agreement, name);

    private static PublicAddress Wish(string name, IPAddress ip, params Port[] ports) => new(name, new NodeId(Digest.Of("node"u8)), ip, [.. ports.Order()], "c0");

    private Space Container()
    {
        var made = new Space(ofContainer: true);
        made.Ip("link set lo up");
        _containers.Add(made);
        return made;
    }

    private void Bind(string name, IPAddress ip, Space container, FarmAddress listed, params Port[] ports) => Assert.Equal(new Outcome.Done(), _host.Bind(Id(name), Wish(name, ip, ports), listed, container.Init, null, [.. _containers.Select(c => c.Init)]));

    private Dictionary<string, AddressSighting> Seen() =>
        _host.Observe(_containers.Index().ToDictionary(c => Id($"c{c.Index}"), c => c.Item.Init)).ToDictionary(a => a.Key.Workload, a => a.Value);

    private static string Mac(Space node)
    {
        using var link = JsonDocument.Parse(node.Run("/usr/sbin/ip", "-j", "link", "show", "dev", "out"));
        return link.RootElement[0].GetProperty("address").GetString()!;
    }

    private string? Neighbour(IPAddress address)
    {
        using var known = JsonDocument.Parse(_world.Run("/usr/sbin/ip", "-j", "neigh", "show", $"{address}"));
        return known.RootElement.EnumerateArray().Select(n => n.TryGetProperty("lladdr", out var mac) ? mac.GetString() : null).SingleOrDefault();
    }

    private string Links() => _node.Run("/usr/sbin/ip", "-o", "link", "show", "type", "veth");

    // That it forwards is not taken back, for others may rest on it; a router has an anycast address of each of its networks (RFC 4291 §2.6.1).
    private string Traces() => string.Concat(new[] { "-4", "-6" }.SelectMany(f => new string[][] { ["route", "show", "table", "all"], ["rule", "show"], ["neigh", "show", "proxy"], ["link", "show"] }
        .Select(c => string.Join('\n', _node.Run("/usr/sbin/ip", [f, "-o", .. c]).Split('\n').Where(l => !l.StartsWith("anycast", StringComparison.Ordinal)).Order(StringComparer.Ordinal))))) + _node.Run("/usr/sbin/nft", "list", "ruleset");

    private static Socket Bound(IPAddress address, int port)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(address, port));
        return socket;
    }

    private static async Task<string?> HearAsync(Socket socket, TimeSpan? patience = null)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        timeout.CancelAfter(patience ?? Long);
        var buffer = new byte[100];
        try
        {
            return Encoding.UTF8.GetString(buffer, 0, await socket.ReceiveAsync(buffer, timeout.Token));
        }
        catch (OperationCanceledException) when (!TestContext.Current.CancellationToken.IsCancellationRequested)
        {
            return null;
        }
    }

    private static Socket Served(Space space, AddressFamily family, int port) => space.Served(new IPEndPoint(family is AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, port));

    private static async Task RefusedAsync(Space space, IPEndPoint to) => Assert.Null(await space.DialAsync(to, Short));

    private static Task<string?> DialAsync(Space space, IPEndPoint to, IPAddress? from = null) => space.DialAsync(to, Long, from);
}
