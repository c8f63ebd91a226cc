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
using Grid.Machines;
using Grid.Networks;
using Grid.Nodes;
using Grid.Offers;
using Grid.Secrets;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests;

/// <param name="Signers">names of keys; a key's seed is the SHA-256 of its name</param>
internal sealed record GoodStatement(string Name, Payload Payload, ImmutableArray<string> Signers)
{
    public byte[] Encode() => Envelope.Sign(Payload.Encode(), [.. Signers]);
}

/// <summary>At least one statement of every kind: each with all of its optional fields, and without any.</summary>
internal static class GoodStatements
{
    public const string Origin = "grid.example/main";

    public static readonly DateTimeOffset Issued = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000);

    private static readonly Dictionary<string, SigningKey> Keys = [];

    public static SigningKey Key(string name)
    {
        lock (Keys)
        {
            if (!Keys.TryGetValue(name, out var key))
                Keys[name] = key = SigningKey.FromSeed(SHA256.HashData(Encoding.UTF8.GetBytes(name)));
            return key;
        }
    }

    public static IEnumerable<GoodStatement> All()
    {
        var (user, farm) = (Hash("user"), Hash("farm"));
        var hardware = new Hardware("AMD EPYC 9754", "x86_64", "6.12.9");
        var capacity = new Capacity(new MilliCores(256_000), Bytes.GiB(768), Bytes.GiB(7000), Bytes.Zero, 8);
        var keys = Sorted("alice", "bob", "carol");

        yield return By("ledger.open", null, new OpenLedger(Key("ledger").Public), "ledger");
        yield return By("account.open", null, new OpenAccount(new KeyPolicy(keys, 2)), "alice", "bob", "carol");
        yield return By("account.rekey", user, new RekeyAccount(new KeyPolicy(Sorted("dave"), 1)), "alice", "bob", "dave");
        yield return By("farm.register", farm, new RegisterFarm("north-sea-1"), "farmer");
        yield return By("farm.addresses", farm, new ListAddresses(new FarmId(farm),
        [
            new FarmAddress(IPAddress.Parse("203.0.113.7"), 24, IPAddress.Parse("203.0.113.1")), new FarmAddress(IPAddress.Parse("203.0.113.8"), 32, IPAddress.Parse("192.0.2.1")),
            new FarmAddress(IPAddress.Parse("2001:db8::7"), 64, IPAddress.Parse("fe80::1")),
        ]), "farmer");
        yield return By("farm.addresses of none", farm, new ListAddresses(new FarmId(farm), []), "farmer");
        yield return By("node.invite", farm, new InviteNode(new FarmId(farm), Key("invite").Public, Issued.AddDays(1)), "farmer");
        yield return By("node.join", null, new JoinNode(new FarmId(farm), new StatementId(Hash("invite")), Key("node").Public, hardware), "node", "invite");
        yield return By("node.report", Hash("node"), new ReportNode(capacity, Capacity.None with { Memory = Bytes.GiB(2) }, ["container", "volume"], hardware), "node");
        yield return By("node.report with a domain", Hash("node"), new ReportNode(capacity, Capacity.None, ["container", "gateway", "network"], hardware) { Domain = "gw.example" }, "node");
        yield return By("node.retire", farm, new RetireNode(new NodeId(Hash("node")), Breach: false), "farmer");
        yield return By("node.drain", farm, new DrainNode(new NodeId(Hash("node")), Drains: true, "Its disks are replaced on Friday."), "farmer");
        yield return By("node.drain lifted by the node", Hash("node"), new DrainNode(new NodeId(Hash("node")), Drains: false, ""), "node");
        yield return By("node.retire as breach", farm, new RetireNode(new NodeId(Hash("node")), Breach: true), "farmer");
        var offer = new PostOffer(
            new FarmId(farm), [], ["container", "volume"], new Prices(3, 1_000_000, 70_000, 9_000, 1_000), new Currency("EUR", 9), capacity, TimeSpan.FromHours(72),
            Issued.AddDays(90));
        yield return By("offer.post", farm, offer, "farmer");
        yield return By("offer.post for two nodes", farm, offer with { Nodes = [.. new[] { "node", "node-2" }.Select(n => new NodeId(Hash(n))).OrderBy(n => n.Value)] }, "farmer");
        yield return By("offer.withdraw", farm, new WithdrawOffer(new OfferId(Hash("offer"))), "farmer");
        yield return By("agreement", user, Terms(), "alice", "bob", "farmer");
        yield return By("agreement with gateways", user, WithGateways(), "alice", "bob", "farmer");
        yield return By("agreement with addresses", user, WithAddresses(), "alice", "bob", "farmer");
        yield return By("agreement amended", user, Amended(), "alice", "bob", "farmer");
        var (agreement, version) = (new AgreementId(Hash("agreement")), new StatementId(Hash("version")));
        yield return By("workload.ready", Hash("node"), new WorkloadReady(agreement, version, TunnelEnds.None), "node");
        yield return By("workload.ready with tunnels", Hash("node"), new WorkloadReady(agreement, version, Ends()), "node");
        yield return By("workload.refused", Hash("node"), new WorkloadRefused(agreement, version, "capacity", "Two cores are wanted, one is left."), "node");
        yield return By("receipt", Hash("node"), new Receipt(agreement, version, Issued.AddMinutes(-5), Issued,
        [
            new WorkloadReport("cache", WorkloadState.Failed, "It ended with 137 after 3 s.", 4, 3, new Consumption(1_200, 9_600, Bytes.Zero, new Bytes(5_000), new Bytes(70_000)), 137, true, Hash("cache root")),
            new WorkloadReport("data", WorkloadState.Running, null, 1, 0, Consumption.None with { Disk = Bytes.GiB(10) }, null, false, null),
            new WorkloadReport("web", WorkloadState.Running, null, 1, 0, Consumption.None with { CpuMillis = 299_000 }, null, false, Hash("web root")),
        ]), "node");
        yield return By("receipt of nothing", Hash("node"), new Receipt(agreement, version, Issued, Issued, []), "node");
        yield return By("agreement.cancel", user, new CancelAgreement(agreement), "alice", "bob");
        yield return By("agreement.cancel at a time", farm, new CancelAgreement(agreement, Issued.AddDays(3)), "farmer");
        yield return By("agreement.cancel of an amendment", user, new CancelAgreement(agreement, Issued.AddDays(3), version), "alice", "bob");
        yield return By("agreement.deadline", null, new DeadlinePassed(agreement, Issued.AddSeconds(-1)), "ledger");
    }

    public static AgreementTerms Terms()
    {
        var (farm, node, volume) = (new FarmId(Hash("farm")), new NodeId(Hash("node")), new Volume("data", new NodeId(Hash("node")), Bytes.GiB(20), Media.Ssd, TimeSpan.FromDays(7)));
        var web = new Container(
            "web", node, new FlistId(Hash("flist")), "/usr/bin/web", ["--listen", "[::]:8080"], [new("TZ", "UTC"), new("HOME", "/data")], "/data",
            new ContainerUser(1000, 1000), new MilliCores(1500), Bytes.MiB(512), 128, [new VolumeMount("/data", "data")],
            [new Scratch("/run", Bytes.MiB(1)), new Scratch("/tmp", Bytes.MiB(64))],
            new RestartPolicy(RestartWhen.OnFailure, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(5)), Bytes.MiB(8),
            [Sealed("/run/secrets/tls.key", node, "-----BEGIN PRIVATE KEY-----"), Sealed("DB_PASSWORD", node, "correct horse battery staple")], [new NetworkAddress("back", IPAddress.Parse("10.1.0.2"))])
        {
            Health = new Health("/healthz?full=1", 8080, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(2), 3),
        };
        var back = new Network("back", IPNetwork.Parse("10.1.0.0/24"), Egress.Nat);
        return new AgreementTerms(
            1, null, new AccountId(Hash("user")), [new FarmPart(farm, new OfferId(Hash("offer")), [node])],
            new Term(Issued.AddHours(1), Issued.AddDays(30), TimeSpan.FromDays(3), Issued.AddMinutes(10), Issued.AddMinutes(30), new Offline(TimeSpan.FromHours(6), Pause: false)),
            new MoneyTerms(new Currency("EUR", 9), new Money(1_905_500), [new FarmRate(farm, new Money(1_905_500))], TimeSpan.FromDays(1)), [back, volume, web], "a small shop");
    }

    private static AgreementTerms WithGateways()
    {
        var terms = Terms();
        Gateway Gateway(string name, string hostname, byte host) => new(
            name, terms.Farms[0].Nodes[0], hostname, Tls.Terminate, DomainProof.Domain, new Backend("web", 8080), [new NetworkAddress("back", new IPAddress([10, 1, 0, host]))]);
        return terms with
        {
            Workloads = [terms.Workloads[0], terms.Workloads[1], Gateway("in", "shop.gw.example", 3), Gateway("own", "shop.example.org", 4) with { Tls = Tls.Passthrough, Proof = DomainProof.Dns }, terms.Workloads[2]],
        };
    }

    private static AgreementTerms WithAddresses()
    {
        var terms = Terms();
        PublicAddress Address(string name, string ip, params Port[] ports) => new(name, terms.Farms[0].Nodes[0], IPAddress.Parse(ip), [.. ports], "web");
        return terms with
        {
            Workloads =
            [
                Address("a4", "203.0.113.7", new Port(Transport.Tcp, 80), new Port(Transport.Tcp, 443), new Port(Transport.Udp, 443)), Address("a6", "2001:db8::7", new Port(Transport.Tcp, 443)), .. terms.Workloads,
            ],
        };
    }

    private static AgreementTerms Amended()
    {
        var terms = Terms();
        var web = (Container)terms.Workloads[2];
        return terms with
        {
            Version = 2,
            Amends = new Amends(new AgreementId(Hash("agreement")), new StatementId(Hash("version"))),
            Note = "",
            Term = terms.Term with { Start = null, End = null, Offline = new Offline(TimeSpan.Zero, Pause: true) },
            Workloads =
            [
                new Volume("archive", web.Node, Bytes.GiB(4000), Media.Hdd, TimeSpan.Zero),
                new Volume("disk", web.Node, Bytes.GiB(10), Media.Ssd, TimeSpan.FromDays(1), VolumeForm.Disk),
                new Network("inner", IPNetwork.Parse("fd12:3456:789a::/64"), Egress.None),
                new Machine(
                    "legacy", web.Node, new FlistId(Hash("system")), "/boot/vmlinuz", "/boot/initrd.img", "console=ttyS0 ro", new MilliCores(1500), Bytes.MiB(512), [new MachineDisk("data", "disk")],
                    new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(5)), Bytes.MiB(1), [Sealed("api.token", web.Node, "")],
                    [new NetworkAddress("inner", IPAddress.Parse("fd12:3456:789a::3"))]),
                web with { Args = [], Environment = [], Mounts = [], Scratch = [], Secrets = [], Networks = [new NetworkAddress("inner", IPAddress.Parse("fd12:3456:789a::2"))], Restart = new RestartPolicy(RestartWhen.Never, TimeSpan.Zero, TimeSpan.Zero) },
            ],
        };
    }

    private static Secret Sealed(string at, NodeId node, string value)
    {
        var (user, key, bytes) = (new AccountId(Hash("user")), Key("node").Public, Encoding.UTF8.GetBytes(value));
        return new Secret(at, SecretSeal.Seal(bytes, Origin, user, key, SecretSeal.EphemeralOf(SHA256.HashData("author"u8), Origin, user, key, $"{node}/{at}", bytes))!);
    }

    private static TunnelEnds Ends() => new(
        [IPAddress.Parse("192.0.2.7"), IPAddress.Parse("2001:db8::7")],
        [new TunnelEnd(new Membership("back", "web"), new TunnelKey(Hash("web key")), 51_820), new TunnelEnd(new Membership("inner", "db"), new TunnelKey(Hash("db key")), 51_821)]);

    private static Digest Hash(string name) => Digest.Of(Encoding.UTF8.GetBytes(name));

    private static ImmutableArray<PublicKey> Sorted(params string[] names) => [.. names.Select(n => Key(n).Public).Order()];

    private static GoodStatement By(string name, Digest? by, Body body, params string[] signers) =>
        new(name, new Payload(Origin, by, Issued, Issued.AddDays(1), body), [.. signers]);
}
