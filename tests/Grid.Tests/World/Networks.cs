using System.Collections.Immutable;
using System.Net;
using Grid.Agreements;
using Grid.Networks;
using Grid.Reconciliation;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests.World;

/// <summary>A network over several nodes: what nodes publish when they are ready is what the others dial, and nothing else is taken.</summary>
public sealed class Networks : IDisposable
{
    private readonly TestGrid _grid = new();
    private readonly ImmutableArray<TestNode> _nodes;

    public Networks() => _nodes = [.. _grid.Farms.SelectMany(f => f.Nodes)];

    public void Dispose() => _grid.Dispose();

    [Fact]
    public void Every_member_has_a_tunnel_to_every_other_with_its_single_address()
    {
        var agreement = _grid.Run(Terms(3));
        var wishes = Wishes(agreement);
        Assert.Equal(3, wishes.Count);
        foreach (var wish in wishes)
        {
            var tunnel = Assert.Single(wish.Tunnels);
            Assert.Equal(wish.Workload.Networks[0].Address, tunnel.Address);
            Assert.Equal(24, tunnel.Bits);
            Assert.Equal(agreement.Version.End(wish.Workload.Node, wish.TunnelOf(tunnel).Of)!.Key, tunnel.Key);
            var others = wishes.Where(w => w != wish).ToList();
            Assert.Equal(others.Select(o => o.Tunnels[0].Key).Order(), tunnel.Peers.Select(p => p.Key));
            Assert.All(others, o => Assert.Contains(new TunnelPeer(o.Tunnels[0].Key, new IPEndPoint(IPAddress.Parse("192.0.2.1"), o.Tunnels[0].Port), o.Tunnels[0].Address), tunnel.Peers));
        }
    }

    [Fact]
    public void A_node_publishes_just_the_tunnels_of_the_version()
    {
        var agreement = Agreed(Terms(3));
        var node = _nodes[0];
        var ends = _grid.Ends(node, agreement);
        string Refused(TunnelEnds said) => _grid.Refused(_grid.Sign(node.Id.Value, new WorkloadReady(agreement.Id, agreement.Version.Id, said), node.Name));
        Assert.Equal(RefusalCode.TunnelMismatch, Refused(TunnelEnds.None));
        Assert.Equal(RefusalCode.TunnelMismatch, Refused(ends with { Underlay = [] }));
        Assert.Equal(RefusalCode.TunnelMismatch, Refused(ends with { Tunnels = [ends.Tunnels[0] with { Of = new Membership("back", "web-9") }] }));
        Assert.Equal(RefusalCode.TunnelMismatch, Refused(ends with { Tunnels = [.. ends.Tunnels, ends.Tunnels[0] with { Of = new Membership("back", "web-9"), Port = 9 }] }));
        Assert.Equal(RefusalCode.PortConflict, Refused(ends with { Tunnels = [ends.Tunnels[0] with { Port = 0 }] }));
        _grid.Accept(_grid.Ready(node, agreement));
    }

    [Fact]
    public void Two_tunnels_of_a_node_share_neither_port_nor_key()
    {
        var node = _nodes[0];
        var agreement = Agreed(_grid.Priced(_grid.Terms(node.Id) with { Workloads = [Back, Member("web-0", node, 2), Member("web-1", node, 3)] }));
        var ends = _grid.Ends(node, agreement);
        string Refused(TunnelEnds said) => _grid.Refused(_grid.Sign(node.Id.Value, new WorkloadReady(agreement.Id, agreement.Version.Id, said), node.Name));
        Assert.Equal(RefusalCode.PortConflict, Refused(ends with { Tunnels = [ends.Tunnels[0], ends.Tunnels[1] with { Port = ends.Tunnels[0].Port }] }));
        Assert.Equal(RefusalCode.TunnelMismatch, Refused(ends with { Tunnels = [ends.Tunnels[0], ends.Tunnels[1] with { Key = ends.Tunnels[0].Key }] }));
    }

