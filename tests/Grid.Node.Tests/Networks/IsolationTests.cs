using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Grid.Node.Tests.Networks;

/// <summary>Two tenants of one node with the same addresses. The attacker is root in its own namespaces, which no workload of ours is.</summary>
public abstract class IsolationTests(By by)
{
    private const string Marker = "FROM-THE-OTHER-TENANT-41c9";
    private const int ArpProtocol = 0x0806, HighestScanned = 512;

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
        foreach (var protocol in (ReadOnlySpan<int>)[ArpProtocol, 0x0800, 0x86dd])
            SendFrame(attacker, protocol);

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
        IPAddress[] targets = [one[1].Address, two[2].Address, lab.A.Underlay, lab.B.Underlay, IPAddress.Loopback];
        var open = await Task.WhenAll(from target in targets from port in Enumerable.Range(1, HighestScanned) select OpenAsync(one[0], new IPEndPoint(target, port)));
        Assert.Equal([new IPEndPoint(one[1].Address, 80)], open.Where(e => e is not null));
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
    private static void SendFrame(Member from, int protocol)
    {
        using var socket = from.Container.Make(() => new Socket(AddressFamily.Packet, SocketType.Dgram, (ProtocolType)BinaryPrimitives.ReverseEndianness((ushort)protocol)));
        var index = int.Parse(from.Container.Run("/usr/sbin/ip", "-o", "link", "show", from.Interface).Split(':')[0], System.Globalization.CultureInfo.InvariantCulture);
        Try(() => socket.SendTo(Text, new LinkEndPoint(index, protocol)));
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

    private static async Task<IPEndPoint?> OpenAsync(Member from, IPEndPoint to)
    {
        using var socket = from.Container.Make(() => new Socket(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp));
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(3));
        try
        {
            await socket.ConnectAsync(to, patience.Token);
            return to;
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            return null;
        }
    }

    /// <summary>sockaddr_ll: packet(7).</summary>
    private sealed class LinkEndPoint(int index, int protocol) : EndPoint
    {
        public override AddressFamily AddressFamily => AddressFamily.Packet;

        public override SocketAddress Serialize()
        {
            var address = new SocketAddress(AddressFamily.Packet, 20);
            (address[2], address[3]) = ((byte)(protocol >> 8), (byte)protocol);
            for (var i = 0; i < 4; i++)
                address[4 + i] = (byte)(index >> (8 * i));
            return address;
        }
    }
}

public sealed class KernelIsolationTests() : IsolationTests(By.Kernel);

public sealed class ProcessIsolationTests() : IsolationTests(By.Process);
