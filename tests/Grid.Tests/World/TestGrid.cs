using System.Collections.Immutable;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Grid.Accounts;
using Grid.Addresses;
using Grid.Agreements;
using Grid.Farms;
using Grid.Gateways;
using Grid.Log;
using Grid.Networks;
using Grid.Nodes;
using Grid.Offers;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;
using Grid.World;

namespace Grid.Tests.World;

/// <summary>
/// A ledger in memory with one user, two farms and three nodes, all keys from fixed seeds. The user's account wants two of three keys.
/// </summary>
public sealed class TestGrid : IDisposable
{
    public const string Origin = "grid.test/main";
    public static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    public static readonly Currency Euro = new("EUR", 9);
    public static readonly Capacity Large = new(new MilliCores(8000), Bytes.GiB(16), Bytes.GiB(100), Bytes.GiB(1000), 2);

    public static readonly Hardware Machine = new("cpu", "x86_64", "6.18");

    private static readonly ImmutableArray<string> Kinds = ["address", "container", "gateway", "network", "volume"];

    private readonly Dictionary<string, SigningKey> _keys = [];
    private readonly Dictionary<int, ReadOnlyMemory<byte>> _forged = [];
    private int _nonce;

    public TestGrid()
    {
        Now = Epoch;
        Accept(Sign(null, new OpenLedger(Key("ledger").Public), "ledger"));
        User = new AccountId(Accept(Open(2, "user-a", "user-b", "user-c")));
        Farms = [Farm("alpha", "north", "south"), Farm("beta", "east")];
    }

    public DateTimeOffset Now { get; set; }

    public GridState State { get; private set; } = GridState.Empty;

    /// <summary>Everything accepted, in order; the index is the position.</summary>
    public List<(DateTimeOffset Time, Statement Statement, ImmutableArray<Event> Events)> Entries { get; } = [];

    /// <summary>The log as it is shown: an entry for everything accepted, and what was forged in its place.</summary>
    public IEnumerable<Entry> Recorded => Entries.Select((e, i) => Entry.Record(i, e.Time, _forged.GetValueOrDefault(i, e.Statement.Bytes)));

    public AccountId User { get; }

    public ImmutableArray<TestFarm> Farms { get; }

    public SigningKey Key(string name)
    {
        if (!_keys.TryGetValue(name, out var key))
            _keys[name] = key = SigningKey.FromSeed(SHA256.HashData(Encoding.UTF8.GetBytes(name)));
        return key;
    }

    public Statement Sign(Digest? by, Body body, params string[] keys)
    {
        // A second apart, so that the same wish said twice is two statements.
        var issued = Now.AddSeconds(-(_nonce++ % 60));
        return Statement.Sign(new Payload(Origin, by, issued, Now.AddDays(30), body), [.. keys.Select(Key)]);
    }

    public Decision Submit(Statement statement)
    {
        Assert.Null(statement.VerifySignatures());
        var decision = State.Decide(statement, Now);
        if (decision is Decision.Accepted accepted)
        {
            State = State.Evolve(Entries.Count, Now, statement.Id, accepted.Events);
            Entries.Add((Now, statement, accepted.Events));
        }
        return decision;
    }

    public Digest Accept(Statement statement)
    {
        var decision = Submit(statement);
        Assert.True(decision is Decision.Accepted, decision.ToString());
        return statement.Id.Value;
    }

    /// <summary>From now on the log shows these bytes in the place of what was accepted there, under checkpoints that the ledger's key signs.</summary>
    public void Forge(int index, ReadOnlyMemory<byte> statement) => _forged[index] = statement;

    public string Refused(Statement statement)
    {
        var before = State;
        var decision = Submit(statement);
        Assert.Same(before, State);
        return Assert.IsType<Decision.Refused>(decision).Refusal.Code;
    }

    public Statement Open(int threshold, params string[] keys) =>
        Sign(null, new OpenAccount(new KeyPolicy([.. keys.Select(k => Key(k).Public).Order()], threshold)), keys);

    /// <summary>Signed with enough of the keys that the account has, and with all that it will have.</summary>
    public Statement Rekey(AccountId account, int threshold, params string[] keys) =>
        Sign(account.Value, new RekeyAccount(new KeyPolicy([.. keys.Select(k => Key(k).Public).Order()], threshold)), [.. KeysOf(account).Union(keys)]);

    /// <summary>The names of as many of the account's keys, as it has them now, as must sign.</summary>
    public string[] KeysOf(AccountId account)
    {
        var policy = State.Accounts[account].Policy;
        return [.. _keys.Where(k => policy.Keys.Contains(k.Value.Public)).Select(k => k.Key).Order(StringComparer.Ordinal).Take(policy.Threshold)];
    }

    public Statement SignedByUser(AgreementTerms terms, params string[] farmKeys) => Sign(User.Value, terms, [.. KeysOf(User), .. farmKeys]);

