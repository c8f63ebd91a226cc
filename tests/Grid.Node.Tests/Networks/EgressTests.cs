using System.Net;
using System.Net.Sockets;
using System.Text;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Networks;

namespace Grid.Node.Tests.Networks;

public abstract class EgressTests(By by)
{
    private static readonly IPEndPoint World = new(IPAddress.Parse("203.0.113.9"), 80);

    [Fact]
    public async Task The_world_is_reached_from_the_nodes_address_and_nothing_else_is()
    {
        using var lab = new Lab(by);
        var (a, other) = (lab.Join(lab.A, "a", "10.20.0.1"), lab.Join(lab.A, "other", "10.30.0.1", "two"));
        var (world, farm) = (IsServed(lab.B.Space, World.Address), IsServed(lab.B.Space, IPAddress.Parse("192.168.7.7")));
        using (world)
        using (farm)
        using (var node = Served(lab.A.Space, lab.A.Underlay))
        {
            foreach (var address in (ReadOnlySpan<string>)["203.0.113.9", "192.168.7.7", "100.64.0.0/10"])
                lab.A.Space.Ip($"route add {address} via {lab.B.Underlay}");
            // A route to all of 100.64.0.0/10 leaves no address free; the farm's network then stays what it is.
            Assert.IsType<Outcome.Transient>(await lab.A.Host.ApplyAsync(a.Id, a.Wish([], Egress.Nat), a.Container.Init));
            lab.A.Space.Ip("route del 100.64.0.0/10");
            foreach (var member in (Member[])[a, other])
                Assert.Equal(new Outcome.Done(), await member.Node.Host.ApplyAsync(member.Id, member.Wish([], Egress.Nat), member.Container.Init));

            Assert.Equal($"from {lab.A.Underlay}", await DialAsync(a.Container, World));
            Assert.Equal($"from {lab.A.Underlay}", await DialAsync(lab.A.Space, new IPEndPoint(IPAddress.Parse("192.168.7.7"), 80)));
            Assert.Null(await DialAsync(a.Container, new IPEndPoint(IPAddress.Parse("192.168.7.7"), 80)));
            Assert.Null(await DialAsync(a.Container, new IPEndPoint(lab.A.Underlay, 80)));
            var (near, far) = EgressEnds.Of(other);
            using (Served(other.Container, IPAddress.Any))
            {
                Assert.Null(await DialAsync(a.Container, new IPEndPoint(far, 80)));
                Assert.Null(await DialAsync(lab.A.Space, new IPEndPoint(far, 80)));
                lab.B.Space.Ip($"route add {far} via {lab.A.Underlay}");
                Assert.Null(await DialAsync(lab.B.Space, new IPEndPoint(far, 80)));
            }
            Assert.Null(await DialAsync(a.Container, new IPEndPoint(near, 80)));

            // Another source than its own.
            a.Container.Ip($"addr add 203.0.113.77 dev lo", $"route replace default via {EgressEnds.Of(a).Near} src 203.0.113.77");
            lab.A.Space.Ip($"route add 203.0.113.77 via {EgressEnds.Of(a).Far}");
            Assert.Null(await DialAsync(a.Container, World));
        }
    }

