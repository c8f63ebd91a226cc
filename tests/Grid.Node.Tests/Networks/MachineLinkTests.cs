using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Networks;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Tests.Networks;

/// <summary>The test is the machine: what it reads and writes is its side of the tap.</summary>
public abstract class MachineLinkTests(By by)
{
    private const int Ip4 = 0x0800, Arp = 0x0806, Ip6 = 0x86dd;

    private const string Told = "TO-THE-MACHINE-83bd", Said = "FROM-THE-MACHINE-2f60", Forged = "FROM-ANOTHER-ADDRESS-9c11";

    [Fact]
    public async Task A_machine_behind_its_tap_hears_its_peers_and_speaks_with_its_own_address_alone()
    {
        using var scene = await Scene.SetAsync(by, "10.20.0.1", "10.20.0.2", "10.30.0.1");
        var (lab, machine, peer, neighbour, emulator) = (scene.Lab, scene.Machine, scene.Peer, scene.Neighbour, scene.Emulator);
        var tap = scene.Tap;

        // Answered to whom it came from, first as anybody else: by the link's other end, by everybody, and from another card.
        var (card, end) = await scene.HearAsync();
        byte[][] cards = [card, end, [2, 0, 0, 0, 0, 9]];
        foreach (var (to, from) in from to in (byte[][])[end, [255, 255, 255, 255, 255, 255], [1, 0, 0x5e, 0, 0, 1]] from source in cards select (to, source))
        {
            foreach (var address in (string[])["10.20.0.9", $"{peer.Address}", "10.30.0.1", "0.0.0.0", "127.0.0.1", "224.0.0.1", "203.0.113.5", $"{lab.A.Underlay}"])
                Write(tap, to, from, Ip4, Datagram.Udp(IPAddress.Parse(address), peer.Address, Encoding.UTF8.GetBytes(Forged)));
            // As itself, to where it has no business.
            foreach (var address in (IPAddress[])[lab.A.Underlay, lab.B.Underlay, neighbour.Address, IPAddress.Loopback, IPAddress.Broadcast, IPAddress.Parse("224.0.0.1"), IPAddress.Parse("10.20.0.255")])
                Write(tap, to, from, Ip4, Datagram.Udp(machine.Address, address, Encoding.UTF8.GetBytes(Forged)));
            Write(tap, to, from, Ip6, [0x60, 0, 0, 0, 0, (byte)Forged.Length, 59, 255, .. IPAddress.Parse("fe80::1").GetAddressBytes(), .. IPAddress.Parse("ff02::1").GetAddressBytes(), .. Encoding.UTF8.GetBytes(Forged)]);
            // RFC 826, a reply: what is the peer's would be the machine's.
            Write(tap, to, from, Arp, [0, 1, 8, 0, 6, 4, 0, 2, .. from, .. peer.Address.GetAddressBytes(), .. to, .. machine.Address.GetAddressBytes(), .. Encoding.UTF8.GetBytes(Forged)]);
        }
        Write(tap, end, card, Ip4, Datagram.Udp(machine.Address, peer.Address, Encoding.UTF8.GetBytes(Said)));
        scene.OnlyWasSaid();

        Assert.Equal(new Outcome.Done(), await lab.A.Host.RemoveAsync(machine.Id));
        Wait.For(() => !emulator.Interfaces.Contains(machine.Interface), "end of the interface");
    }

