using System.Net;
using Grid.Addresses;
using Grid.Agreements;
using Grid.Cli.Drafts;
using Grid.Gateways;
using Grid.Networks;
using Grid.Offers;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Cli.Tests;

public sealed class DraftTests
{
    private static readonly string Flist = new FlistId(Digest.Of("flist"u8)).ToString();

    private static string Good => $$"""
        name: hello
        user: alice
        note: the first one
        term:
          until: +24h
          notice: 1h30m
          answerBy: 2026-12-01T00:00Z
          offline: { after: 2h, then: pause }
        money: { grace: 3d }
        offers: { alpha: cheap }
        node: alpha/1
        workloads:
          web:
            kind: container
            flist: {{Flist}}
            entry: /bin/web
            args: [--port, "80"]
            env: { LONGER: "1", A: b }
            user: "1000:100"
            cpu: 1.5 cpu
            memory: 512MiB
            mounts: { /data: store }
            scratch: { /tmp: 16MiB }
            networks: { back: 10.1.0.2 }
            restart: { policy: on-failure, first: 2s, max: 1m }
            secrets: { TOKEN: { env: API_TOKEN }, /run/secrets/key: { file: key.pem } }
          store:
            kind: volume
            node: beta
            size: 1.5GiB
            media: hdd
            keep: 7d
          back:
            kind: network
            cidr: 10.1.0.0/24
            egress: nat
          door:
            kind: gateway
            node: beta
            hostname: shop.example.org
            tls: passthrough
            proof: dns
            backend: web:8080
            networks: { back: 10.1.0.3 }
          public:
            kind: address
            ip: 203.0.113.7
            ports: [udp/53, tcp/8080]
            workload: web
        """;

    [Fact]
    public void A_draft_says_all_it_says_and_nothing_else()
    {
        var draft = DraftReader.Read(Good, out var faults)!;

        Assert.Empty(faults);
        Assert.Equal(("hello", "alice", "the first one", TimeSpan.FromDays(3)), (draft.Name, draft.User!.Text, draft.Note, draft.Grace));
        Assert.Equal(new DraftTerm(null, new DraftTime.After(TimeSpan.FromHours(24)), TimeSpan.FromMinutes(90), new DraftTime.At(new DateTimeOffset(2026, 12, 1, 0, 0, 0, TimeSpan.Zero)),
            new DraftTime.After(TimeSpan.FromMinutes(30)), TimeSpan.FromHours(2), true), draft.Term);
        Assert.Equal(["back", "door", "public", "store", "web"], draft.Workloads.Select(w => w.Workload.Name));
        Assert.Equal([null, "beta", "alpha/1", "beta", "alpha/1"], draft.Workloads.Select(w => w.Node?.Text));
        Assert.Equal(new Volume("store", default, new Bytes(1_610_612_736), Media.Hdd, TimeSpan.FromDays(7)), draft.Workloads[3].Workload);
        Assert.Equal(new PublicAddress("public", default, IPAddress.Parse("203.0.113.7"), [new Port(Transport.Tcp, 8080), new Port(Transport.Udp, 53)], "web"), draft.Workloads[2].Workload);
        Assert.Equal(new Gateway("door", default, "shop.example.org", Tls.Passthrough, DomainProof.Dns, new Backend("web", 8080), [new NetworkAddress("back", IPAddress.Parse("10.1.0.3"))]),
            draft.Workloads[1].Workload);
        Assert.Equal(new Network("back", IPNetwork.Parse("10.1.0.0/24"), Egress.Nat), draft.Workloads[0].Workload);
        Assert.Equal(new Container("web", default, Id.Parse<FlistId>(Flist), "/bin/web", ["--port", "80"], [new("A", "b"), new("LONGER", "1")], "/", new ContainerUser(1000, 100), new MilliCores(1500),
            Bytes.MiB(512), 128, [new VolumeMount("/data", "store")], [new Scratch("/tmp", Bytes.MiB(16))], new RestartPolicy(RestartWhen.OnFailure, TimeSpan.FromSeconds(2), TimeSpan.FromMinutes(1)),
            Bytes.MiB(1), [], [new NetworkAddress("back", IPAddress.Parse("10.1.0.2"))]), draft.Workloads[4].Workload);
        Assert.Equal([("/run/secrets/key", new SecretSource.File("key.pem")), ("TOKEN", (SecretSource)new SecretSource.Variable("API_TOKEN"))], draft.Workloads[4].Secrets.Select(s => (s.At, s.Source)));
    }

