using System.Diagnostics;
using System.Net;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Networks;

namespace Grid.Node.Tests.Networks;

/// <summary>What holds for every tunnel, whoever makes it.</summary>
public abstract class TunnelTests(By by)
{
    private const string Marker = "PLAINTEXT-MARKER-7f3a";

    [Theory]
    [InlineData("10.20.0.")]
    [InlineData("fd12:3456:789a:1::")]
    public async Task Every_pair_is_reached_and_nobody_on_the_way_reads_it_not_even_on_one_node(string prefix)
    {
        using var lab = new Lab(by);
        Member[] all = [lab.Join(lab.A, "a1", prefix + "1"), lab.Join(lab.A, "a2", prefix + "2"), lab.Join(lab.B, "b1", prefix + "3")];
        using var onA = new Capture(lab.A.Space, Marker);
        using var onB = new Capture(lab.B.Space, Marker);
        await Lab.MeetAsync(all);
        foreach (var member in all)
            member.Serve();

        var said = await Task.WhenAll(from f in all from t in all where f != t select f.AskAsync(t.Address, Marker));

        Assert.Equal(from f in all from t in all where f != t select $"{t.Id.Of.Workload}: {Marker}", said);
        foreach (var member in all)
        {
            Assert.Equal([member.Interface, "lo"], member.Container.Interfaces);
            Assert.DoesNotContain("default", member.Container.Run("/usr/sbin/ip", "-4", "route") + member.Container.Run("/usr/sbin/ip", "-6", "route"), StringComparison.Ordinal);
            Assert.DoesNotContain("fe80", member.Container.Run("/usr/sbin/ip", "addr"), StringComparison.Ordinal);
            Assert.True(member.Present.Fits(member.Wish(all), DateTimeOffset.UtcNow), member.Present.ToString());
            Assert.All(member.Present.State.Peers, p => Assert.NotNull(p.LastHandshake));
        }
        onA.Dispose();
        onB.Dispose();
        Assert.True(onA.Packets > 20 && onB.Packets > 10, $"{onA.Packets} and {onB.Packets} packets");
        Assert.Equal((0, 0), (onA.Found, onB.Found));
    }

    [Fact]
    public async Task The_capture_would_have_seen_plain_text()
    {
        using var lab = new Lab(by);
        using var capture = new Capture(lab.A.Space, Marker);
        using var sender = lab.A.Space.Make(() => new(System.Net.Sockets.SocketType.Dgram, System.Net.Sockets.ProtocolType.Udp));
        await sender.SendToAsync(System.Text.Encoding.UTF8.GetBytes(Marker), new IPEndPoint(IPAddress.Loopback, 9), TestContext.Current.CancellationToken);
        capture.Dispose();
        Assert.True(capture.Found > 0);
    }

    [Fact]
    public async Task A_member_taken_out_is_cut_off_and_the_sessions_of_the_others_go_on()
    {
        using var lab = new Lab(by);
        Member[] all = [lab.Join(lab.A, "a", "10.20.0.1"), lab.Join(lab.B, "b", "10.20.0.2"), lab.Join(lab.B, "gone", "10.20.0.3")];
        var (a, b, gone) = (all[0], all[1], all[2]);
        await Lab.MeetAsync(all);
        a.Serve();
        Assert.Equal("a: hello", await gone.AskAsync(a.Address, "hello"));
        using var kept = await NamespaceDialer.ConnectAsync(b.Container.Init, new IPEndPoint(a.Address, 80), TestContext.Current.CancellationToken);
        Assert.Equal("a: one", await Member.TellAsync(kept, "one", TestContext.Current.CancellationToken));
        var handshake = a.Present.State.Peers.Single(p => p.Key == b.Node.Keys.PublicOf(b.Id)).LastHandshake;

        var clock = Stopwatch.StartNew();
        await a.ApplyAsync(a, b);
        Assert.Null(await gone.AskAsync(a.Address, "hello", TimeSpan.FromSeconds(2)));
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(5), $"{clock.Elapsed}");