    [Fact]
    public async Task Who_opens_connections_without_end_keeps_nobody_else_from_the_world()
    {
        using var lab = new Lab(by);
        var (a, other) = (lab.Join(lab.A, "a", "10.20.0.1"), lab.Join(lab.A, "other", "10.30.0.1", "two"));
        using var world = IsServed(lab.B.Space, World.Address);
        lab.A.Space.Ip($"route add {World.Address} via {lab.B.Underlay}");
        foreach (var member in (Member[])[a, other])
            Assert.Equal(new Outcome.Done(), await member.Node.Host.ApplyAsync(member.Id, member.Wish([], Egress.Nat), member.Container.Init));
        Assert.NotNull(await DialAsync(a.Container, World));
        using (var socket = a.Container.Make(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp)))
        {
            for (var port = 1; port <= NatEgress.MostFlows * 2; port++)
                socket.SendTo([0], new IPEndPoint(World.Address, port));
        }
        int Remembered() => int.Parse(lab.A.Space.Run("/usr/bin/cat", "/proc/sys/net/netfilter/nf_conntrack_count"), System.Globalization.CultureInfo.InvariantCulture);
        Wait.For(() => Remembered() >= NatEgress.MostFlows, "connections to be remembered");
        Assert.InRange(Remembered(), NatEgress.MostFlows, NatEgress.MostFlows + 100);
        Assert.Null(await DialAsync(a.Container, World));
        Assert.Equal($"from {lab.A.Underlay}", await DialAsync(other.Container, World));
    }

    [Fact]
    public async Task It_comes_and_goes_with_the_wish_and_the_rules_with_the_last()
    {
        using var lab = new Lab(by);
        Member[] all = [lab.Join(lab.A, "a", "10.20.0.1"), lab.Join(lab.A, "b", "10.20.0.2")];
        foreach (var member in all)
            Assert.Equal(new Outcome.Done(), await lab.A.Host.ApplyAsync(member.Id, member.Wish(all, Egress.Nat), member.Container.Init));
        foreach (var member in all)
            Wait.For(() => member.Present.Fits(member.Wish(all, Egress.Nat), DateTimeOffset.UtcNow), "way out");
        Assert.False(all[0].Present.Fits(all[0].Wish(all), DateTimeOffset.UtcNow));
        Assert.Equal(3, all[0].Container.Interfaces.Length);

        await all[0].ApplyAsync(all);
        Assert.Equal([all[0].Interface, "lo"], all[0].Container.Interfaces);
        Assert.True(all[0].Present.Fits(all[0].Wish(all), DateTimeOffset.UtcNow));
        Assert.Equal(Egress.Nat, all[1].Present.Egress);

        // Somebody flushes the node's rules: seen, and put right.
        lab.A.Space.Run("/usr/sbin/nft", "flush", "ruleset");
        Assert.Null(all[1].Present.Egress);
        Assert.Equal(new Outcome.Done(), await lab.A.Host.ApplyAsync(all[1].Id, all[1].Wish(all, Egress.Nat), all[1].Container.Init));
        Assert.Equal(Egress.Nat, all[1].Present.Egress);

        // Cut short before its default route: that is neither a way out nor none.
        all[1].Container.Ip("route del default");
        foreach (var wish in new[] { all[1].Wish(all), all[1].Wish(all, Egress.Nat) })
            Assert.False(all[1].Present.Fits(wish, DateTimeOffset.UtcNow));
        await all[1].ApplyAsync(all);
        Assert.Equal([all[1].Interface, "lo"], all[1].Container.Interfaces);

        Assert.Equal(new Outcome.Done(), await lab.A.Host.RemoveAsync(all[1].Id));
        Assert.Equal("", lab.A.Space.Run("/usr/sbin/nft", "list", "ruleset"));
        Assert.Equal(["lo", "under"], lab.A.Space.Interfaces);
        Assert.DoesNotContain("100.", lab.A.Space.Run("/usr/sbin/ip", "route", "show", "table", "all"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_rules_of_a_container_that_ended_by_itself_go_with_the_next_change()
    {
        using var lab = new Lab(by);
        var (a, b) = (lab.Join(lab.A, "a", "10.20.0.1"), lab.Join(lab.A, "b", "10.20.0.2"));
        foreach (var member in (Member[])[a, b])
            Assert.Equal(new Outcome.Done(), await lab.A.Host.ApplyAsync(member.Id, member.Wish([], Egress.Nat), member.Container.Init));
        a.Container.Dispose();
        Wait.For(() => lab.A.Space.Interfaces.Length == 3, "end of the veth");
        await b.ApplyAsync();
        Assert.Equal("", lab.A.Space.Run("/usr/sbin/nft", "list", "ruleset"));
    }

    /// <summary>Found as rules that outlived the last agreement: with its container a tunnel is gone, and nobody removed it.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Nothing_is_left_of_the_last_container_that_ended_by_itself(bool agentRestarts)
    {
        using var lab = new Lab(by);
        var a = lab.Join(lab.A, "a", "10.20.0.1");
        Assert.Equal(new Outcome.Done(), await lab.A.Host.ApplyAsync(a.Id, a.Wish([], Egress.Nat), a.Container.Init));
        a.Container.Dispose();
        Wait.For(() => lab.A.Space.Interfaces.Length == 2 && lab.A.Host.Observe(_ => null).Count == 0, "end of the veth and the tunnel");
        Assert.NotEqual("", lab.A.Space.Run("/usr/sbin/nft", "list", "ruleset"));
        if (agentRestarts)
            lab.A.Open(Lab.Engine(by)).Dispose();
        else
            Assert.Equal(new Outcome.Done(), await lab.A.Host.ReleaseAsync(new ContainerId(a.Id.Agreement, "a")));
        Assert.Equal("", lab.A.Space.Run("/usr/sbin/nft", "list", "ruleset"));
    }

    private static Socket IsServed(Space space, IPAddress address)
    {
        space.Ip($"addr add {address} dev lo");
        return Served(space, address);
    }

    private static Socket Served(Space space, IPAddress address) => space.Served(new IPEndPoint(address, 80));

    private static Task<string?> DialAsync(Space space, IPEndPoint endpoint) => space.DialAsync(endpoint, TimeSpan.FromMilliseconds(700));
}

public sealed class KernelEgressTests() : EgressTests(By.Kernel);

public sealed class ProcessEgressTests() : EgressTests(By.Process);