    [Theory]
    [InlineData("{ port: 80 }", null, 80, 10, 2, 3)]
    [InlineData("{ port: 8080, path: /healthz, every: 1m30s, within: 30s, failures: 10 }", "/healthz", 8080, 90, 30, 10)]
    [InlineData("{ port: 80, every: 1s }", null, 80, 1, 1, 3)]
    public void Health_is_asked_as_is_usual_unless_it_is_said(string text, string? path, int port, int every, int within, int failures)
    {
        var draft = DraftReader.Read(Asked(text), out var faults)!;
        Assert.Empty(faults);
        Assert.Equal(new Health(path, port, TimeSpan.FromSeconds(every), TimeSpan.FromSeconds(within), failures), ((Container)draft.Workloads[4].Workload).Health);
    }

    [Theory]
    [InlineData("80", RefusalCode.Malformed, 13)]
    [InlineData("{ path: / }", RefusalCode.MissingField, 13)]
    [InlineData("{ port: 0 }", RefusalCode.Malformed, 21)]
    [InlineData("{ port: 65536 }", RefusalCode.TooLarge, 21)]
    [InlineData("{ port: http }", RefusalCode.Malformed, 21)]
    [InlineData("{ port: 80, path: healthz }", RefusalCode.PathInvalid, 31)]
    [InlineData("{ port: 80, every: 10 }", RefusalCode.Malformed, 32)]
    [InlineData("{ port: 80, within: soon }", RefusalCode.Malformed, 33)]
    [InlineData("{ port: 80, failures: 0 }", RefusalCode.Malformed, 35)]
    [InlineData("{ port: 80, failures: 101 }", RefusalCode.TooLarge, 35)]
    [InlineData("{ port: 80, command: curl }", RefusalCode.UnknownField, 25)]
    public void A_health_that_is_wrong_is_refused_where_it_stands(string text, string code, int column)
    {
        DraftReader.Read(Asked(text), out var faults);
        Assert.Equal([(code, 26, column)], faults.Select(f => (f.Refusal.Code, f.At.Line, f.At.Column)));
    }

    [Theory]
    [InlineData("{ port: 80, every: 2h }", RefusalCode.TermInvalid, 25)]
    [InlineData("{ port: 80, every: 3s, within: 4s }", RefusalCode.TermInvalid, 36)]
    [InlineData("{ port: 80, path: \"/a b\" }", RefusalCode.PathInvalid, 25)]
    public void A_health_that_the_rules_refuse_is_found_where_it_stands(string text, string code, int column)
    {
        var draft = DraftReader.Read(Asked(text), out _)!;
        var refusal = Assert.Single(AgreementRules.Check(Terms(draft)));
        Assert.Equal((code, 26, column), (refusal.Code, draft.Place(refusal.About).Line, draft.Place(refusal.About).Column));
    }

    private static string Asked(string health) => Good.Replace("max: 1m }", $"max: 1m }}\n    health: {health}", StringComparison.Ordinal);