    [Fact]
    public async Task By_IPv6_it_has_a_gateway_and_its_own_address_and_changes_nothing_by_what_it_says()
    {
        using var scene = await Scene.SetAsync(by, "fd20::2", "fd20::3", "fd30::2");
        var (lab, machine, peer, emulator, tap) = (scene.Lab, scene.Machine, scene.Peer, scene.Emulator, scene.Tap);
        // What leaves for the tunnel as well: WireGuard drops much of it by itself.
        using var leaves = new Capture(emulator, Forged, only: machine.Interface);
        var before = Told6();

        // Nobody asked for the machine: it is known.
        var (card, end) = await scene.HearAsync();

        byte[] all = [0x33, 0x33, 0, 0, 0, 1];
        foreach (var to in (byte[][])[end, [255, 255, 255, 255, 255, 255], all])
        {
            foreach (var address in (string[])["fd20::9", $"{peer.Address}", "fd30::2", "::", "::1", "ff02::1", "fe80::1", "fe80::2", "2001:db8::5", $"::ffff:{lab.A.Underlay}"])
                Write(tap, to, card, Ip6, Datagram.Udp6(IPAddress.Parse(address), peer.Address, Encoding.UTF8.GetBytes(Forged)));
            foreach (var address in (string[])["fd30::2", "::1", "fe80::1", "ff02::1", "ff05::2", "2001:db8::5", $"{machine.Address}"])
                Write(tap, to, card, Ip6, Datagram.Udp6(machine.Address, IPAddress.Parse(address), Encoding.UTF8.GetBytes(Forged)));
            // RFC 4861 §4.2: a router for half an hour, with a prefix from which everybody may make an address; and §4.4, the gateway and the peer are here.
            Write(tap, to, card, Ip6, Datagram.Icmp6(IPAddress.Parse("fe80::2"), IPAddress.Parse("ff02::1"), 134,
                [64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 3, 4, 64, 0xc0, 0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 0, 0, .. IPAddress.Parse("2001:db8:66::").GetAddressBytes()]));
            foreach (var stolen in new[] { MachineLink.Gateway, peer.Address, machine.Address })
                Write(tap, to, card, Ip6, Datagram.Icmp6(IPAddress.Parse("fe80::2"), IPAddress.Parse("ff02::1"), 136, [0x20, 0, 0, 0, .. stolen.GetAddressBytes(), 2, 1, 2, 0, 0, 0, 0, 9]));
        }
        // Whoever asks for somebody else, or as somebody else, is not handed on either, whatever stands in the question.
        foreach (var (from, to) in ((string, string)[])[("2001:db8::5", $"{peer.Address}"), ("fd20::9", $"{peer.Address}"), ("fd20::9", "fe80::1"), ("fe80::7", $"{peer.Address}"), ("fe80::7", "fe80::8")])
            Write(tap, end, card, Ip6, Datagram.Icmp6(IPAddress.Parse(from), IPAddress.Parse(to), 135, [0, 0, 0, 0, .. peer.Address.GetAddressBytes(), .. Encoding.UTF8.GetBytes(Forged)]));
        // As many link-local addresses as it likes: it has room for sixteen among the thousand neighbours that all of the node may have.
        for (var i = 0; i < 200; i++)
            Ask(IPAddress.Parse($"fe80::{i + 0x100:x}"));
        Assert.InRange(Answers(), 1, 16);
        // By what the kernel would answer, too: to link-local addresses from which it would go on, and about such as are not there.
        for (var i = 0; i < 200; i++)
        {
            var other = IPAddress.Parse($"fe80::{i + 0x1000:x}");
            Write(tap, end, card, Ip6, Datagram.Udp6(other, peer.Address, "to a router"u8));
            Write(tap, end, card, Ip6, Datagram.Udp6(machine.Address, other, "to a neighbour"u8));
            // RFC 8200 §4.2: an option that whoever does not know it has to complain of.
            Write(tap, end, card, Ip6, [0x60, 0, 0, 0, 0, 8, 0, 64, .. other.GetAddressBytes(), .. peer.Address.GetAddressBytes(), 59, 0, 0x9e, 4, 0, 0, 0, 0]);
            Write(tap, end, card, Ip6, Datagram.Icmp6(IPAddress.Parse("fe80::100"), other, 135, [0, 0, 0, 0, .. other.GetAddressBytes(), 1, 1, .. card]));
        }
        Assert.InRange(emulator.Run("/usr/sbin/ip", "-6", "-o", "neigh", "show", "dev", lab.A.Host.TapOf(machine.Id), "nud", "all").Split('\n').Count(l => l.StartsWith("fe80", StringComparison.Ordinal)), 1, 16);
        Assert.Equal(before, Told6());

        Write(tap, end, card, Ip6, Datagram.Udp6(machine.Address, peer.Address, Encoding.UTF8.GetBytes(Said)));
        scene.OnlyWasSaid();
        leaves.Dispose();
        Assert.Equal(0, leaves.Found);

        // RFC 4861 §4.3, to whom it concerns.
        void Ask(IPAddress from) => Write(tap, [0x33, 0x33, 0xff, 0, 0, 1], card, Ip6,
            Datagram.Icmp6(from, IPAddress.Parse("ff02::1:ff00:1"), 135, [0, 0, 0, 0, .. MachineLink.Gateway.GetAddressBytes(), 1, 1, .. card]));
        int Answers()
        {
            var (frame, count) = (new byte[2048], 0);
            while (Posix.WaitReadable(tap, TimeSpan.FromMilliseconds(500)))
                count += Posix.Read(tap, frame) > 54 && frame[20] == 58 && frame[54] == 136 ? 1 : 0;
            return count;
        }
        string Told6() => emulator.Run("/usr/sbin/ip", "-6", "-o", "addr", "show") + emulator.Run("/usr/sbin/ip", "-6", "route", "show", "table", "all") + emulator.Run("/usr/sbin/ip", "-6", "neigh", "show", $"{machine.Address}");
    }

    private static void Write(SafeFileHandle tap, byte[] to, byte[] from, int protocol, byte[] what)
    {
        using var stream = new FileStream(new SafeFileHandle(tap.DangerousGetHandle(), ownsHandle: false), FileAccess.Write, 0);
        stream.Write([.. to, .. from, (byte)(protocol >> 8), (byte)protocol, .. what]);
    }

