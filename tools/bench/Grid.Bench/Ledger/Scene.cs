using Grid.Accounts;
using Grid.Agreements;
using Grid.Farms;
using Grid.Nodes;
using Grid.Offers;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Bench.Ledger;

/// <summary>One user, one farm with one very large node, and as many small agreements between them as are asked for, each signed by both.</summary>
internal sealed class Scene : IDisposable
{
    public const string Origin = "grid.bench/main";

    private static readonly Currency Euro = new("EUR", 9);
    private static readonly Capacity Vast = new(new MilliCores(1_000_000_000), new Bytes(900_000_000_000_000), Bytes.Zero, Bytes.Zero, 0);

    private readonly DateTimeOffset _now = DateTimeOffset.FromUnixTimeSeconds(DateTimeOffset.UtcNow.ToUnixTimeSeconds());
    private readonly SigningKey _user = Key("user"), _farmer = Key("farmer"), _node = Key("node"), _invite = Key("invite");
    private readonly AccountId _userId;
    private readonly FarmPart _part;
    private readonly Prices _prices = new(3, 1_000_000, 0, 0, 0);

    public Scene()
    {
        var hardware = new Hardware("bench", "x86_64", "6");
        _userId = new AccountId(Add(null, new OpenAccount(new KeyPolicy([_user.Public], 1)), _user));
        var farmer = Add(null, new OpenAccount(new KeyPolicy([_farmer.Public], 1)), _farmer);
        var farm = new FarmId(Add(farmer, new RegisterFarm("bench"), _farmer));
        var invite = new StatementId(Add(farmer, new InviteNode(farm, _invite.Public, _now.AddDays(1)), _farmer));
        var node = new NodeId(Add(null, new JoinNode(farm, invite, _node.Public, hardware), _node, _invite));
        Add(node.Value, new ReportNode(Vast, Capacity.None, ["container"], hardware), _node);
        var offer = new OfferId(Add(farmer, new PostOffer(farm, [], ["container"], _prices, Euro, Vast, TimeSpan.Zero, _now.AddDays(30)), _farmer));
        _part = new FarmPart(farm, offer, [node]);
    }

    /// <summary>What must be recorded before the agreements.</summary>
    public List<Statement> Founding { get; } = [];

    public static SigningKey Ledger() => Key("ledger");

    public Statement Agreement(int number)
    {
        var container = new Container($"web-{number}", _part.Nodes[0], new FlistId(Digest.Of("flist"u8)), "/bin/web", ["--port", "80"], [new("HOME", "/")], "/",
            new ContainerUser(1000, 1000), new MilliCores(1), Bytes.MiB(1), 16, [], [], new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1)), Bytes.KiB(64), [], []);
        var rate = _prices.Rate(container.Demand);
        var terms = new AgreementTerms(1, null, _userId, [_part],
            new Term(null, null, TimeSpan.FromHours(1), _now.AddDays(1), _now.AddDays(2), new Offline(TimeSpan.FromHours(1), Pause: false)),
            new MoneyTerms(Euro, rate, [new FarmRate(_part.Farm, rate)], TimeSpan.FromDays(1)), [container], "");
        return Statement.Sign(new Payload(Origin, _userId.Value, _now, _now.AddDays(1), terms), _user, _farmer);
    }

    public void Dispose()
    {
        foreach (var key in new[] { _user, _farmer, _node, _invite })
            key.Dispose();
    }

    private Digest Add(Digest? by, Body body, params SigningKey[] keys)
    {
        var statement = Statement.Sign(new Payload(Origin, by, _now, _now.AddDays(1), body), keys);
        Founding.Add(statement);
        return statement.Id.Value;
    }

    private static SigningKey Key(string name) => SigningKey.FromSeed(Digest.Of(System.Text.Encoding.UTF8.GetBytes(name)).ToArray());
}