    [Fact]
    public void A_port_is_held_by_one_agreement_until_that_lets_it_go()
    {
        var node = _nodes[0];
        TunnelEnds At(TunnelEnds ends, int port) => ends with { Tunnels = [ends.Tunnels[0] with { Port = port }] };
        Statement Answer(Agreement agreement, int port) => _grid.Sign(node.Id.Value, new WorkloadReady(agreement.Id, (agreement.Next?.Version ?? agreement.Version).Id, At(_grid.Ends(node, agreement), port)), node.Name);
        Agreement Now(Agreement agreement) => _grid.State.Agreements[agreement.Id];
        var (first, second) = (Agreed(Terms(1)), Agreed(Terms(1)));
        _grid.Accept(Answer(first, 20_000));
        Assert.Equal(RefusalCode.PortConflict, _grid.Refused(Answer(second, 20_000)));
        _grid.Accept(Answer(second, 20_001));

        // An amendment holds what it publishes beside what is in force, and what it leaves is free once it is.
        first = Now(first);
        _grid.Accept(_grid.SignedByUser(_grid.Amend(first, t => t with { Workloads = Terms(2).Workloads }), "alpha"));
        _grid.Accept(Answer(Now(first), 20_002));
        Assert.Equal([20_000, 20_001, 20_002], _grid.State.Ports.Keys.Select(p => p.Port).Order());
        _grid.Accept(_grid.Ready(_nodes[1], Now(first)));
        var third = Agreed(Terms(1));
        Assert.Equal(RefusalCode.PortConflict, _grid.Refused(Answer(third, 20_002)));
        _grid.Accept(_grid.Sign(_grid.User.Value, new CancelAgreement(second.Id), "user-a", "user-b"));
        _grid.Accept(Answer(third, 20_001));
        // Of another node it is another port.
        Assert.Equal(2, _grid.State.Ports.Keys.Count(p => p.Node == node.Id));
        Assert.Contains(_grid.State.Ports, p => p.Key.Node == _nodes[1].Id && p.Value == first.Id);
    }

    [Fact]
    public void A_member_that_an_amendment_drops_is_nobodys_peer_once_it_is_in_force()
    {
        var agreement = _grid.Run(Terms(3));
        var dropped = Wishes(agreement).Single(w => w.Key.Name == "web-1").Tunnels[0].Key;
        var next = _grid.Amend(agreement, t => t with { Workloads = t.Workloads.RemoveAll(w => w.Name == "web-1") });
        _grid.Accept(_grid.SignedByUser(next, "alpha", "beta"));
        Assert.All(Wishes(_grid.State.Agreements[agreement.Id]).Where(w => w.Key.Name != "web-1"), w => Assert.Contains(w.Tunnels[0].Peers, p => p.Key == dropped));
        foreach (var node in next.Nodes)
            _grid.Accept(_grid.Ready(_grid.NodeOf(node), _grid.State.Agreements[agreement.Id]));
        var wishes = Wishes(_grid.State.Agreements[agreement.Id]);
        Assert.Equal(2, wishes.Count);
        Assert.All(wishes, w => Assert.DoesNotContain(w.Tunnels[0].Peers, p => p.Key == dropped));
    }

    [Fact]
    public void A_node_or_an_offer_without_networks_takes_no_member()
    {
        var state = _grid.State;
        var terms = Terms(1);
        var (node, offer) = (state.Nodes[_nodes[0].Id], state.Offers[terms.Farms[0].Offer]);
        var poor = state with { Nodes = state.Nodes.SetItem(node.Id, node with { Report = node.Report! with { Kinds = ["container", "volume"] } }) };
        Assert.Equal(RefusalCode.UnsupportedKind, Agreeable.Check(poor, terms, null, _grid.Now)?.Code);
        var narrow = state with { Offers = state.Offers.SetItem(offer.Id, offer with { Terms = offer.Terms with { Kinds = ["container", "volume"] } }) };
        Assert.Equal(RefusalCode.UnsupportedKind, Agreeable.Check(narrow, terms, null, _grid.Now)?.Code);
        Assert.Null(Agreeable.Check(state, terms, null, _grid.Now));
    }

    private static Network Back => new("back", IPNetwork.Parse("10.1.0.0/24"), Egress.None);

    private static Container Member(string name, TestNode node, byte host) =>
        TestGrid.Container(name, node.Id) with { Networks = [new NetworkAddress("back", new IPAddress([10, 1, 0, host]))] };

    private AgreementTerms Terms(int members) => _grid.Priced(_grid.Terms([.. _nodes.Take(members).Select(n => n.Id)]) with
    {
        Workloads = [Back, .. _nodes.Take(members).Select((n, i) => Member($"web-{i}", n, (byte)(i + 2)))],
    });

    private Agreement Agreed(AgreementTerms terms)
    {
        var farms = _grid.Farms.Where(f => terms.Farms.Any(p => p.Farm == f.Id)).Select(f => f.Name);
        var id = new AgreementId(_grid.Accept(_grid.SignedByUser(terms, [.. farms])));
        return _grid.State.Agreements[id];
    }

    private List<Wish> Wishes(Agreement agreement) =>
        [.. _nodes.SelectMany(n => Desired.Of(n.Id, [agreement], [], TimeSpan.Zero, _grid.Now, _grid.Now).Wishes.Values)];
}