    /// <summary>A machine and its peer, and another tenant on the machine's node, while everybody listens for what was forged.</summary>
    private sealed class Scene : IDisposable
    {
        private readonly Tunnel _wish;
        private readonly Capture _atPeer;
        private readonly Capture[] _others;

        private Scene(Lab lab, Member machine, Member peer, Member neighbour, Space emulator, Tunnel wish)
        {
            (Lab, Machine, Peer, Neighbour, Emulator, _wish) = (lab, machine, peer, neighbour, emulator, wish);
            Tap = emulator.Inside(() => Interop.Tap(lab.A.Host.TapOf(machine.Id)));
            _atPeer = new Capture(peer.Container, Said);
            _others = [.. new[] { peer.Container, lab.A.Space, lab.B.Space, neighbour.Container }.Select(s => new Capture(s, Forged))];
        }

        public Lab Lab { get; }

        public Member Machine { get; }

        public Member Peer { get; }

        public Member Neighbour { get; }

        public Space Emulator { get; }

        public SafeFileHandle Tap { get; }

        public static async Task<Scene> SetAsync(By by, string address, string ofPeer, string ofNeighbour)
        {
            var lab = new Lab(by);
            var (machine, peer, neighbour) = (lab.Join(lab.A, "machine", address), lab.Join(lab.B, "peer", ofPeer), lab.Join(lab.A, "neighbour", ofNeighbour, "two"));
            var emulator = Space.OfEmulator();
            var wish = machine.Wish([machine, peer]) with { Interface = 0 };
            Assert.Equal(new Outcome.Done(), await lab.A.Host.ApplyAsync(machine.Id, wish, emulator.Init));
            await peer.ApplyAsync(machine, peer);
            await neighbour.ApplyAsync(neighbour);
            return new Scene(lab, machine, peer, neighbour, emulator, wish);
        }

        /// <summary>The peer says something to the machine.</summary>
        /// <returns>the hardware addresses of the machine's card and of the link's other end</returns>
        public async Task<(byte[] Card, byte[] End)> HearAsync()
        {
            using (var socket = Peer.Container.Make(() => new Socket(Machine.Address.AddressFamily, SocketType.Dgram, ProtocolType.Udp)))
                await socket.SendToAsync(Encoding.UTF8.GetBytes(Told), new IPEndPoint(Machine.Address, 7), TestContext.Current.CancellationToken);
            var frame = new byte[2048];
            while (Posix.WaitReadable(Tap, TimeSpan.FromSeconds(15)))
            {
                var count = Posix.Read(Tap, frame);
                if (frame.AsSpan(0, count).IndexOf(Encoding.UTF8.GetBytes(Told)) < 0)
                    continue;
                Assert.Equal(Grid.Machines.Machine.Mac(0), string.Join(':', frame[..6].Select(b => $"{b:x2}")));
                return (frame[..6], frame[6..12]);
            }
            throw new IOException("The machine hears nothing.");
        }

        /// <summary>What the machine said by its own address has come, nothing that was forged has, and the tunnel is as it is wished.</summary>
        public void OnlyWasSaid()
        {
            Wait.For(() => _atPeer.Found > 0, "what the machine said");
            foreach (var capture in _others)
                capture.Dispose();
            Assert.All(_others, c => Assert.Equal(0, c.Found));
            Wait.For(() => Lab.A.Host.Observe(_ => Emulator.Init)[Machine.Id] is TunnelSighting.Present p && p.Fits(_wish, DateTimeOffset.UtcNow), "tunnel that fits");
        }

        public void Dispose()
        {
            _atPeer.Dispose();
            foreach (var capture in _others)
                capture.Dispose();
            Tap.Dispose();
            Emulator.Dispose();
            Lab.Dispose();
        }
    }
}

internal static unsafe partial class Interop
{
    // linux/if_tun.h: TUNSETIFF takes a struct ifreq, of which the name and the flags are read.
    private const nuint TUNSETIFF = 0x4004_54ca;
    private const short IFF_TAP = 0x0002, IFF_NO_PI = 0x1000;

    public static SafeFileHandle Tap(string name)
    {
        var handle = File.OpenHandle("/dev/net/tun", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        Span<byte> request = stackalloc byte[40];
        Encoding.ASCII.GetBytes(name, request);
        BitConverter.TryWriteBytes(request[16..], (short)(IFF_TAP | IFF_NO_PI));
        // Safe: the kernel reads and writes no more than the struct.
        fixed (byte* start = request)
        {
            if (ioctl(Posix.Number(handle), TUNSETIFF, start) != 0)
                throw Posix.Failed("TUNSETIFF");
        }
        return handle;
    }

    [LibraryImport("libc")]
    private static partial int ioctl(int fd, nuint request, byte* argument);
}

public sealed class KernelMachineLinkTests() : MachineLinkTests(By.Kernel);

public sealed class ProcessMachineLinkTests() : MachineLinkTests(By.Process);
