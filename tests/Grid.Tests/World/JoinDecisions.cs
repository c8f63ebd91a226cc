using Grid.Accounts;
using Grid.Nodes;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Tests.World;

/// <summary>Nobody comes in without those who let them in: a node by its farmer's invite, a key by its own signature.</summary>
public sealed class JoinDecisions : IDisposable
{
    private readonly TestGrid _grid = new();

    private TestFarm Alpha => _grid.Farms[0];

    public void Dispose() => _grid.Dispose();

    [Fact]
    public void A_node_joins_with_its_own_key_and_its_invites()
    {
        var node = new NodeId(_grid.Accept(Join(Invite())));
        Assert.Equal((Alpha.Id, _grid.Key("west").Public), (_grid.State.Nodes[node].Farm, _grid.State.Nodes[node].Key));
    }

    [Theory]
    [InlineData("unknown", RefusalCode.NotFound)]
    [InlineData("used", RefusalCode.InviteUsed)]
    [InlineData("expired", RefusalCode.InviteExpired)]
    [InlineData("of another farm", RefusalCode.NotAParty)]
    [InlineData("without the invite's key", RefusalCode.SignatureMissing)]
    [InlineData("without the node's key", RefusalCode.SignatureMissing)]
    [InlineData("with the key of another invite", RefusalCode.SignatureMissing)]
    [InlineData("signed by a stranger too", RefusalCode.StrangerSigned)]
    [InlineData("spoken by the farmer", RefusalCode.Malformed)]
    [InlineData("written in the future", RefusalCode.NotYetValid)]
    public void No_node_joins_without_its_farmer(string how, string code)
    {
        var invite = Invite();
        if (how == "used")
            _grid.Accept(Join(invite, "first"));
        if (how == "expired")
            _grid.Now += TimeSpan.FromHours(1);
        Assert.Equal(code, _grid.Refused(how switch
        {
            "unknown" => Join(new StatementId(Digest.Of("nothing"u8))),
            "of another farm" => _grid.Sign(null, Body(invite, "west", _grid.Farms[1]), "west", "invite"),
            "without the invite's key" => _grid.Sign(null, Body(invite, "west", Alpha), "west"),
            "without the node's key" => _grid.Sign(null, Body(invite, "west", Alpha), "invite"),
            "with the key of another invite" => _grid.Sign(null, Body(invite, "west", Alpha), "west", "invite-north"),
            "signed by a stranger too" => _grid.Sign(null, Body(invite, "west", Alpha), "west", "invite", "mallory"),
            "spoken by the farmer" => _grid.Sign(Alpha.Account.Value, Body(invite, "west", Alpha), "west", "invite"),
            "written in the future" => Later(Join(invite)),
            _ => Join(invite),
        }));
    }

    [Fact]
    public void Of_two_joins_by_one_invite_one_wins()
    {
        var invite = Invite();
        var (first, second) = (Join(invite, "first"), Join(invite, "second"));
        var winner = _grid.Accept(first);
        var refusal = Assert.IsType<Decision.Refused>(_grid.Submit(second)).Refusal;
        Assert.Equal(RefusalCode.InviteUsed, refusal.Code);
        Assert.Contains(new NodeId(winner).ToString(), refusal.Detail, StringComparison.Ordinal);
        Assert.IsType<Decision.Known>(_grid.Submit(first));
    }

    [Theory]
    [InlineData("by the user", RefusalCode.NotAParty)]
    [InlineData("with a stranger's key", RefusalCode.StrangerSigned)]
    [InlineData("without a key of the farmer's", RefusalCode.StrangerSigned)]
    [InlineData("expired already", RefusalCode.InviteExpired)]
    public void Nobody_else_invites(string how, string code) => Assert.Equal(code, _grid.Refused(how switch
    {
        "by the user" => _grid.Sign(_grid.User.Value, Wanted(), "user-a", "user-b"),
        "with a stranger's key" => _grid.Sign(Alpha.Account.Value, Wanted(), Alpha.Name, "mallory"),
        "without a key of the farmer's" => _grid.Sign(Alpha.Account.Value, Wanted(), "user-a"),
        _ => _grid.Sign(Alpha.Account.Value, Wanted() with { Expires = _grid.Now }, Alpha.Name),
    }));

    [Fact]
    public void A_retired_node_has_no_say_and_nothing_is_said_of_it()
    {
        var north = Alpha.Nodes[0];
        Statement Retire() => _grid.Sign(Alpha.Account.Value, new RetireNode(north.Id, Breach: false), Alpha.Name);
        _grid.Accept(Retire());
        Assert.Equal(RefusalCode.NodeRetired, _grid.Refused(_grid.Report(north, TestGrid.Large)));
        Assert.Equal(RefusalCode.NodeRetired, _grid.Refused(_grid.Sign(Alpha.Account.Value, new DrainNode(north.Id, Drains: true, "service"), Alpha.Name)));
        Assert.Equal(RefusalCode.NodeRetired, _grid.Refused(Retire()));
        Assert.Equal(RefusalCode.UnresolvedNode, _grid.Refused(_grid.SignedByUser(_grid.Terms(north.Id))));
    }

    [Fact]
    public void No_key_is_enrolled_without_its_signature_nor_without_the_accounts()
    {
        var policy = new KeyPolicy([.. new[] { _grid.Key("user-c").Public, _grid.Key("user-d").Public }.Order()], 1);
        Assert.Equal(RefusalCode.SignatureMissing, _grid.Refused(_grid.Sign(null, new OpenAccount(policy), "user-c")));
        Assert.Equal(RefusalCode.StrangerSigned, _grid.Refused(_grid.Sign(null, new OpenAccount(policy), "user-c", "user-d", "mallory")));

        var rekey = new RekeyAccount(policy);
        Assert.Equal(RefusalCode.SignatureMissing, _grid.Refused(_grid.Sign(_grid.User.Value, rekey, "user-a", "user-b", "user-c")));
        Assert.Equal(RefusalCode.SignatureMissing, _grid.Refused(_grid.Sign(_grid.User.Value, rekey, "user-c", "user-d")));
        Assert.Equal(RefusalCode.StrangerSigned, _grid.Refused(_grid.Sign(_grid.User.Value, rekey, "user-a", "user-b", "user-c", "user-d", "mallory")));
        Assert.Equal(RefusalCode.NotFound, _grid.Refused(_grid.Sign(null, rekey, "user-a", "user-b", "user-c", "user-d")));
        _grid.Accept(_grid.Sign(_grid.User.Value, rekey, "user-a", "user-c", "user-d"));
    }

    private InviteNode Wanted() => new(Alpha.Id, _grid.Key("invite").Public, _grid.Now.AddHours(1));

    private StatementId Invite() => new(_grid.Accept(_grid.Sign(Alpha.Account.Value, Wanted(), Alpha.Name)));

    private JoinNode Body(StatementId invite, string name, TestFarm farm) => new(farm.Id, invite, _grid.Key(name).Public, TestGrid.Machine);

    private Statement Join(StatementId invite, string name = "west") => _grid.Sign(null, Body(invite, name, Alpha), name, "invite");

    private Statement Later(Statement statement) =>
        Statement.Sign(statement.Payload with { Issued = _grid.Now + GridState.ClockSkew + TimeSpan.FromSeconds(1) }, _grid.Key("west"), _grid.Key("invite"));
}
