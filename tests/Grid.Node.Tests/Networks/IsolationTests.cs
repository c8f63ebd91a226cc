using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Networks;

namespace Grid.Node.Tests.Networks;

/// <summary>Two tenants of one node with the same addresses. The attacker is root in its own namespaces, which no workload of ours is.</summary>
public abstract class IsolationTests(By by)
{
    private const string Marker = "FROM-THE-OTHER-TENANT-41c9";
    private const int ArpProtocol = 0x0806, Ip4Protocol = 0x0800, Ip6Protocol = 0x86dd, Low = 22, High = 50_080, AtOnce = 4096;

    private static readonly IPAddress World = IPAddress.Parse("203.0.113.9");
    private static readonly IPAddress OtherLoopback = IPAddress.Parse("127.0.0.2");
    private static readonly byte[] Text = Encoding.UTF8.GetBytes(Marker);

    [Fact]
    public async Task Whatever_a_tenant_sends_only_its_own_peers_get_it()
    {
        using var lab = new Lab(by);
        var (one, two) = await TenantsAsync(lab);
        var (attacker, peer) = (one[0], one[1]);
        using var atPeer = new Capture(peer.Container, Marker);
        using var onNode = new Capture(lab.A.Space, Marker);
        Capture[] others = [.. two.Select(m => new Capture(m.Container, Marker))];
        // More than a workload could do: an address of its own choice, and a way to everywhere.
        attacker.Container.Ip($"addr add fe80::1/64 dev {attacker.Interface} nodad", $"route add default dev {attacker.Interface}");

        IPAddress[] targets =
        [
            .. Enumerable.Range(1, 255).Select(n => new IPAddress([10, 20, 0, (byte)n])), lab.A.Underlay, IPAddress.Broadcast,
            IPAddress.Parse("224.0.0.1"), IPAddress.Parse("224.0.0.251"), IPAddress.Parse("ff02::1"), IPAddress.Parse("ff02::fb"), IPAddress.Parse("fe80::2"),
        ];
        foreach (var target in targets)
        {
            Send(attacker, target, SocketType.Dgram, ProtocolType.Udp, Text, port: 5353);
            Send(attacker, target, SocketType.Raw, target.AddressFamily is AddressFamily.InterNetwork ? ProtocolType.Icmp : ProtocolType.IcmpV6, Echo(target));
        }
        // As if from an address of the other tenant, which is an address of nobody here.
        Send(attacker, two[1].Address, SocketType.Raw, ProtocolType.Raw, Datagram.Udp(from: two[2].Address, to: two[1].Address, Text));
        foreach (var protocol in (ReadOnlySpan<int>)[ArpProtocol, Ip4Protocol, Ip6Protocol])
            SendFrame(attacker, attacker.Interface, protocol, Text);

        // Behind all of that, so what was on its way has come.
        Assert.Equal("one-2: over", await attacker.AskAsync(peer.Address, "over"));
        foreach (var capture in (Capture[])[atPeer, onNode, .. others])
            capture.Dispose();
        Assert.True(atPeer.Found >= 2, $"the peer itself got {atPeer.Found}");
        Assert.Equal(0, onNode.Found);
        Assert.All(others, c => Assert.Equal((0, 0), (c.Packets, c.Found)));
    }

    [Fact]
    public async Task A_scan_of_ports_finds_those_of_the_tenants_own_peers_and_no_others()
    {
        using var lab = new Lab(by);
        var (one, two) = await TenantsAsync(lab);
        // Somebody listens wherever it must not be reached, low and high; of its own peer both are found.
        (Space Space, IPAddress Address)[] places =
            [(lab.A.Space, lab.A.Underlay), (lab.A.Space, IPAddress.Loopback), (lab.B.Space, lab.B.Underlay), (two[2].Container, two[2].Address), (one[1].Container, one[1].Address)];
        var listeners = (from place in places from port in (int[])[Low, High] select place.Space.Served(new IPEndPoint(place.Address, port))).ToList();
        try
        {
            Assert.NotNull(await lab.A.Space.DialAsync(new IPEndPoint(lab.B.Underlay, High), TimeSpan.FromSeconds(3)));
            Assert.NotNull(await two[0].Container.DialAsync(new IPEndPoint(two[2].Address, High), TimeSpan.FromSeconds(3)));
            var open = new List<IPEndPoint>();
            foreach (var target in (IPAddress[])[lab.A.Underlay, lab.B.Underlay])
                open.AddRange(await ScanAsync(one[0], target, Enumerable.Range(1, IPEndPoint.MaxPort)));
            // Where nobody is, each port is a wait; all of these wait together.
            foreach (var target in (IPAddress[])[IPAddress.Loopback, one[1].Address, two[2].Address])
                open.AddRange(await ScanAsync(one[0], target, Enumerable.Range(1, AtOnce / 2).Concat(Enumerable.Range(High - AtOnce / 4, AtOnce / 2))));
            IPEndPoint[] own = [.. new[] { Low, 80, High }.Select(p => new IPEndPoint(one[1].Address, p))];
            Assert.Equal(own, open);
        }
        finally
        {
            listeners.ForEach(l => l.Dispose());
        }
    }

