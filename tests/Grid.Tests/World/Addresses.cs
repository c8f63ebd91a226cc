using System.Collections.Immutable;
using System.Net;
using Grid.Addresses;
using Grid.Agreements;
using Grid.Farms;
using Grid.Statements;
using Grid.Units;

namespace Grid.Tests.World;

public sealed class Addresses : IDisposable
{
    private readonly TestGrid _grid = new();

    private TestFarm Alpha => _grid.Farms[0];

    private TestFarm Beta => _grid.Farms[1];

    public void Dispose() => _grid.Dispose();

    [Theory]
    [InlineData("203.0.113.7/24@203.0.113.1", true)]
    [InlineData("203.0.113.7/32@10.0.0.1", true)]
    [InlineData("203.0.113.6/31@203.0.113.7", true)]
    [InlineData("8.8.8.8/24@8.8.8.1", true)]
    [InlineData("2001:db8::7/64@fe80::1", true)]
    [InlineData("2a01:4f8::7/64@2a01:4f8::1", true)]
    [InlineData("203.0.113.7/0@203.0.113.1", false)]
    [InlineData("203.0.113.7/33@203.0.113.1", false)]
    [InlineData("203.0.113.0/24@203.0.113.1", false)]
    [InlineData("203.0.113.255/24@203.0.113.1", false)]
    [InlineData("2001:db8::/64@fe80::1", false)]
    [InlineData("203.0.113.7/24@203.0.113.7", false)]
    [InlineData("203.0.113.7/24@fe80::1", false)]
    [InlineData("203.0.113.7/24@0.0.0.0", false)]
    [InlineData("203.0.113.7/24@224.0.0.1", false)]
    [InlineData("2001:db8::7/64@::1", false)]
    [InlineData("10.0.0.7/24@10.0.0.1", false)]
    [InlineData("100.64.0.7/24@100.64.0.1", false)]
    [InlineData("127.0.0.1/8@127.0.0.2", false)]
    [InlineData("169.254.0.7/16@169.254.0.1", false)]
    [InlineData("172.31.0.7/24@172.31.0.1", false)]
    [InlineData("192.168.1.7/24@192.168.1.1", false)]
    [InlineData("198.18.0.7/24@198.18.0.1", false)]
    [InlineData("224.0.0.7/24@224.0.0.1", false)]
    [InlineData("255.255.255.254/24@255.255.255.1", false)]
    [InlineData("fd00::7/64@fd00::1", false)]
    [InlineData("fe80::7/64@fe80::1", false)]
    [InlineData("::ffff:203.0.113.7/128@2001:db8::1", false)]
    [InlineData("2002::7/64@2002::1", false)]
    public void An_address_of_a_farm_is_one_of_the_world(string text, bool fine)
    {
        Assert.True(FarmAddress.TryParse(text, out var address), text);
        Assert.Equal(text, address!.ToString());
        Assert.Equal(fine ? null : RefusalCode.AddressInvalid, ListAddresses.Check([address])?.Code);
        var statement = List(Alpha, address);
        if (fine)
            _grid.Accept(statement);
        else
            Assert.Equal(RefusalCode.AddressInvalid, _grid.Refused(statement));
    }

    [Theory]
    [InlineData("203.0.113.7")]
    [InlineData("203.0.113.7/24")]
    [InlineData("203.0.113.7@203.0.113.1")]
    [InlineData("203.0.113/24@203.0.113.1")]
    [InlineData("203.0.113.7/024@203.0.113.1")]
    [InlineData("203.0.113.7/24@203.0.113.01")]
    [InlineData("2001:DB8::7/64@fe80::1")]
    [InlineData("2001:db8::7/64@fe80::1%1")]
    public void An_address_of_a_farm_is_written_in_one_way(string text) => Assert.False(FarmAddress.TryParse(text, out _));

    [Theory]
    [InlineData("tcp/1", true)]
    [InlineData("udp/65535", true)]
    [InlineData("tcp/0", false)]
    [InlineData("tcp/65536", false)]
    [InlineData("tcp/080", false)]
    [InlineData("tcp/", false)]
    [InlineData("sctp/80", false)]
    [InlineData("80", false)]
    [InlineData("tcp/80-90", false)]
    public void A_port_is_written_in_one_way(string text, bool fine) => Assert.Equal(fine, Port.TryParse(text, out var port) && port.ToString() == text);

    [Fact]
    public void Only_the_farmer_lists_addresses_and_only_those_of_nobody_else()
    {
        Assert.Equal(RefusalCode.NotAParty, _grid.Refused(_grid.Sign(Beta.Account.Value, new ListAddresses(Alpha.Id, []), Beta.Name)));
        _grid.Accept(List(Alpha, At(7), At(8)));
        Assert.Equal(RefusalCode.AddressConflict, _grid.Refused(List(Beta, At(7), At(9))));
        _grid.Accept(List(Alpha, At(8)));
        _grid.Accept(List(Beta, At(7), At(9)));
        Assert.Equal([At(7), At(9)], _grid.State.Farms[Beta.Id].Addresses);
        Assert.Equal(3, _grid.State.Addresses.Count);
    }