    [Theory]
    [InlineData("name: hello", "name: Hello", RefusalCode.NameInvalid, 1, 7)]
    [InlineData("user: alice", "user: [alice]", RefusalCode.Malformed, 2, 7)]
    [InlineData("user: alice", "user:", RefusalCode.Malformed, 2, 6)]
    [InlineData("until: +24h", "until: tomorrow", RefusalCode.Malformed, 5, 10)]
    [InlineData("until: +24h", "untill: +24h", RefusalCode.UnknownField, 5, 3)]
    [InlineData("notice: 1h30m", "notice: 90", RefusalCode.Malformed, 6, 11)]
    [InlineData("then: pause", "then: stop", RefusalCode.Malformed, 8, 31)]
    [InlineData("kind: container", "kind: function", RefusalCode.UnknownKind, 14, 11)]
    [InlineData("kind: container", "kind: container\n    privileged: true", RefusalCode.HostAccess, 15, 5)]
    [InlineData("entry: /bin/web", "entry: bin/web", RefusalCode.PathInvalid, 16, 12)]
    [InlineData("entry: /bin/web", "", RefusalCode.MissingField, 14, 5)]
    [InlineData("user: \"1000:100\"", "user: root", RefusalCode.Malformed, 19, 11)]
    [InlineData("cpu: 1.5 cpu", "cpu: 0.0001", RefusalCode.Malformed, 20, 10)]
    [InlineData("memory: 512MiB", "memory: 512MB", RefusalCode.Malformed, 21, 13)]
    [InlineData("memory: 512MiB", "memory: 512", RefusalCode.Malformed, 21, 13)]
    [InlineData("memory: 512MiB", "memory: 2000TiB", RefusalCode.TooLarge, 21, 13)]
    [InlineData("memory: 512MiB", "memory: 512MiB\n    pids: 32769", RefusalCode.TooLarge, 22, 11)]
    [InlineData("user: \"1000:100\"", "user: \"1000:65535\"", RefusalCode.TooLarge, 19, 11)]
    [InlineData("until: +24h", "until: +99999999999d", RefusalCode.TooLarge, 5, 10)]
    [InlineData("size: 1.5GiB", "size: 1000TiB", RefusalCode.TooLarge, 30, 11)]
    [InlineData("policy: on-failure", "policy: sometimes", RefusalCode.Malformed, 25, 24)]
    [InlineData("/tmp: 16MiB", "tmp: 16MiB", RefusalCode.PathInvalid, 23, 16)]
    [InlineData("TOKEN: { env: API_TOKEN }", "TOKEN: correct-horse", RefusalCode.Malformed, 26, 23)]
    [InlineData("TOKEN: { env: API_TOKEN }", "TOKEN: {}", RefusalCode.MissingField, 26, 16)]
    [InlineData("TOKEN: { env: API_TOKEN }", "TOKEN: { env: A, file: a }", RefusalCode.MissingField, 26, 16)]
    [InlineData("TOKEN: { env: API_TOKEN }", "TOKEN: { value: correct-horse }", RefusalCode.UnknownField, 26, 25)]
    [InlineData("TOKEN: { env: API_TOKEN }", "TOKEN: { sealed: Y29ycmVjdCBob3JzZQ== }", RefusalCode.SecretNotSealed, 26, 33)]
    [InlineData("media: hdd", "media: tape", RefusalCode.Malformed, 31, 12)]
    [InlineData("cidr: 10.1.0.0/24", "cidr: 10.1.0.1/24", RefusalCode.Malformed, 35, 11)]
    [InlineData("cidr: 10.1.0.0/24", "", RefusalCode.MissingField, 34, 5)]
    [InlineData("egress: nat", "egress: all", RefusalCode.Malformed, 36, 13)]
    [InlineData("back: 10.1.0.2", "back: 10.1", RefusalCode.Malformed, 24, 23)]
    [InlineData("hostname: shop.example.org", "", RefusalCode.MissingField, 38, 5)]
    [InlineData("tls: passthrough", "tls: none", RefusalCode.Malformed, 41, 10)]
    [InlineData("proof: dns", "proof: trust", RefusalCode.Malformed, 42, 12)]
    [InlineData("backend: web:8080", "backend: web", RefusalCode.Malformed, 43, 14)]
    [InlineData("backend: web:8080", "backend: web:0", RefusalCode.Malformed, 43, 14)]
    [InlineData("backend: web:8080", "backend: web:65536", RefusalCode.TooLarge, 43, 14)]
    [InlineData("ip: 203.0.113.7", "ip: 203.0.113", RefusalCode.Malformed, 47, 9)]
    [InlineData("ip: 203.0.113.7", "", RefusalCode.MissingField, 46, 5)]
    [InlineData("ports: [udp/53, tcp/8080]", "ports: []", RefusalCode.Malformed, 48, 12)]
    [InlineData("ports: [udp/53, tcp/8080]", "", RefusalCode.MissingField, 46, 5)]
    [InlineData("ports: [udp/53, tcp/8080]", "ports: [udp/53, udp/53]", RefusalCode.Malformed, 48, 21)]
    [InlineData("ports: [udp/53, tcp/8080]", "ports: [udp/0]", RefusalCode.Malformed, 48, 13)]
    [InlineData("ports: [udp/53, tcp/8080]", "ports: [udp/65536]", RefusalCode.TooLarge, 48, 13)]
    [InlineData("ports: [udp/53, tcp/8080]", "ports: [all]", RefusalCode.Malformed, 48, 13)]
    [InlineData("workload: web", "", RefusalCode.MissingField, 46, 5)]
    [InlineData("money: { grace: 3d }", "money: { grace: 3d, grace: 4d }", RefusalCode.Malformed, 9, 21)]
    [InlineData("note: the first one", "note: &a the first one", RefusalCode.Malformed, 3, 7)]
    [InlineData("note: the first one", "note: !!str x", RefusalCode.Malformed, 3, 7)]
    [InlineData("note: the first one", "note: 'unclosed", RefusalCode.Malformed, 3, 7)]
    public void A_fault_is_found_where_it_stands(string right, string wrong, string code, int line, int column)
    {
        Assert.Null(DraftReader.Read(Good.Replace(right, wrong, StringComparison.Ordinal), out var faults));

        Assert.True(faults.Any(f => (f.Refusal.Code, f.At.Line, f.At.Column) == (code, line, column)),
            $"{code} at {line}:{column} is wanted; found {string.Join("; ", faults.Select(f => $"{f.At} {f.Refusal.Code}: {f.Refusal.Detail}"))}");
    }

