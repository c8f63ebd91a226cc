using System.Net;
using System.Text;
using Grid.Networks;
using Grid.Node.Networks;
using Grid.Units;

namespace Grid.Node.Tests.Networks;

public sealed class WireGuardToolTests
{
    private static readonly TunnelKey Own = new(Digest.Of("own"u8)), Stays = new(Digest.Of("stays"u8)), Goes = new(Digest.Of("goes"u8)), Comes = new(Digest.Of("comes"u8));

    [Fact]
    public void A_change_is_told_in_one_command_that_holds_no_private_key()
    {
        var peer = new PeerChange(Comes, IPEndPoint.Parse("[2001:db8::1]:9"), IPAddress.Parse("fd00::3"));
        Assert.Equal(
            $"set gw private-key /proc/self/fd/3 listen-port 20000 peer {Goes} remove peer {Comes} endpoint [2001:db8::1]:9 persistent-keepalive 25 allowed-ips fd00::3/128",
            string.Join(' ', WireGuardTool.Set("gw", new WireGuardChange(true, 20_000, [Goes], [peer]))));
        Assert.Equal(
            $"set gw peer {Comes} remove peer {Comes} persistent-keepalive 25 allowed-ips 10.0.0.3/32",
            string.Join(' ', WireGuardTool.Set("gw", new WireGuardChange(false, null, [], [new PeerChange(Comes, null, IPAddress.Parse("10.0.0.3")) { Anew = true }]))));
        Assert.Equal(Own.ToString(), Encoding.ASCII.GetString(WireGuardTool.Text(Own.Value.ToArray())));
    }

    [Fact]
    public void What_it_says_of_a_tunnel_is_read()
    {
        var state = WireGuardTool.Parse(Encoding.ASCII.GetBytes(
            $"private\t{Own}\t20000\toff\n{Stays}\t(none)\t192.0.2.1:9\t10.0.0.2/32\t5\t8\t7\t25\n{Goes}\t(none)\t(none)\t10.0.0.0/24\t0\t0\t0\toff\n"
            + $"{Comes}\t(none)\t[2001:db8::1]:9\t10.0.0.3/32,10.0.0.4/32\t0\t148\t0\t25\n{Own}\t(none)\t(none)\t(none)\t0\t0\t0\toff\n"));
        Assert.Equal((Own, 20_000), (state.Key, state.Port));
        Assert.Equal(
            [
                new PeerSighting(Stays, IPEndPoint.Parse("192.0.2.1:9"), IPAddress.Parse("10.0.0.2"), DateTimeOffset.FromUnixTimeSeconds(5), 25, 8, 7),
                new PeerSighting(Goes, null, null, null, 0, 0, 0), new PeerSighting(Comes, IPEndPoint.Parse("[2001:db8::1]:9"), null, null, 25, 148, 0), new PeerSighting(Own, null, null, null, 0, 0, 0),
            ],
            state.Peers);
        var young = WireGuardTool.Parse("(none)\t(none)\t0\toff\n"u8);
        Assert.Equal((null, 0, true), (young.Key, young.Port, young.Peers.IsEmpty));
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("(none)\t(none)\t0\toff")]
    [InlineData("(none)\t(none)\t0\n")]
    [InlineData("(none)\tshort\t0\toff\n")]
    [InlineData("(none)\t(none)\tmany\toff\n")]
    [InlineData("(none)\t(none)\t0\toff\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")]
    [InlineData("(none)\t(none)\t0\toff\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\t(none)\tnowhere\t(none)\t0\t0\t0\toff\n")]
    [InlineData("(none)\t(none)\t0\toff\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\t(none)\t(none)\t(none)\tnow\t0\t0\toff\n")]
    public void What_is_no_answer_is_refused(string answer) => Assert.Throws<FormatException>(() => WireGuardTool.Parse(Encoding.ASCII.GetBytes(answer)));

    /// <summary>wg(8) speaks to a process as it does to the kernel, and the process says what it understood.</summary>
    [Fact]
    public void It_is_understood_by_the_tool_itself()
    {
        using var lab = new Lab(By.Process);
        Assert.SkipUnless(File.Exists(Programs.Wg), $"{Programs.Wg} is not installed");
        var a = lab.Join(lab.A, "a", "10.20.0.1");
        lab.A.Host.WireGuard.Start(a.Id, a.Interface);
        using var space = NetworkNamespace.Open(lab.A.Space.Path);
        PeerChange Peer(TunnelKey key, string address) => new(key, IPEndPoint.Parse("192.0.2.9:9"), IPAddress.Parse(address));

        Tell(new WireGuardChange(true, a.Port, [], [Peer(Stays, "10.20.0.2"), Peer(Goes, "10.20.0.3")]));
        Same(a.Node.Keys.PublicOf(a.Id), a.Port, Stays, Goes);
        Tell(new WireGuardChange(false, null, [Goes], [Peer(Stays, "10.20.0.3") with { Anew = true }, Peer(Comes, "fd00::1") with { Endpoint = IPEndPoint.Parse("[2001:db8::1]:9") }]));
        Same(a.Node.Keys.PublicOf(a.Id), a.Port, Stays, Comes);

        void Tell(WireGuardChange change)
        {
            var key = new byte[TunnelKeys.SecretSize];
            a.Node.Keys.WritePrivate(a.Id, key);
            space.Run(Programs.Wg, WireGuardTool.Set(a.Interface, change), change.Key ? WireGuardTool.Text(key) : default);
        }

        void Same(TunnelKey own, int port, params TunnelKey[] peers)
        {
            var (told, read) = (WireGuardSocket.Get(a.Interface), WireGuardTool.Parse(space.RunForSecret(Programs.Wg, ["show", a.Interface, "dump"]).Span));
            Assert.Equal((own, port), (read.Key, read.Port));
            Assert.Equal(peers.Order(), read.Peers.Select(p => p.Key).Order());
            Assert.Equal((told.Key, told.Port), (read.Key, read.Port));
            Assert.Equal(told.Peers.OrderBy(p => p.Key), read.Peers.OrderBy(p => p.Key));
            Assert.All(read.Peers, p => Assert.True(p.KeepAlive == WireGuardChange.KeepAliveSeconds && p.Address is not null && p.Endpoint is not null, $"{p}"));
        }
    }
}