    /// <summary>Version 1: on each node a container of one core and 1 GiB.</summary>
    public AgreementTerms Terms(params NodeId[] nodes) => Priced(new AgreementTerms(
        1, null, User, Parts(nodes), Term(), new MoneyTerms(Euro, Money.Zero, [], TimeSpan.FromDays(1)),
        [.. nodes.Select((n, i) => (Workload)Container($"web-{i}", n))], ""));

    /// <summary>The terms with farms and money as the workloads ask.</summary>
    public AgreementTerms Priced(AgreementTerms terms)
    {
        var farms = Parts([.. terms.Placed.Select(w => w.Node).Distinct()]);
        var parts = farms.Select(f => new FarmRate(f.Farm, Farms.First(x => x.Id == f.Farm).Prices.Rate(
            terms.Placed.Where(w => f.Nodes.Contains(w.Node)).Aggregate(Capacity.None, (sum, w) => sum + w.Demand)))).ToImmutableArray();
        return terms with
        {
            Farms = farms,
            Money = terms.Money with { Parts = parts, RatePerSecond = parts.Aggregate(Money.Zero, (sum, p) => sum + p.Rate) },
        };
    }

    public AgreementTerms Amend(Agreement agreement, Func<AgreementTerms, AgreementTerms> change)
    {
        var before = agreement.Version;
        return Priced(change(before.Terms with
        {
            Version = before.Terms.Version + 1,
            Amends = new Amends(agreement.Id, before.Id),
            Term = Term(),
        }));
    }

    public Term Term() => new(null, null, TimeSpan.FromHours(1), Now.AddMinutes(5), Now.AddMinutes(10), new Offline(TimeSpan.FromHours(1), Pause: false));