    [Fact]
    public void An_flist_by_name_is_refused_and_says_how_to_get_its_id()
    {
        Assert.Null(DraftReader.Read(Good.Replace(Flist, "debian:latest", StringComparison.Ordinal), out var faults));

        var fault = Assert.Single(faults);
        Assert.Equal((RefusalCode.MutableReference, "15:12"), (fault.Refusal.Code, fault.At.ToString()));
        Assert.Contains("grid flist build", fault.Refusal.Next, StringComparison.Ordinal);
    }

    // The names in the sentences are others than those at fault, or stand earlier in the file.
    [Theory]
    [InlineData("answerBy: 2026-12-01T00:00Z", "answerBy: 2026-12-01T00:00Z\n  convergeBy: 2026-11-01T00:00Z", RefusalCode.TermInvalid, 8, 15)]
    [InlineData("until: +24h", "until: 2026-11-01T00:00Z", RefusalCode.TermInvalid, 5, 10)]
    [InlineData("offline: { after: 2h, then: pause }", "offline: { after: 1s, then: pause }", RefusalCode.TermInvalid, 8, 3)]
    [InlineData("mounts: { /data: store }", "mounts: { /data: back }", RefusalCode.UnresolvedVolume, 22, 15)]
    [InlineData("/tmp: 16MiB", "/tmp: 1GiB", RefusalCode.SizeInvalid, 23, 16)]
    [InlineData("/tmp: 16MiB", "/bin: 16MiB", RefusalCode.ExecFromWritable, 16, 12)]
    [InlineData("/tmp: 16MiB", "/tmp/..: 16MiB", RefusalCode.PathInvalid, 23, 16)]
    [InlineData("A: b", "A: '<VALUE>'", RefusalCode.EnvPlaceholder, 18, 25)]
    [InlineData("args: [--port, \"80\"]", "args: [--port, \"${PORT}\"]", RefusalCode.EnvPlaceholder, 17, 20)]
    [InlineData("memory: 512MiB", "memory: 512B", RefusalCode.SizeInvalid, 21, 13)]
    [InlineData("memory: 512MiB", "memory: 512MiB\n    pids: 0", RefusalCode.SizeInvalid, 22, 11)]
    [InlineData("TOKEN: {", "LD_PRELOAD: {", RefusalCode.LibraryNotDescribed, 26, 16)]
    [InlineData("/run/secrets/key: {", "/bin/key: {", RefusalCode.ExecFromWritable, 16, 12)]
    [InlineData("/run/secrets/key: {", "/dev/key: {", RefusalCode.HostAccess, 26, 5)]
    [InlineData("size: 1.5GiB", "size: 1MiB", RefusalCode.SizeInvalid, 30, 11)]
    [InlineData("size: 1.5GiB", "size: 1.5GiB\n    form: disk", RefusalCode.VolumeConflict, 22, 15)]
    [InlineData("cidr: 10.1.0.0/24", "cidr: 10.1.0.0/8", RefusalCode.Malformed, 35, 11)]
    [InlineData("cidr: 10.1.0.0/24", "cidr: 11.1.0.0/24", RefusalCode.CidrInvalid, 35, 11)]
    [InlineData("back: 10.1.0.3", "back: 10.1.0.2", RefusalCode.AddressConflict, 24, 17)]
    [InlineData("back: 10.1.0.3", "back: 10.1.0.255", RefusalCode.AddressConflict, 44, 17)]
    [InlineData("hostname: shop.example.org", "hostname: Shop", RefusalCode.HostnameInvalid, 40, 15)]
    [InlineData("backend: web:8080", "backend: store:8080", RefusalCode.UnresolvedBackend, 43, 14)]
    [InlineData("workload: web", "workload: door", RefusalCode.UnresolvedBackend, 49, 15)]
    public void What_the_rules_refuse_is_found_where_it_stands(string right, string wrong, string code, int line, int column)
    {
        var draft = DraftReader.Read(Good.Replace(right, wrong, StringComparison.Ordinal), out var faults);
        if (draft is not null)
            faults = [.. AgreementRules.Check(Terms(draft)).Select(r => new Yaml.Fault(draft.Place(r.About), r))];

        Assert.True(faults.Any(f => (f.Refusal.Code, f.At.Line, f.At.Column) == (code, line, column)),
            $"{code} at {line}:{column} is wanted; found {string.Join("; ", faults.Select(f => $"{f.At} {f.Refusal.Code}: {f.Refusal.Detail}"))}");
    }

