using System.Net;
using System.Net.Sockets;
using Grid.Addresses;
using Grid.Farms;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Networks;
using Grid.Units;

namespace Grid.Node.Tests.Networks;

/// <summary>What a machine has besides its private networks: a way out by nat, and a public address. The world is the other node of the lab.</summary>
public abstract class MachineWaysTests(By by)
{
    private static readonly IPEndPoint World = new(IPAddress.Parse("198.51.100.9"), 80);
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(10), Short = TimeSpan.FromMilliseconds(700);

    [Fact]
    public async Task A_machine_leaves_from_the_nodes_address_as_long_as_it_may_and_nobody_comes_in_by_that()
    {
        using var lab = new Lab(by);
        var (machine, peer, other) = (lab.Join(lab.A, "machine", "10.20.0.1"), lab.Join(lab.B, "peer", "10.20.0.2"), lab.Join(lab.A, "other", "10.30.0.1", "two"));
        using var emulator = Space.OfEmulator();
        using var world = IsServed(lab.B.Space, World.Address);
        using var farm = IsServed(lab.B.Space, IPAddress.Parse("192.168.7.7"));
        using var node = lab.A.Space.Served(new IPEndPoint(lab.A.Underlay, 80));
        lab.A.Space.Ip($"route add {World.Address} via {lab.B.Underlay}", $"route add 192.168.7.7 via {lab.B.Underlay}");
        Assert.Equal(new Outcome.Done(), await lab.A.Host.ApplyAsync(other.Id, other.Wish([], Egress.Nat), other.Container.Init));
        await ApplyAsync(Egress.Nat);
        await peer.ApplyAsync(machine, peer);
        using var guest = new Guest(emulator, lab.A.Host.TapOf(machine.Id), lab.A.Host.Mtu(), "addr add 10.20.0.1/24 dev eth0", "route add default via 10.20.0.254");
        using var served = guest.Space.Served(new IPEndPoint(IPAddress.Any, 80));
        using var atPeer = peer.Container.Served(new IPEndPoint(IPAddress.Any, 80));

        Assert.Equal($"from {lab.A.Underlay}", await guest.Space.DialAsync(World, Long));
        // Its network is what it was: nothing is translated there, in neither direction.
        Assert.Equal("from 10.20.0.1", await guest.Space.DialAsync(new IPEndPoint(peer.Address, 80), Long));
        Assert.Equal("from 10.20.0.2", await peer.Container.DialAsync(new IPEndPoint(machine.Address, 80), Long));

        var far = IPAddress.Parse(emulator.Run("/usr/sbin/ip", "-o", "-4", "addr", "show", "scope", "global").Split(' ', StringSplitOptions.RemoveEmptyEntries)[3]);
        var near = IPAddress.Parse(emulator.Run("/usr/sbin/ip", "route", "show", "default").Split(' ')[2]);
        foreach (var barred in new[] { IPAddress.Parse("192.168.7.7"), lab.A.Underlay, near, far, EgressEnds.Of(other).Far, other.Address })
            Assert.Null(await guest.Space.DialAsync(new IPEndPoint(barred, 80), Short));
        lab.B.Space.Ip($"route add {far} via {lab.A.Underlay}", $"route add {machine.Address} via {lab.A.Underlay}");
        foreach (var (from, to) in new[] { (lab.A.Space, far), (lab.B.Space, far), (lab.B.Space, machine.Address), (other.Container, far) })
            Assert.Null(await from.DialAsync(new IPEndPoint(to, 80), Short));
        guest.Space.Ip("addr add 203.0.113.77/32 dev lo");
        lab.A.Space.Ip($"route add 203.0.113.77 via {far}");
        Assert.Null(await guest.Space.DialAsync(World, Short, IPAddress.Parse("203.0.113.77")));

        // By amendment, under a guest that goes on.
        await ApplyAsync(Egress.None);
        Assert.Null(await guest.Space.DialAsync(World, Short));
        Assert.Equal("from 10.20.0.1", await guest.Space.DialAsync(new IPEndPoint(peer.Address, 80), Long));
        await ApplyAsync(Egress.Nat);
        Assert.Equal($"from {lab.A.Underlay}", await guest.Space.DialAsync(World, Long));

        async Task ApplyAsync(Egress egress)
        {
            var wish = machine.Wish([machine, peer], egress) with { Interface = 0 };
            Assert.Equal(new Outcome.Done(), await lab.A.Host.ApplyAsync(machine.Id, wish, emulator.Init));
            Wait.For(() => lab.A.Host.Observe(_ => emulator.Init)[machine.Id] is TunnelSighting.Present p && p.Fits(wish, DateTimeOffset.UtcNow), $"tunnel that fits, egress {egress}");
        }
    }

