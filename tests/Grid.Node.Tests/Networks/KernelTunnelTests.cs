using System.Text.Json;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Networks;
using Grid.Units;

namespace Grid.Node.Tests.Networks;

public sealed class KernelTunnelTests() : TunnelTests(By.Kernel)
{
    [Fact]
    public async Task The_next_agent_finds_every_tunnel_of_its_node_and_no_other()
    {
        using var lab = new Lab(By.Kernel);
        // One has a name but no workload's namespace yet, and two are of one container.
        Member[] all = [lab.Join(lab.A, "a1", "10.20.0.1"), lab.Join(lab.A, "a2", "10.20.0.2"), lab.Join(lab.B, "b", "10.20.0.3")];
        var (second, born) = (all[0].Id with { Of = new Membership("other", "a1") }, lab.Join(lab.A, "born", "10.20.0.4"));
        await Lab.MeetAsync(all);
        Assert.Equal(new Outcome.Done(), await lab.A.Host.ApplyAsync(
            second, new Tunnel("other", System.Net.IPAddress.Parse("10.30.0.1"), 24, lab.A.Keys.PublicOf(second), 19_999, [], Egress.None), all[0].Container.Init));
        lab.A.Host.WireGuard.Start(born.Id, born.Interface);
        var before = Identity(all[0]);

        using var next = lab.A.Open(Lab.Engine(By.Kernel));
        var seen = next.Observe(_ => all[0].Container.Init);

        Assert.Equal(new[] { all[0].Id, all[1].Id, second, born.Id }.Order(), seen.Keys.Order());
        Assert.True(Assert.IsType<TunnelSighting.Present>(seen[all[0].Id]).Fits(all[0].Wish(all[..3]), DateTimeOffset.UtcNow), $"{seen[all[0].Id]}");
        Assert.Equal(new Outcome.Done(), await next.ApplyAsync(all[0].Id, all[0].Wish(all), all[0].Container.Init));
        Assert.Equal(before, Identity(all[0]));
        foreach (var id in seen.Keys)
            Assert.Equal(new Outcome.Done(), await next.RemoveAsync(id));
        Assert.Empty(next.Observe(_ => null));
        Assert.Equal(all[2].Id, Assert.Single(lab.B.Host.Observe(_ => all[2].Container.Init)).Key);
    }

    [Fact]
    public async Task One_that_was_not_finished_is_nobodys_until_it_is_made_again_or_removed()
    {
        using var lab = new Lab(By.Kernel);
        var a = lab.Join(lab.A, "a", "10.20.0.1");
        foreach (var again in new[] { false, true })
        {
            lab.A.Space.Ip($"link add {a.Interface} type wireguard");
            Assert.Null(a.Seen);
            if (again)
                await a.ApplyAsync();
            Assert.Equal(again, a.Seen is not null);
            Assert.Equal(new Outcome.Done(), await lab.A.Host.RemoveAsync(a.Id));
            Assert.Equal(["lo", "under"], lab.A.Space.Interfaces);
        }
    }

    [Fact]
    public async Task What_an_earlier_agent_made_of_a_process_stays_until_it_is_made_anew()
    {
        using var lab = new Lab(By.Kernel);
        Assert.SkipUnless(File.Exists(Programs.WireGuardGo), $"{Programs.WireGuardGo} is not installed");
        Member[] all = [lab.Join(lab.A, "a", "10.20.0.1"), lab.Join(lab.B, "b", "10.20.0.2")];
        var a = all[0];
        using (var earlier = lab.A.Open(Lab.Engine(By.Process)))
            Assert.Equal(new Outcome.Done(), await earlier.ApplyAsync(a.Id, a.Wish(all), a.Container.Init));
        using var node = NetworkNamespace.Open(lab.A.Space.Path);
        var process = Assert.Single(new WireGuardGo(node, lab.A.Scope).Find());

        await Lab.MeetAsync(all);
        all[1].Serve();
        Assert.Equal("b: hello", await a.AskAsync(all[1].Address, "hello"));
        Assert.Equal(process, Assert.Single(new WireGuardGo(node, lab.A.Scope).Find()));
        Assert.Empty(lab.A.Host.WireGuard.Find());

        Assert.True(process.End());
        Wait.For(() => a.Container.Interfaces is ["lo"], "end of the interface");
        await a.ApplyAsync(all);
        Assert.Equal("b: again", await a.AskAsync(all[1].Address, "again"));
        Assert.Equal(a.Id, Running(a).Id);
    }

    private protected override void Kill(Member member) => member.Container.Ip($"link del {member.Interface}");

    private protected override object Identity(Member member)
    {
        using var link = JsonDocument.Parse(member.Container.Run(Programs.Ip, "-j", "link", "show", member.Interface));
        return link.RootElement[0].GetProperty("ifindex").GetInt32();
    }

    private protected override bool Lives(IRunningTunnel tunnel) => NamespaceView.Has(((KernelTunnel)tunnel).Within.Pid, tunnel.Interface);
}