    public static Container Container(string name, NodeId node, long cpu = 1000) => new(
        name, node, new FlistId(Digest.Of("flist"u8)), "/bin/web", ["--port", "80"], [new("HOME", "/")], "/", new ContainerUser(1000, 1000),
        new MilliCores(cpu), Bytes.GiB(1), 64, [], [new Scratch("/tmp", Bytes.MiB(16))],
        new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1)), Bytes.MiB(1), [], []);

    /// <summary>The terms with a gateway on the first container's node that leads to it.</summary>
    public static AgreementTerms WithGateway(AgreementTerms terms, string hostname, DomainProof proof = DomainProof.Dns)
    {
        var web = terms.Workloads.OfType<Container>().First();
        static NetworkAddress At(byte host) => new("back", new IPAddress([10, 1, 0, host]));
        var gateway = new Gateway("door", web.Node, hostname, Tls.Terminate, proof, new Backend(web.Name, 8080), [At(3)]);
        return terms with
        {
            Workloads = [.. terms.Workloads.Replace(web, web with { Networks = [At(2)] }).AddRange(new Network("back", IPNetwork.Parse("10.1.0.0/24"), Egress.None), gateway).OrderBy(w => w.Name, StringComparer.Ordinal)],
        };
    }

    /// <summary>The terms with a public address for the first container.</summary>
    public static AgreementTerms WithAddress(AgreementTerms terms, IPAddress ip)
    {
        var web = terms.Workloads.OfType<Container>().First();
        return terms with
        {
            Workloads = [.. terms.Workloads.Add(new PublicAddress("public", web.Node, ip, [new Port(Transport.Tcp, 8080)], web.Name)).OrderBy(w => w.Name, StringComparer.Ordinal)],
        };
    }

    public static IPAddress PublicIp(byte host) => new([203, 0, 113, host]);

    /// <summary>As a farm lists it.</summary>
    public static FarmAddress Listed(byte host) => new(PublicIp(host), 24, PublicIp(1));

    /// <summary>Of this much a core and 1 GiB are kept back.</summary>
    public Statement Report(TestNode node, Capacity capacity) => Sign(node.Id.Value, new ReportNode(
        capacity, Capacity.None with { Cpu = new MilliCores(1000), Memory = Bytes.GiB(1) }, Kinds, Machine)
    { Domain = $"{node.Name}.example" }, node.Name);

    public Statement Post(AccountId account, FarmId farm, Prices prices) => Sign(account.Value, new PostOffer(
        farm, [], Kinds, prices, Euro, new Capacity(new MilliCores(16_000), Bytes.GiB(64), Bytes.GiB(500), Bytes.GiB(5000), 4),
        TimeSpan.FromMinutes(30), Now.AddDays(90)), KeysOf(account));

    /// <param name="free">false: at whatever ports, others' too</param>
    public Statement Ready(TestNode node, Agreement agreement, bool free = true) => Sign(
        node.Id.Value, new WorkloadReady(agreement.Id, (agreement.Next?.Version ?? agreement.Version).Id, Ends(node, agreement, free)), node.Name);

    /// <summary>Tunnels of what waits for the node's answer, as a node would choose them: keys that follow from their names, and ports that no other agreement has.</summary>
    public TunnelEnds Ends(TestNode node, Agreement agreement, bool free = true) => (agreement.Next?.Version ?? agreement.Version).Terms.MembershipsOn(node.Id) is { IsEmpty: false } places
        ? new TunnelEnds([IPAddress.Parse("192.0.2.1")], [.. places.Zip(Ports(node, agreement, free), (p, port) => new TunnelEnd(p, new TunnelKey(Digest.Of(Encoding.UTF8.GetBytes($"{p}"))), port))])
        : TunnelEnds.None;

    private IEnumerable<int> Ports(TestNode node, Agreement agreement, bool free) =>
        Enumerable.Range(51_820, 1000).Where(p => !free || !State.Ports.TryGetValue(new NodePort(node.Id, p), out var holder) || holder == agreement.Id);

    public Statement Refuse(TestNode node, Agreement agreement, string code = "capacity") => Sign(
        node.Id.Value, new WorkloadRefused(agreement.Id, (agreement.Next?.Version ?? agreement.Version).Id, code, "no room"), node.Name);

    public Statement Receipt(TestNode node, Agreement agreement, WorkloadState state = WorkloadState.Running) => Sign(node.Id.Value, new Receipt(
        agreement.Id, agreement.Version.Id, Now, Now,
        [.. agreement.Version.Terms.On(node.Id).Select(w => new WorkloadReport(w.Name, state, null, 1, 0, Consumption.None, null, false, null))]), node.Name);

    public Statement Deadline(DeadlinePassed due) => Sign(null, due, "ledger");

    public TestNode NodeOf(NodeId id) => Farms.SelectMany(f => f.Nodes).First(n => n.Id == id);

    /// <summary>Signed by all, answered by all, seen running.</summary>
    public Agreement Run(AgreementTerms terms)
    {
        var keys = Farms.Where(f => terms.Farms.Any(p => p.Farm == f.Id)).Select(f => f.Name);
        var id = new AgreementId(Accept(SignedByUser(terms, [.. keys])));
        foreach (var node in terms.Nodes)
            Accept(Ready(NodeOf(node), State.Agreements[id]));
        foreach (var node in terms.Nodes)
            Accept(Receipt(NodeOf(node), State.Agreements[id]));
        return State.Agreements[id];
    }

    /// <summary>What a ledger would answer for this agreement now.</summary>
    /// <param name="unread">a statement that cannot be read and was recorded all the same, as the newest entry</param>
    public Bundle Bundle(AgreementId id, bool receipts = true, byte[]? unread = null)
    {
        var entries = Recorded.ToList();
        if (unread is not null)
            entries.Add(Entry.Record(entries.Count, Now, unread));
        var tree = LogTree.Empty.Append([.. entries.Select(e => e.LeafHash)]);
        var wanted = State.ProofOf(id).ToHashSet();
        return new Bundle(Origin, id, new Checkpoint(Origin, tree.Size, tree.Root).Sign(Key("ledger")).ToString(),
        [
            .. Enumerable.Range(0, entries.Count).Where(i => i == Entries.Count || Entries[i].Events.Any(e => e.Subjects.Any(wanted.Contains)) && (receipts || !Event.OnlyReport(Entries[i].Events)))
                .Select(i => new BundleEntry(i, entries[i].Bytes, tree.InclusionPath(i, tree.Size))),
        ]);
    }

    /// <param name="reports">false: nobody knows yet what it has</param>
    public TestNode Join(string farmKey, AccountId account, FarmId farm, string name, bool reports = true)
    {
        var invite = new StatementId(Accept(Sign(account.Value, new InviteNode(farm, Key($"invite-{name}").Public, Now.AddDays(1)), farmKey)));
        var node = new NodeId(Accept(Sign(null, new JoinNode(farm, invite, Key(name).Public, Machine), name, $"invite-{name}")));
        var joined = new TestNode(name, node);
        if (reports)
            Accept(Report(joined, Large));
        return joined;
    }

    public void Dispose()
    {
        foreach (var key in _keys.Values)
            key.Dispose();
    }

    private TestFarm Farm(string name, params string[] nodes)
    {
        var account = new AccountId(Accept(Open(1, name)));
        var farm = new FarmId(Accept(Sign(account.Value, new RegisterFarm($"farm-{name}"), name)));
        var joined = nodes.Select(n => Join(name, account, farm, n)).ToImmutableArray();
        var prices = new Prices(3, 1_000_000, 70_000, 9_000, 1_000);
        var offer = new OfferId(Accept(Post(account, farm, prices)));
        return new TestFarm(name, account, farm, offer, prices, joined);
    }

    private ImmutableArray<FarmPart> Parts(NodeId[] nodes) =>
    [
        .. Farms.Where(f => f.Nodes.Any(n => nodes.Contains(n.Id))).OrderBy(f => f.Id.Value)
            .Select(f => new FarmPart(f.Id, f.Offer, [.. nodes.Where(n => f.Nodes.Any(x => x.Id == n)).OrderBy(n => n.Value)])),
    ];
}

/// <param name="Name">also the name of its account's only key</param>
public sealed record TestFarm(string Name, AccountId Account, FarmId Id, OfferId Offer, Prices Prices, ImmutableArray<TestNode> Nodes);

/// <param name="Name">also the name of its key</param>
public sealed record TestNode(string Name, NodeId Id);