    [Fact]
    public async Task By_IPv6_a_machine_and_its_peers_reach_each_other_by_the_one_gateway()
    {
        using var lab = new Lab(by);
        var (machine, peer) = (lab.Join(lab.A, "machine", "fd20::2"), lab.Join(lab.B, "peer", "fd20::3"));
        using var emulator = Space.OfEmulator();
        Assert.Equal(new Outcome.Done(), await lab.A.Host.ApplyAsync(machine.Id, machine.Wish([machine, peer]) with { Interface = 0 }, emulator.Init));
        await peer.ApplyAsync(machine, peer);
        using var guest = new Guest(emulator, lab.A.Host.TapOf(machine.Id), lab.A.Host.Mtu(), "addr add fd20::2/128 dev eth0 nodad", $"route add default via {MachineLink.Gateway} dev eth0");
        using var served = guest.Space.Served(new IPEndPoint(IPAddress.IPv6Any, 80));
        using var atPeer = peer.Container.Served(new IPEndPoint(IPAddress.IPv6Any, 80));

        Assert.Equal("from fd20::2", await guest.Space.DialAsync(new IPEndPoint(peer.Address, 80), Long));
        Assert.Equal("from fd20::3", await peer.Container.DialAsync(new IPEndPoint(machine.Address, 80), Long));
        // With an address of its own making as well, as most systems have.
        guest.Space.Ip("addr add fe80::abcd/64 dev eth0 nodad", "neigh flush dev eth0");
        Assert.Equal("from fd20::2", await guest.Space.DialAsync(new IPEndPoint(peer.Address, 80), Long));
        guest.Space.Ip("addr add fd20::9/128 dev lo nodad");
        Assert.Null(await guest.Space.DialAsync(new IPEndPoint(peer.Address, 80), Short, IPAddress.Parse("fd20::9")));
    }