    [Fact]
    public void An_agreement_with_an_address_runs_like_any_other_and_takes_one_of_the_nodes_capacity()
    {
        _grid.Accept(List(Alpha, At(7)));
        Assert.Equal("running", _grid.Run(Reached(7)).Status);
        Assert.Equal(1, _grid.State.Nodes[Alpha.Nodes[0].Id].Held.PublicIPv4);
    }

    [Fact]
    public void A_proof_holds_the_farms_addresses_and_their_gateways()
    {
        _grid.Accept(List(Alpha, At(7)));
        var id = _grid.Run(Reached(7)).Id;
        _grid.Accept(List(Alpha, At(7), At(8)));
        Assert.Null(_grid.Bundle(id).Verify(TestGrid.Origin, _grid.Key("ledger").Public, out var verified));
        Assert.Equal([At(7), At(8)], verified!.State.Farms[Alpha.Id].Addresses);
    }

    [Fact]
    public void An_address_that_the_nodes_farm_does_not_have_is_refused()
    {
        Assert.Equal(RefusalCode.AddressNotOwned, _grid.Refused(_grid.SignedByUser(Reached(7), Alpha.Name)));
        _grid.Accept(List(Beta, At(7)));
        Assert.Equal(RefusalCode.AddressNotOwned, _grid.Refused(_grid.SignedByUser(Reached(7), Alpha.Name)));
    }

    [Fact]
    public void An_address_in_force_is_refused_to_others_and_free_after_the_end()
    {
        _grid.Accept(List(Alpha, At(7)));
        var first = _grid.Run(Reached(7));
        Assert.Equal(RefusalCode.AddressConflict, _grid.Refused(_grid.SignedByUser(Reached(7, node: 1), Alpha.Name)));
        _grid.Accept(_grid.Sign(_grid.User.Value, new CancelAgreement(first.Id), "user-a", "user-b"));
        _grid.Run(Reached(7, node: 1));
    }

    [Fact]
    public void Of_two_proposals_of_one_address_the_first_that_is_agreed_has_it()
    {
        _grid.Accept(List(Alpha, At(7)));
        var (first, second) = (_grid.SignedByUser(Reached(7)), _grid.SignedByUser(Reached(7, node: 1)));
        _grid.Accept(first);
        _grid.Accept(second);
        _grid.Accept(second.Merge(Statement.Sign(second.PayloadBytes.ToArray(), _grid.Key(Alpha.Name))));
        Assert.Equal(RefusalCode.AddressConflict, _grid.Refused(first.Merge(Statement.Sign(first.PayloadBytes.ToArray(), _grid.Key(Alpha.Name)))));
    }

    [Fact]
    public void What_an_agreement_holds_stays_as_it_is_listed()
    {
        _grid.Accept(List(Alpha, At(7), At(8)));
        var running = _grid.Run(Reached(7));
        Assert.Equal(RefusalCode.AgreementsRunning, _grid.Refused(List(Alpha, At(8))));
        Assert.Equal(RefusalCode.AgreementsRunning, _grid.Refused(List(Alpha, At(7) with { Gateway = IPAddress.Parse("203.0.113.2") })));
        _grid.Accept(List(Alpha, At(7)));
        _grid.Accept(_grid.Sign(_grid.User.Value, new CancelAgreement(running.Id), "user-a", "user-b"));
        _grid.Accept(List(Alpha));
    }

    [Fact]
    public void An_amendment_changes_ports_and_keeps_the_address()
    {
        _grid.Accept(List(Alpha, At(7)));
        var running = _grid.Run(Reached(7));
        _grid.Accept(_grid.SignedByUser(_grid.Amend(running, t => t with
        {
            Workloads = [.. t.Workloads.Select(w => w is PublicAddress a ? a with { Ports = [new Port(Transport.Udp, 53)] } : w)],
        }), Alpha.Name));
        _grid.Accept(_grid.Ready(Alpha.Nodes[0], _grid.State.Agreements[running.Id]));
        Assert.Equal(["203.0.113.7"], _grid.State.Names.Keys);
    }

    private AgreementTerms Reached(byte host, int node = 0) =>
        _grid.Priced(TestGrid.WithAddress(_grid.Terms(Alpha.Nodes[node].Id), TestGrid.PublicIp(host)) with { Note = $"{_grid.Entries.Count}" });

    private Statement List(TestFarm farm, params FarmAddress[] addresses) => _grid.Sign(farm.Account.Value, new ListAddresses(farm.Id, [.. addresses]), farm.Name);

    private static FarmAddress At(byte host) => TestGrid.Listed(host);
}
