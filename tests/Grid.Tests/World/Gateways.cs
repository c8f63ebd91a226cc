using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Gateways;
using Grid.Nodes;
using Grid.Statements;
using Grid.Workloads;

namespace Grid.Tests.World;

public sealed class Gateways : IDisposable
{
    private readonly TestGrid _grid = new();

    private TestNode North => _grid.Farms[0].Nodes[0];

    private TestNode East => _grid.Farms[1].Nodes[0];

    public void Dispose() => _grid.Dispose();

    [Theory]
    [InlineData("shop.example.org", true)]
    [InlineData("xn--bcher-kva.example", true)]
    [InlineData("3com.co", true)]
    [InlineData("a.b", true)]
    [InlineData("a.1b", false)]
    [InlineData("a.b.", false)]
    [InlineData(".a.b", false)]
    [InlineData("a", false)]
    [InlineData("a.B", false)]
    [InlineData("a b.c", false)]
    [InlineData("1.2.3.4", false)]
    public void A_hostname_is_written_in_one_way(string text, bool valid) => Assert.Equal(valid, Hostname.IsValid(text));

    [Theory]
    [InlineData("shop.gw.example", "gw.example", true)]
    [InlineData("my.shop.gw.example", "gw.example", false)]
    [InlineData("gw.example", "gw.example", false)]
    [InlineData("shopgw.example", "gw.example", false)]
    [InlineData("shop.hw.example", "gw.example", false)]
    [InlineData("a.example", "gw.example", false)]
    public void A_node_gives_what_is_directly_under_its_domain(string hostname, string domain, bool given) => Assert.Equal(given, Hostname.IsDirectlyUnder(hostname, domain));

    [Fact]
    public void An_agreement_with_a_gateway_runs_like_any_other()
    {
        Assert.Equal("running", _grid.Run(Doored("shop.example.org", North)).Status);
        Assert.Equal("running", _grid.Run(Doored("shop.north.example", North, DomainProof.Domain)).Status);
    }

    [Fact]
    public void A_name_in_force_is_refused_to_others_and_free_after_the_end()
    {
        var first = _grid.Run(Doored("shop.example.org", North));
        Assert.Equal(RefusalCode.NameTaken, _grid.Refused(_grid.SignedByUser(Doored("shop.example.org", East), "beta")));
        _grid.Run(Doored("other.example.org", East));
        _grid.Accept(_grid.Sign(_grid.User.Value, new CancelAgreement(first.Id), "user-a", "user-b"));
        _grid.Run(Doored("shop.example.org", East));
    }

    [Fact]
    public void Of_two_proposals_of_one_name_the_first_that_is_agreed_has_it()
    {
        var (first, second) = (_grid.SignedByUser(Doored("shop.example.org", North)), _grid.SignedByUser(Doored("shop.example.org", East)));
        _grid.Accept(first);
        _grid.Accept(second);
        _grid.Accept(second.Merge(Statement.Sign(second.PayloadBytes.ToArray(), _grid.Key("beta"))));
        Assert.Equal(RefusalCode.NameTaken, _grid.Refused(first.Merge(Statement.Sign(first.PayloadBytes.ToArray(), _grid.Key("alpha")))));
    }

    [Fact]
    public void An_amendment_holds_both_names_until_it_is_decided()
    {
        var running = _grid.Run(Doored("old.example.org", North));
        _grid.Accept(_grid.SignedByUser(_grid.Amend(running, t => Renamed(t, "new.example.org")), "alpha"));
        foreach (var name in new[] { "old.example.org", "new.example.org" })
            Assert.Equal(RefusalCode.NameTaken, _grid.Refused(_grid.SignedByUser(Doored(name, East), "beta")));
        _grid.Accept(_grid.Ready(North, _grid.State.Agreements[running.Id]));
        Assert.Equal(["new.example.org"], _grid.State.Names.Keys);
        _grid.Run(Doored("old.example.org", East));
        Assert.Equal(RefusalCode.NameTaken, _grid.Refused(_grid.SignedByUser(_grid.Amend(_grid.State.Agreements[running.Id], t => Renamed(t, "old.example.org")), "alpha")));
    }

    [Theory]
    [InlineData("shop.east.example")]
    [InlineData("my.shop.north.example")]
    [InlineData("shop.example.org")]
    public void A_name_that_is_not_the_nodes_to_give_wants_another_proof(string hostname)
    {
        Assert.Equal(RefusalCode.DomainNotProven, _grid.Refused(_grid.SignedByUser(Doored(hostname, North, DomainProof.Domain), "alpha")));
        _grid.Run(Doored(hostname, North));
    }

    [Fact]
    public void A_node_reports_a_domain_or_none()
    {
        var report = _grid.State.Nodes[North.Id].Report!;
        Assert.Equal(RefusalCode.HostnameInvalid, _grid.Refused(_grid.Sign(North.Id.Value, report with { Domain = "*.gw.example" }, "north")));
        _grid.Accept(_grid.Sign(North.Id.Value, report with { Domain = null }, "north"));
        Assert.Equal(RefusalCode.DomainNotProven, _grid.Refused(_grid.SignedByUser(Doored("shop.north.example", North, DomainProof.Domain), "alpha")));
    }

    private AgreementTerms Doored(string hostname, TestNode node, DomainProof proof = DomainProof.Dns) => _grid.Priced(TestGrid.WithGateway(_grid.Terms(node.Id), hostname, proof) with { Note = $"{_grid.Entries.Count}" });

    private static AgreementTerms Renamed(AgreementTerms terms, string hostname) => terms with
    {
        Workloads = [.. terms.Workloads.Select(w => w is Gateway g ? g with { Hostname = hostname } : w)],
    };
}