    [Fact]
    public void What_no_rule_refuses_is_found_nowhere() => Assert.Empty(AgreementRules.Check(Terms(DraftReader.Read(Good, out _)!)));

    [Fact]
    public void All_faults_are_told_at_once_in_the_order_of_the_file()
    {
        var text = Good.Replace("name: hello", "name: Hello", StringComparison.Ordinal).Replace("cpu: 1.5 cpu", "cpu: many", StringComparison.Ordinal).Replace("media: hdd", "medium: hdd", StringComparison.Ordinal);

        Assert.Null(DraftReader.Read(text, out var faults));

        Assert.Equal([(1, RefusalCode.NameInvalid), (20, RefusalCode.Malformed), (31, RefusalCode.UnknownField)], faults.Select(f => (f.At.Line, f.Refusal.Code)));
        Assert.Equal("Did you mean 'media'?", faults[2].Refusal.Next);
    }

    [Theory]
    [InlineData("")]
    [InlineData("---\n...\n")]
    [InlineData("just text")]
    [InlineData("- a\n- b")]
    [InlineData("a: b\n---\nc: d")]
    [InlineData("{")]
    [InlineData("a: *b")]
    [InlineData("\t")]
    [InlineData("? [a]\n: b")]
    [InlineData("workloads: []\nname: x")]
    [InlineData("workloads: {}\nname: x")]
    [InlineData("name: x\nworkloads: { web: 3 }")]
    public void What_is_no_draft_is_refused_with_a_place(string text)
    {
        Assert.Null(DraftReader.Read(text, out var faults));

        Assert.NotEmpty(faults);
        Assert.All(faults, f => Assert.True(f.At.Line >= 1 && f.At.Column >= 1));
    }

    [Fact]
    public void Depth_and_length_have_limits()
    {
        Assert.Null(DraftReader.Read(new string('[', 5000), out var deep));
        Assert.NotEmpty(deep);
        Assert.Null(DraftReader.Read(new string('a', 300_000), out var large));
        Assert.Equal(RefusalCode.TooLarge, Assert.Single(large).Refusal.Code);
    }