    [Theory]
    [InlineData(Egress.None, "203.0.113.7/24@203.0.113.1", "198.51.100.9", "203.0.113.8")]
    [InlineData(Egress.Nat, "203.0.113.7/24@203.0.113.1", "198.51.100.9", "203.0.113.8")]
    [InlineData(Egress.Nat, "2001:db8:2::7/64@2001:db8:2::1", "2001:db8:9::9", "2001:db8:2::8")]
    public async Task A_public_address_is_the_machines_own_at_the_agreed_ports_and_it_begins_nothing_from_it(Egress egress, string text, string far, string nobodys)
    {
        Assert.True(FarmAddress.TryParse(text, out var listed));
        var (ip, router, bits) = (listed!.Address, listed.Gateway, RoutingTables.Bits(listed.Address));
        var (any, nodad, family) = bits == 32 ? (IPAddress.Any, "", "-4") : (IPAddress.IPv6Any, " nodad", "-6");
        using var lab = new Lab(by);
        var machine = lab.Join(lab.A, "machine", "10.20.0.1");
        using var emulator = Space.OfEmulator();
        using var world = IsServed(lab.B.Space, World.Address);
        using var beyond = bits == 32 ? null : IsServed(lab.B.Space, IPAddress.Parse(far));
        lab.B.Space.Ip($"addr add {router}/{listed.Bits} dev under{nodad}");
        lab.A.Space.Ip($"route add {World.Address} via {lab.B.Underlay}");
        var wish = machine.Wish([machine], egress) with { Interface = 0 };
        Assert.Equal(new Outcome.Done(), await lab.A.Host.ApplyAsync(machine.Id, wish, emulator.Init));
        var host = PublicAddresses.Open(lab.A.Scope, lab.A.Space.Path, "under", out var why) ?? throw new InvalidOperationException(why);
        var (id, card) = (new ContainerId(machine.Id.Agreement, "public"), new MachineCard(lab.A.Host.TapOf(machine.Id), lab.A.Host.Mtu()));
        var before = Traces();
        Assert.Equal(new Outcome.Done(), Bind(8080));

        using var guest = new Guest(emulator, card.Tap, card.Mtu, "addr add 10.20.0.1/24 dev eth0", $"addr add {ip}/{bits} dev eth0{nodad}", "route add default via 10.20.0.254", $"route add default via {MachineLink.Gateway} dev eth0");
        using var agreed = guest.Space.Served(new IPEndPoint(any, 8080));
        using var open = guest.Space.Served(new IPEndPoint(any, 8081));
        Assert.Equal($"from {router}", await lab.B.Space.DialAsync(At(8080), Long));
        // From beyond the router, though the guest would leave by another way: the reply goes by the gateway that the farm lists.
        Assert.Equal($"from {far}", await lab.B.Space.DialAsync(At(8080), Long, IPAddress.Parse(far)));
        Assert.Null(await lab.B.Space.DialAsync(At(8081), Short));
        Assert.Null(await guest.Space.DialAsync(new IPEndPoint(IPAddress.Parse(far), 80), Short, ip));
        Assert.Equal(egress is Egress.Nat ? $"from {lab.A.Underlay}" : null, await guest.Space.DialAsync(World, egress is Egress.Nat ? Long : Short, machine.Address));
        guest.Space.Ip($"addr add {nobodys}/{bits} dev eth0{nodad}");
        Assert.Null(await guest.Space.DialAsync(new IPEndPoint(IPAddress.Parse(far), 80), Short, IPAddress.Parse(nobodys)));
        Assert.Null(await lab.B.Space.DialAsync(new IPEndPoint(IPAddress.Parse(nobodys), 8080), Short));

        // Other ports by amendment, and the tunnel is what it was.
        Assert.Equal(new Outcome.Done(), Bind(8081));
        Assert.Null(await lab.B.Space.DialAsync(At(8080), Short));
        Assert.Equal($"from {router}", await lab.B.Space.DialAsync(At(8081), Long));
        Assert.Equal((true, "machine"), (Seen().Whole, Seen().Workload));
        Assert.True(lab.A.Host.Observe(_ => emulator.Init)[machine.Id] is TunnelSighting.Present p && p.Fits(wish, DateTimeOffset.UtcNow));
        emulator.Run("/usr/sbin/ip", family, "route", "del", $"{ip}/{bits}");
        Assert.False(Seen().Whole);
        Assert.Equal(new Outcome.Done(), Bind(8081));
        Assert.Equal($"from {router}", await lab.B.Space.DialAsync(At(8081), Long));

        Assert.Equal(new Outcome.Done(), host.Release(id, [emulator.Init]));
        Assert.Equal(before, Traces());
        Assert.Null(await guest.Space.DialAsync(new IPEndPoint(IPAddress.Parse(far), 80), Short, ip));
        Assert.Null(await lab.B.Space.DialAsync(At(8081), Short));
        Assert.DoesNotContain(lab.A.Space.Interfaces, i => i.StartsWith("ga", StringComparison.Ordinal));

        Outcome Bind(int port) => host.Bind(id, new PublicAddress("public", new NodeId(Digest.Of("node"u8)), ip, [new Port(Transport.Tcp, port)], "machine"), listed, emulator.Init, card, emulator.Init);
        AddressSighting Seen() => host.Observe(new Dictionary<ContainerId, ProcessIdentity> { [new ContainerId(machine.Id.Agreement, "machine")] = emulator.Init })[id];
        IPEndPoint At(int port) => new(ip, port);
        // Whoever has asked for the gateway is a neighbour for a while, a link has more to it once the guest is there, and the first address by IPv6 brings the gateway.
        string Traces() => string.Concat(from what in (string[][])[["route", "show", "table", "all"], ["rule", "show"], ["neigh", "show", "nud", "permanent"]]
                                         from line in emulator.Run("/usr/sbin/ip", [family, .. what]).Split('\n')
                                         where !line.StartsWith("multicast", StringComparison.Ordinal) && !line.Contains("fe80::", StringComparison.Ordinal)
                                         select line.Replace(" linkdown", "", StringComparison.Ordinal) + '\n')
            + string.Concat(emulator.Run("/usr/sbin/nft", "list", "ruleset").Split('\n').Where(l => l.Contains(card.Tap, StringComparison.Ordinal)));
    }

    private static Socket IsServed(Space space, IPAddress address)
    {
        space.Ip($"addr add {address} dev lo{(address.IsIPv4() ? "" : " nodad")}");
        return space.Served(new IPEndPoint(address, 80));
    }
}

public sealed class KernelMachineWaysTests() : MachineWaysTests(By.Kernel);

public sealed class ProcessMachineWaysTests() : MachineWaysTests(By.Process);