    [Fact]
    public async Task Ways_out_of_two_tenants_do_not_meet_on_their_node()
    {
        using var lab = new Lab(by);
        var (one, two) = await TenantsAsync(lab);
        lab.B.Space.Ip($"addr add {World} dev lo");
        lab.A.Space.Ip($"route add {World} via {lab.B.Underlay}");
        foreach (var (member, peers) in one.Select(m => (m, one)).Concat(two.Select(m => (m, two))))
            Assert.Equal(new Outcome.Done(), await lab.A.Host.ApplyAsync(member.Id, member.Wish(peers, Egress.Nat), member.Container.Init));
        var (attacker, other) = (one[0], two[2]);
        var ((near, inside), (otherNear, otherFar)) = (EgressEnds.Of(attacker), EgressEnds.Of(other));
        var link = attacker.Container.Interfaces.Single(i => i.StartsWith(TunnelNames.WayOut, StringComparison.Ordinal));

        // Somebody listens wherever it must not be reached from, and in the world, where it may.
        using var atNode = lab.A.Space.Served(new IPEndPoint(IPAddress.Any, High));
        using var atOther = other.Container.Served(new IPEndPoint(IPAddress.Any, High));
        using var inWorld = lab.B.Space.Served(new IPEndPoint(World, High));
        Assert.Equal($"from {lab.A.Underlay}", await attacker.Container.DialAsync(new IPEndPoint(World, High), TimeSpan.FromSeconds(3)));
        Assert.NotNull(await two[0].Container.DialAsync(new IPEndPoint(other.Address, High), TimeSpan.FromSeconds(3)));
        foreach (var target in (IPAddress[])[near, otherNear, otherFar, lab.A.Underlay, two[2].Address])
            Assert.Empty(await ScanAsync(attacker, target, Enumerable.Range(High - AtOnce / 2, AtOnce)));
        Wait.For(() => two.All(IsQuiet), "end of what was said");

        Capture[] others = [.. two.Select(m => new Capture(m.Container, Marker)), new Capture(lab.A.Space, Marker, "under"), .. two.Select(m => new Capture(lab.A.Space, Marker, m.Id.InterfaceName("ge", lab.A.Scope)))];
        using var onLink = new Capture(attacker.Container, Marker, link);
        IPAddress[] targets =
        [
            near, otherNear, otherFar, .. two.Select(m => m.Address), lab.A.Underlay, IPAddress.Broadcast, IPAddress.Parse("100.127.255.255"),
            IPAddress.Parse("224.0.0.1"), IPAddress.Parse("224.0.0.251"), IPAddress.Parse("ff02::1"), IPAddress.Parse("ff02::fb"), IPAddress.Parse("fe80::2"),
        ];
        attacker.Container.Ip($"addr add fe80::1/64 dev {link} nodad");
        foreach (var target in targets)
        {
            Send(attacker, target, SocketType.Dgram, ProtocolType.Udp, Text, port: 5353);
            Send(attacker, target, SocketType.Raw, target.AddressFamily is AddressFamily.InterNetwork ? ProtocolType.Icmp : ProtocolType.IcmpV6, Echo(target));
        }
        // By hand, to the node's end of the link and to everybody: from each address that is not its own, to each that it has no business with.
        foreach (var mac in (byte[][])[EgressEnds.MacOf(lab.A.Space, attacker.Id.InterfaceName("ge", lab.A.Scope)), [255, 255, 255, 255, 255, 255], [0x33, 0x33, 0, 0, 0, 1]])
        {
            foreach (var from in (IPAddress[])[otherFar, otherNear, near, attacker.Address, IPAddress.Loopback, IPAddress.Any, World])
            {
                foreach (var to in targets.Where(t => t.AddressFamily is AddressFamily.InterNetwork).Append(World))
                    SendFrame(attacker, link, Ip4Protocol, Datagram.Udp(from, to, Text), mac);
            }
            foreach (var to in targets.Where(t => t.AddressFamily is AddressFamily.InterNetwork))
                SendFrame(attacker, link, Ip4Protocol, Datagram.Udp(inside, to, Text), mac);
            SendFrame(attacker, link, Ip6Protocol, [0x60, 0, 0, 0, 0, (byte)Text.Length, 59, 255, .. IPAddress.Parse("fe80::1").GetAddressBytes(), .. IPAddress.Parse("ff02::1").GetAddressBytes(), .. Text], mac);
            // RFC 826, a reply: what is the other's would be here.
            SendFrame(attacker, link, ArpProtocol, [0, 1, 8, 0, 6, 4, 0, 2, .. EgressEnds.MacOf(attacker.Container, link), .. otherFar.GetAddressBytes(), .. mac, .. near.GetAddressBytes(), .. Text], mac);
        }

        // Behind all of that; the other's way out is as it was.
        Assert.Equal($"from {lab.A.Underlay}", await attacker.Container.DialAsync(new IPEndPoint(World, High), TimeSpan.FromSeconds(3)));
        onLink.Dispose();
        foreach (var capture in others)
            capture.Dispose();
        Assert.True(onLink.Found > 100, $"of what was sent {onLink.Found} left");
        Assert.All(others, c => Assert.Equal(0, c.Found));
        Assert.All(others.Take(two.Length), c => Assert.Equal(0, c.Packets));
        Assert.Equal($"from {lab.A.Underlay}", await other.Container.DialAsync(new IPEndPoint(World, High), TimeSpan.FromSeconds(3)));
    }