    [Fact]
    public void No_cut_or_changed_character_raises_anything_but_faults()
    {
        const string Signs = "{}[]:,-&*!|>'\"%@` \n#ab0";
        var chance = new Random(3);
        for (var i = 0; i < 2000; i++)
        {
            var text = Good.ToCharArray();
            for (var n = chance.Next(4); n >= 0; n--)
                text[chance.Next(text.Length)] = Signs[chance.Next(Signs.Length)];
            var draft = DraftReader.Read(new string(text, 0, chance.Next(text.Length)), out var faults);
            Assert.Equal(draft is null, !faults.IsEmpty);
        }
    }

    [Theory]
    [InlineData("90s", 90)]
    [InlineData("1h30m", 5400)]
    [InlineData("7d", 604_800)]
    [InlineData("0s", 0)]
    [InlineData("30m1h", null)]
    [InlineData("1h1h", null)]
    [InlineData("90", null)]
    [InlineData("-1h", null)]
    [InlineData("1.5h", null)]
    [InlineData("99999999999d", null)]
    [InlineData("", null)]
    public void A_length_of_time_is_exact_or_refused(string text, int? seconds)
    {
        Assert.Equal(seconds is not null, Quantities.TryDuration(text, out var value));
        if (seconds is { } wanted)
            Assert.Equal(TimeSpan.FromSeconds(wanted), value);
    }

    [Theory]
    [InlineData("512MiB", 536_870_912L)]
    [InlineData("1.5GiB", 1_610_612_736L)]
    [InlineData("0B", 0L)]
    [InlineData("0.3B", null)]
    [InlineData("1MB", null)]
    [InlineData("1", null)]
    [InlineData("-1B", null)]
    [InlineData("1e3B", null)]
    [InlineData("99999999999999TiB", null)]
    [InlineData("..B", null)]
    public void An_amount_of_bytes_is_exact_or_refused(string text, long? bytes)
    {
        Assert.Equal(bytes is not null, Quantities.TryBytes(text, out var value));
        if (bytes is not null)
            Assert.Equal(bytes, value.Value);
    }

    [Fact]
    public void What_is_written_is_read_again()
    {
        var chance = new Random(1);
        for (var i = 0; i < 1000; i++)
        {
            var length = TimeSpan.FromSeconds(chance.NextInt64(3_155_760_000));
            Assert.True(Quantities.TryDuration(Quantities.Text(length), out var again));
            Assert.Equal(length, again);
            var bytes = new Bytes(chance.NextInt64(1L << 49));
            Assert.True(Quantities.TryBytes(bytes.ToString(), out var same));
            Assert.Equal(bytes, same);
        }
    }

    private static Workload Sealed(DraftWorkload draft)
    {
        using var node = Statements.SigningKey.FromSeed(new byte[32]);
        return draft.Workload is Runnable runs
            ? runs with { Secrets = [.. draft.Secrets.Select(s => new Secrets.Secret(s.At, Secrets.SecretSeal.Seal("x"u8, "grid.test/cli", default, node.Public, new byte[32])!))] }
            : draft.Workload;
    }

    /// <summary>What the draft comes to when its names are all of one node.</summary>
    internal static AgreementTerms Terms(Draft draft)
    {
        var (farm, began) = (new FarmId(Digest.Of("farm"u8)), new DateTimeOffset(2026, 11, 30, 23, 50, 0, TimeSpan.Zero));
        var term = new Term(draft.Term.Start?.From(began), draft.Term.Until?.From(began), TimeSpan.Zero, draft.Term.AnswerBy.From(began), draft.Term.ConvergeBy.From(began), new Offline(draft.Term.OfflineAfter, draft.Term.OfflinePause));
        return new AgreementTerms(1, null, default, [new FarmPart(farm, default, [default])], term,
            new MoneyTerms(new Currency("EUR", 9), Money.Zero, [new FarmRate(farm, Money.Zero)], draft.Grace), [.. draft.Workloads.Select(Sealed)], draft.Note);
    }
}