        Assert.Equal("a: two", await Member.TellAsync(kept, "two", TestContext.Current.CancellationToken));
        Assert.Equal(handshake, Assert.Single(a.Present.State.Peers).LastHandshake);
    }

    [Fact]
    public async Task Two_that_called_each_other_at_once_are_in_touch_before_wireguard_tries_again()
    {
        using var lab = new Lab(by);
        Member[] all = [lab.Join(lab.A, "a", "10.20.0.1"), lab.Join(lab.B, "b", "10.20.0.2")];
        using var crossing = new Crossing(lab.A, all);
        Task AgainAsync() => Task.WhenAll(all.Select((m, i) => m.Node.Host.ApplyAsync(m.Id, m.Wish(all) with { Peers = [m.Wish(all).Peers[0] with { Endpoint = crossing.Ends[i] }] }, m.Container.Init)));
        await AgainAsync();
        await crossing.BothCalled;
        var clock = Stopwatch.StartNew();
        while (all.Any(m => m.Present.State.Peers[0].LastHandshake is null))
        {
            await Task.Delay(50, TestContext.Current.CancellationToken);
            await AgainAsync();
        }
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(4), $"{clock.Elapsed}");
    }

    /// <summary>Found as a pair that did not reach each other for fifteen seconds: two threads of wireguard-go made one session of two.</summary>
    [Fact]
    public async Task A_call_that_arrives_with_the_answer_to_ones_own_leaves_one_session()
    {
        using var lab = new Lab(by);
        Member[] all = [lab.Join(lab.A, "a", "10.20.0.1"), lab.Join(lab.B, "b", "10.20.0.2")];
        await Lab.MeetAsync(all);
        foreach (var member in all)
            member.Serve();
        for (var round = 0; round < 20; round++)
        {
            foreach (var member in all)
                await member.ApplyAsync();
            using var crossing = new Crossing(lab.A, all, together: 2);
            await Task.WhenAll(all.Select((m, i) => m.Node.Host.ApplyAsync(m.Id, m.Wish(all) with { Peers = [m.Wish(all).Peers[0] with { Endpoint = crossing.Ends[i] }] }, m.Container.Init)));
            await crossing.BothCalled;
            await Lab.MeetAsync(all);
            Assert.Equal(("b: hello", "a: hello"), (await all[0].AskAsync(all[1].Address, "hello", TimeSpan.FromSeconds(3)), await all[1].AskAsync(all[0].Address, "hello", TimeSpan.FromSeconds(3))));
        }
    }

    [Fact]
    public async Task A_killed_tunnel_is_seen_and_made_again_under_a_container_that_stays()
    {
        using var lab = new Lab(by);
        Member[] all = [lab.Join(lab.A, "a", "10.20.0.1"), lab.Join(lab.B, "b", "10.20.0.2")];
        await Lab.MeetAsync(all);
        all[0].Serve();
        Assert.Equal("a: hello", await all[1].AskAsync(all[0].Address, "hello"));

        Kill(all[0]);
        Wait.For(() => all[0].Seen is null, "end of the tunnel");
        Wait.For(() => all[0].Container.Interfaces is ["lo"], "end of the interface");
        await all[0].ApplyAsync(all);

        Assert.Equal("a: again", await all[1].AskAsync(all[0].Address, "again"));
        Assert.True(all[0].Container.Lives);
    }

    [Theory]
    [InlineData("started")]
    [InlineData("configured")]
    [InlineData("moved")]
    [InlineData("addressed, not up")]
    [InlineData("another address")]
    [InlineData("another way")]
    [InlineData("killed")]
    [InlineData("container made anew")]
    [InlineData("done")]
    public async Task What_was_cut_short_anywhere_is_finished(string where)
    {
        using var lab = new Lab(by);
        var (a, b) = (lab.Join(lab.A, "a", "10.20.0.1"), lab.Join(lab.B, "b", "10.20.0.2"));
        Member[] all = [a, b];
        await b.ApplyAsync(all);
        b.Serve();
        if (where is "started" or "configured" or "moved" or "addressed, not up")
            lab.A.Host.WireGuard.Start(a.Id, a.Interface);
        if (where is "configured" or "moved")
            Running(a).Set(new WireGuardChange(true, a.Port, [], []), Enumerable.Repeat((byte)9, 32).ToArray());
        if (where is "moved" or "addressed, not up")
            lab.A.Space.Ip($"link set {a.Interface} netns {a.Container.Init.Pid}");
        if (where is "addressed, not up")
            a.Container.Ip($"addr add {a.Address}/24 dev {a.Interface}");
        if (where is "another address" or "another way" or "done" or "killed")
            await a.ApplyAsync(all);
        if (where is "another address")
            a.Container.Ip($"addr flush dev {a.Interface}", $"addr add 10.20.0.77/24 dev {a.Interface}");
        if (where is "another way")
            a.Container.Ip($"route add default dev {a.Interface}");
        if (where is "killed")
        {
            Kill(a);
            Wait.For(() => a.Seen is null, "end");
        }
        if (where is "container made anew")
        {
            using var before = new Space(ofContainer: true);
            Assert.Equal(new Outcome.Done(), await lab.A.Host.ApplyAsync(a.Id, a.Wish(all), before.Init));
        }

        await a.ApplyAsync(all);

        Assert.Equal("b: hello", await a.AskAsync(b.Address, "hello"));
        Assert.True(a.Present.Fits(a.Wish(all), DateTimeOffset.UtcNow), a.Present.ToString());
        var same = Identity(a);
        await a.ApplyAsync(all);
        Assert.Equal(same, Identity(a));
    }

    [Fact]
    public async Task Two_tenants_with_the_same_addresses_see_nothing_of_each_other()
    {
        using var lab = new Lab(by);
        Member[] one = [lab.Join(lab.A, "one-1", "10.20.0.1", "one"), lab.Join(lab.A, "one-2", "10.20.0.2", "one")];
        Member[] two = [lab.Join(lab.A, "two-1", "10.20.0.1", "two"), lab.Join(lab.A, "two-2", "10.20.0.2", "two"), lab.Join(lab.A, "two-3", "10.20.0.3", "two")];
        await Task.WhenAll(Lab.MeetAsync(one), Lab.MeetAsync(two));
        foreach (var member in one.Concat(two))
            member.Serve();
        Assert.Equal("one-2: hello", await one[0].AskAsync(one[1].Address, "hello"));
        Assert.Equal("two-2: hello", await two[0].AskAsync(two[1].Address, "hello"));
        Assert.Equal("two-3: hello", await two[0].AskAsync(two[2].Address, "hello"));
        Assert.Null(await one[0].AskAsync(two[2].Address, "hello", TimeSpan.FromSeconds(1)));
        Assert.Null(await one[0].AskAsync(lab.A.Underlay, "hello", TimeSpan.FromSeconds(1)));
    }

    [Fact]
    public async Task Nothing_is_left_of_a_removed_one_and_removing_it_again_is_nothing()
    {
        using var lab = new Lab(by);
        var a = lab.Join(lab.A, "a", "10.20.0.1");
        await a.ApplyAsync();
        var running = Running(a);
        Assert.True(Lives(running));
        for (var i = 0; i < 2; i++)
        {
            Assert.Equal(new Outcome.Done(), await lab.A.Host.RemoveAsync(a.Id));
            Assert.False(Lives(running));
            Assert.Null(a.Seen);
            Wait.For(() => a.Container.Interfaces is ["lo"], "end of the interface");
            Assert.Equal(["lo", "under"], lab.A.Space.Interfaces);
            Assert.False(File.Exists(WireGuardSocket.PathOf(a.Interface)));
        }
    }

    [Fact]
    public async Task Another_nodes_tunnels_are_not_seen_and_a_key_that_is_not_ours_is_refused()
    {
        using var lab = new Lab(by);
        var a = lab.Join(lab.A, "a", "10.20.0.1");
        await a.ApplyAsync();
        Assert.Empty(lab.B.Host.Observe(_ => null));
        Assert.IsType<Outcome.Refused>(await lab.A.Host.ApplyAsync(a.Id, a.Wish([]) with { Key = lab.B.Keys.PublicOf(a.Id) }, a.Container.Init));
    }

    [Fact]
    public void A_port_is_the_same_every_time_while_nobody_has_it()
    {
        using var lab = new Lab(by);
        var id = lab.Join(lab.A, "a", "10.20.0.1").Id;
        var port = lab.A.Host.ChoosePort(id, new HashSet<int>());
        Assert.InRange(port, 20_000, 39_999);
        using (lab.A.Space.Make(() => Bound(port)))
            Assert.NotEqual(port, lab.A.Host.ChoosePort(id, new HashSet<int>()));
        // A process that another test is starting holds it a little longer.
        Wait.For(() => lab.A.Host.ChoosePort(id, new HashSet<int>()) == port, "port that is free again");
        Assert.NotEqual(port, lab.A.Host.ChoosePort(id, new HashSet<int> { port }));
    }

    private static System.Net.Sockets.Socket Bound(int port)
    {
        var socket = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.InterNetwork, System.Net.Sockets.SocketType.Dgram, System.Net.Sockets.ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Any, port));
        return socket;
    }

    /// <summary>As somebody who means ill does.</summary>
    private protected abstract void Kill(Member member);

    /// <summary>Another one for each that is made.</summary>
    private protected abstract object Identity(Member member);

    private protected abstract bool Lives(IRunningTunnel tunnel);

    private protected static IRunningTunnel Running(Member member) => Assert.Single(member.Node.Host.WireGuard.Find(), t => t.Id == member.Id);
}