    private static async Task<(Member[] One, Member[] Two)> TenantsAsync(Lab lab)
    {
        Member[] one = [lab.Join(lab.A, "one-1", "10.20.0.1", "one"), lab.Join(lab.A, "one-2", "10.20.0.2", "one")];
        Member[] two = [lab.Join(lab.A, "two-1", "10.20.0.1", "two"), lab.Join(lab.A, "two-2", "10.20.0.2", "two"), lab.Join(lab.A, "two-3", "10.20.0.3", "two")];
        await Task.WhenAll(Lab.MeetAsync(one), Lab.MeetAsync(two));
        foreach (var member in one.Concat(two).Skip(1))
            member.Serve();
        // Their sessions stand, so that what comes later is somebody's doing.
        Assert.Equal("one-2: hello", await one[0].AskAsync(one[1].Address, "hello"));
        Assert.Equal("two-3: hello", await two[0].AskAsync(two[2].Address, "hello"));
        Assert.Equal("two-2: hello", await two[0].AskAsync(two[1].Address, "hello"));
        Wait.For(() => two.All(IsQuiet), "end of what was said");
        return (one, two);
    }

    // Of /proc/net/tcp the fourth field: what listens, and what has seen the last of the other's packets.
    private static bool IsQuiet(Member member) =>
        File.ReadLines($"/proc/{member.Container.Init.Pid}/net/tcp").Skip(1).All(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries)[3] is "0A" or "06");

    private static void Send(Member from, IPAddress to, SocketType type, ProtocolType protocol, byte[] what, int port = 0)
    {
        using var socket = from.Container.Make(() => new Socket(to.AddressFamily, type, protocol) { EnableBroadcast = true });
        Try(() => socket.SendTo(what, new IPEndPoint(to, port)));
    }

    // packet(7): what follows the link's own header, of which a tunnel has none.
    private static void SendFrame(Member from, string by, int protocol, byte[] what, byte[]? to = null)
    {
        using var socket = from.Container.Make(() => new Socket(AddressFamily.Packet, SocketType.Dgram, (ProtocolType)BinaryPrimitives.ReverseEndianness((ushort)protocol)));
        Try(() => socket.SendTo(what, new LinkEndPoint(from.Container.IndexOf(by), protocol, to)));
    }

    private static void Try(Action send)
    {
        try
        {
            send();
        }
        catch (SocketException)
        {
            // That the kernel refuses to send it is as good as that it does not arrive.
        }
    }

    private static byte[] Echo(IPAddress to) => Datagram.Checked([(byte)(to.AddressFamily is AddressFamily.InterNetwork ? 8 : 128), 0, 0, 0, 0, 1, 0, 1, .. Text], 2);

    /// <returns>where somebody answered</returns>
    private static async Task<List<IPEndPoint>> ScanAsync(Member from, IPAddress target, IEnumerable<int> ports)
    {
        var open = new List<IPEndPoint>();
        foreach (var some in ports.Chunk(AtOnce))
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
            var asked = from.Container.Inside(() => some.Select(port => Ask(from, new IPEndPoint(target, port), patience.Token)).ToList());
            patience.CancelAfter(TimeSpan.FromSeconds(3));
            foreach (var (to, socket, answer) in asked)
            {
                await answer.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                if (answer.IsCompletedSuccessfully)
                    open.Add(to);
                socket.Dispose();
            }
        }
        return open;
    }

    private static (IPEndPoint To, Socket Socket, Task Answer) Ask(Member from, IPEndPoint to, CancellationToken cancel)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        // From another address than the one that is asked, or a port that asks itself would answer (RFC 9293 §3.5, simultaneous open).
        socket.Bind(new IPEndPoint(IPAddress.IsLoopback(to.Address) ? OtherLoopback : IPAddress.Any, 0));
        return (to, socket, socket.ConnectAsync(to, cancel).AsTask());
    }
}

public sealed class KernelIsolationTests() : IsolationTests(By.Kernel);

public sealed class ProcessIsolationTests() : IsolationTests(By.Process);
