using System.Net;
using System.Text;
using Grid.Networks;
using Grid.Node.Networks;
using Grid.Units;

namespace Grid.Node.Tests.Networks;

public sealed class WireGuardTests
{
    private static readonly TunnelKey Own = new(Digest.Of("own"u8)), Stays = new(Digest.Of("stays"u8)), Goes = new(Digest.Of("goes"u8)), Comes = new(Digest.Of("comes"u8));
    private static readonly DateTimeOffset Now = DateTimeOffset.FromUnixTimeSeconds(1_000_000);

    [Fact]
    public void Keys_are_the_same_for_the_same_tunnel_and_differ_for_every_other()
    {
        using var keys = new TunnelKeys(Enumerable.Repeat((byte)1, 32).ToArray());
        using var same = new TunnelKeys(Enumerable.Repeat((byte)1, 32).ToArray());
        using var others = new TunnelKeys(Enumerable.Repeat((byte)2, 32).ToArray());
        var ids = from agreement in (string[])["x", "y"]
                  from names in ((string, string)[])[("net", "web"), ("net", "we"), ("ne", "tweb"), ("web", "net")]
                  select new TunnelId(new AgreementId(Digest.Of(Encoding.UTF8.GetBytes(agreement))), new Membership(names.Item1, names.Item2));
        Assert.All(ids, id => Assert.Equal(keys.PublicOf(id), same.PublicOf(id)));
        Assert.Equal(16, ids.SelectMany(id => (TunnelKey[])[keys.PublicOf(id), others.PublicOf(id)]).Distinct().Count());
    }

    [Fact]
    public void A_private_key_is_clamped()
    {
        using var keys = new TunnelKeys(new byte[32]);
        Span<byte> key = stackalloc byte[32];
        for (var i = 0; i < 100; i++)
        {
            keys.WritePrivate(new TunnelId(new AgreementId(Digest.Of([(byte)i])), new Membership("net", "web")), key);
            Assert.Equal((0, 0x40), (key[0] & 7, key[31] & 0xC0));
        }
    }

    [Fact]
    public void An_id_is_read_back_from_what_stands_in_the_environment()
    {
        var id = new TunnelId(new AgreementId(Digest.Of("x"u8)), new Membership("net", "web"));
        Assert.True(TunnelId.TryParse(id.ToString(), out var read));
        Assert.Equal(id, read);
        foreach (var wrong in (string?[])[null, "", "a/b", $"{id}/more", $"{id.Agreement}//web", $"{id.Agreement}/net/", $"node1{id.ToString()[4..]}"])
            Assert.False(TunnelId.TryParse(wrong, out _), wrong);
        Assert.InRange(id.InterfaceName("gw", "scope").Length, 1, 15);
        Assert.NotEqual(id.InterfaceName("gw", "one"), id.InterfaceName("gw", "another"));
    }

    [Fact]
    public void Only_what_differs_is_changed()
    {
        var wish = Wish(new(Stays, At(1), IPAddress.Parse("10.0.0.2")), new(Comes, At(2), IPAddress.Parse("10.0.0.3")));
        var state = new WireGuardState(Own, 20_000, [Seen(Stays, At(1), "10.0.0.2"), Seen(Goes, At(3), "10.0.0.4")]);
        var change = WireGuardChange.Between(state, wish, Now)!;
        Assert.Equal((false, null), (change.Key, change.Port));
        Assert.Equal([Goes], change.Removed);
        Assert.Equal([new PeerChange(Comes, At(2), IPAddress.Parse("10.0.0.3"))], change.Set);
        Assert.Null(WireGuardChange.Between(new WireGuardState(Own, 20_000, [Seen(Comes, At(2), "10.0.0.3"), Seen(Stays, At(1), "10.0.0.2")]), wish, Now));
        Assert.Equal((true, 20_000), (WireGuardChange.Between(new WireGuardState(null, 0, []), wish, Now)!.Key, WireGuardChange.Between(new WireGuardState(null, 0, []), wish, Now)!.Port));
    }

    [Theory]
    [InlineData(null, true)]
    [InlineData(179, false)]
    [InlineData(181, true)]
    public void Who_was_heard_from_lately_is_where_it_was_heard_from(int? secondsAgo, bool moved)
    {
        var wish = Wish(new TunnelPeer(Stays, At(2), IPAddress.Parse("10.0.0.2")));
        var seen = Seen(Stays, At(1), "10.0.0.2") with { LastHandshake = secondsAgo is { } s ? Now.AddSeconds(-s) : null };
        Assert.Equal(moved, WireGuardChange.Between(new WireGuardState(Own, 20_000, [seen]), wish, Now) is not null);
    }

    [Theory]
    [InlineData(true, 148, null, true)]
    [InlineData(false, 148, null, false)]
    [InlineData(true, 0, null, false)]
    [InlineData(true, 148, 200, false)]
    public void Of_two_that_called_at_once_the_one_with_the_lesser_key_calls_again(bool lesser, long received, int? secondsAgo, bool again)
    {
        var peer = new[] { Stays, Goes, Comes }.Single(k => k != Own && k == (lesser ? new[] { Stays, Goes, Comes }.Max() : new[] { Stays, Goes, Comes }.Min()));
        Assert.Equal(lesser, Own < peer);
        var seen = Seen(peer, At(1), "10.0.0.2") with { Received = received, LastHandshake = secondsAgo is { } s ? Now.AddSeconds(-s) : null };
        var change = WireGuardChange.Between(new WireGuardState(Own, 20_000, [seen]), Wish(new TunnelPeer(peer, null, IPAddress.Parse("10.0.0.2"))), Now);
        Assert.Equal(again ? [new PeerChange(peer, At(1), IPAddress.Parse("10.0.0.2")) { Anew = true }] : [], change?.Set ?? []);
    }

    [Fact]
    public void A_change_is_written_as_the_protocol_says()
    {
        var text = Encoding.ASCII.GetString(WireGuardSocket.Write(
            new WireGuardChange(true, 20_000, [Goes], [new PeerChange(Comes, IPEndPoint.Parse("[2001:db8::1]:9"), IPAddress.Parse("fd00::3"))]), Enumerable.Repeat((byte)0xAB, 32).ToArray()));
        Assert.Equal(
            $"set=1\npublic_key={Comes.Value}\nremove=true\npublic_key={Comes.Value}\npersistent_keepalive_interval=25\nreplace_allowed_ips=true\nallowed_ip=10.0.0.3/32\n\n",
            Encoding.ASCII.GetString(WireGuardSocket.Write(new WireGuardChange(false, null, [], [new PeerChange(Comes, null, IPAddress.Parse("10.0.0.3")) { Anew = true }]), default)));
        Assert.Equal(
            $"set=1\nprivate_key={string.Concat(Enumerable.Repeat("ab", 32))}\nlisten_port=20000\npublic_key={Goes.Value}\nremove=true\n"
            + $"public_key={Comes.Value}\nendpoint=[2001:db8::1]:9\npersistent_keepalive_interval=25\nreplace_allowed_ips=true\nallowed_ip=fd00::3/128\n\n", text);
    }

    [Fact]
    public void What_a_tunnel_says_is_read()
    {
        var state = WireGuardSocket.Parse(Encoding.ASCII.GetBytes(
            $"private_key=09{new string('0', 62)}\nlisten_port=20000\npublic_key={Stays.Value}\npreshared_key={new string('0', 64)}\nprotocol_version=1\nendpoint=192.0.2.1:9\nlast_handshake_time_sec=5\n"
            + "last_handshake_time_nsec=1\ntx_bytes=7\nrx_bytes=8\npersistent_keepalive_interval=25\nallowed_ip=10.0.0.2/32\n"
            + $"public_key={Goes.Value}\nlast_handshake_time_sec=0\nallowed_ip=10.0.0.0/24\npublic_key={Comes.Value}\nallowed_ip=10.0.0.3/32\nallowed_ip=10.0.0.4/32\nerrno=0\n\n"));
        // RFC 7748 §5.2: the first iteration.
        Assert.Equal(Digest.ParseHex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"), state.Key?.Value);
        Assert.Equal(20_000, state.Port);
        Assert.Equal(
            [
                new PeerSighting(Stays, IPEndPoint.Parse("192.0.2.1:9"), IPAddress.Parse("10.0.0.2"), DateTimeOffset.FromUnixTimeSeconds(5), 25, 8, 7),
                new PeerSighting(Goes, null, null, null, 0, 0, 0), new PeerSighting(Comes, null, null, null, 0, 0, 0),
            ],
            state.Peers);
    }

    [Theory]
    [InlineData("")]
    [InlineData("listen_port=1\n")]
    [InlineData("errno=-22\n\n")]
    [InlineData("listen_port=many\nerrno=0\n\n")]
    [InlineData("private_key=00\nerrno=0\n\n")]
    [InlineData("public_key=00\nerrno=0\n\n")]
    [InlineData("public_key=0000000000000000000000000000000000000000000000000000000000000000\nendpoint=nowhere\nerrno=0\n\n")]
    public void What_is_no_answer_is_refused(string answer) => Assert.Throws<FormatException>(() => WireGuardSocket.Parse(Encoding.ASCII.GetBytes(answer)));

    private static IPEndPoint At(byte host) => new(new IPAddress([192, 0, 2, host]), 9);

    private static Tunnel Wish(params TunnelPeer[] peers) => new("net", IPAddress.Parse("10.0.0.1"), 24, Own, 20_000, [.. peers], Egress.None);

    private static PeerSighting Seen(TunnelKey key, IPEndPoint endpoint, string address) => new(key, endpoint, IPAddress.Parse(address), null, 25, 0, 0);
}
