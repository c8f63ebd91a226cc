using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Units;

namespace Grid.Cli.Tests;

/// <summary>Whole journeys of user and farmer by the commands they type, on the real ledger.</summary>
public sealed class JourneyTests(RealLedger real)
{
    private static readonly string Flist = new FlistId(Digest.Of("flist"u8)).ToString();

    private static int _count;

    [Fact]
    public async Task From_keys_to_a_running_agreement_its_proof_and_its_end()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var yaml = shell.Write("grid.yaml", Draft("hello", farm));

        var (code, text, _) = await shell.RunAsync("plan", yaml);
        Assert.Equal(Exit.Negative, code);
        Assert.Contains("+ workloads.web.cpu: 500m", text, StringComparison.Ordinal);
        Assert.Contains("price:", text, StringComparison.Ordinal);
        var plan = await shell.JsonAsync("plan", yaml);
        Assert.Equal("0.000001937 EUR", plan["price"]!["perSecond"]!.GetValue<string>());

        Assert.Equal(CliCode.NotConfirmed, await shell.RefusedAsync("apply", "--plan", Text(plan, "plan")));
        var applied = await shell.JsonAsync("apply", yaml, "--plan", Text(plan, "plan"), "--yes", "--no-wait");
        var id = Id.Parse<AgreementId>(Text(applied, "agreement"));
        Assert.Equal(["signature of farm " + farm], Texts((await shell.JsonAsync("status", "hello"))["waitsFor"]!));
        Assert.Equal(Exit.Ok, (await shell.RunAsync("plan", yaml)).Code);
        // Saying it twice changes nothing.
        Assert.Equal(id.ToString(), Text(await shell.JsonAsync("apply", yaml, "--plan", Text(plan, "plan"), "--yes", "--no-wait"), "agreement"));

        Assert.Equal(RefusalCode.NotAParty, await shell.RefusedAsync("agreement", "countersign", "hello", "--account", "alice", "--yes"));
        var signed = await shell.JsonAsync("agreement", "countersign", "hello", "--account", "farmer", "--yes");
        Assert.Contains("agreement.agreed", Texts(signed["events"]!));
        Assert.Equal(RefusalCode.WrongState, await shell.RefusedAsync("agreement", "sign", "hello", "--account", "farmer", "--yes"));

        var waiting = shell.RunAsync("apply", yaml, "--yes");
        await node.ReadyAsync(id);
        await node.ReceiptAsync(id, WorkloadState.Starting, "fetching");
        await node.ReceiptAsync(id, WorkloadState.Running);
        var (waited, shown, told) = await waiting;
        Assert.Equal(Exit.Ok, waited);
        Assert.Contains("running", shown, StringComparison.Ordinal);
        Assert.Contains("agreement.running", told, StringComparison.Ordinal);

        var explained = await shell.JsonAsync("explain", "hello/web");
        Assert.Equal("running", Text(explained, "state"));
        Assert.Contains("start 1, fetching", explained["items"]!.AsArray().Select(i => Text(i!, "detail")));
        Assert.Equal(9, (await shell.JsonAsync("agreement", "history", "hello"))["items"]!.AsArray().Count);
        var story = (await shell.JsonAsync("agreement", "history", "hello"))["items"]!.AsArray().ToLookup(i => Text(i!, "what"), i => Text(i!, "who"));
        Assert.StartsWith("acct1", Assert.Single(story["agreement.proposed"]), StringComparison.Ordinal);
        Assert.Equal($"farm {farm}", Assert.Single(story["agreement.countersigned"]));
        Assert.Equal($"farm {farm}", Assert.Single(story["agreement.agreed"]));
        Assert.Equal(node.Id.ToString(), Assert.Single(story["agreement.node-ready"]));
        Assert.Equal("/bin/web", (await shell.JsonAsync("agreement", "show", "hello"))["terms"]!["workloads"]!["web"]!["entry"]!.GetValue<string>());
        Assert.Single((await shell.JsonAsync("agreement", "list", "--mine", "--status", "running"))["items"]!.AsArray());
        Assert.Single((await shell.JsonAsync("node", "status", farm))["items"]!.AsArray());

        await VerifyOfflineAsync(shell, node, id);
        await AmendAsync(shell, node, id, yaml);

        Assert.Equal(["agreement.ended"], Texts((await shell.JsonAsync("cancel", "hello", "--yes"))["events"]!));
        Assert.Equal("ended", Text(await shell.JsonAsync("status", "hello"), "status"));
        Assert.Equal("holds", Text(await shell.JsonAsync("ledger", "audit"), "verdict"));
    }

    [Fact]
    public async Task A_plan_holds_until_something_moves()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var yaml = shell.Write("grid.yaml", Draft("moving", farm));
        var plan = Text(await shell.JsonAsync("plan", yaml), "plan");

        shell.Write("grid.yaml", Draft("moving", farm).Replace("memory: 64MiB", "memory: 65MiB", StringComparison.Ordinal));
        Assert.Equal(CliCode.PlanMoved, await shell.RefusedAsync("apply", yaml, "--plan", plan, "--yes", "--no-wait"));
        shell.Write("grid.yaml", Draft("moving", farm));
        await shell.JsonAsync("offer", "post", farm, "-f", shell.Write("other.yaml", Offer.Replace("notice: 1h", "notice: 2h", StringComparison.Ordinal)), "--account", "farmer");
        Assert.Equal(CliCode.PlanMoved, await shell.RefusedAsync("apply", yaml, "--plan", plan, "--yes", "--no-wait"));
        Assert.Equal(CliCode.PlanUnknown, await shell.RefusedAsync("apply", yaml, "--plan", new StatementId(Digest.Of("x"u8)).ToString(), "--yes", "--no-wait"));
        Assert.Equal(CliCode.Usage, await shell.RefusedAsync("apply", yaml, "--plan", "st1wrong", "--yes", "--no-wait"));
    }

    [Fact]
    public async Task A_secret_leaves_the_machine_sealed_and_the_same_one_is_no_change()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        const string Value = "correct horse battery staple";
        shell.Environment["API_TOKEN"] = Value;
        shell.Write("key.pem", $"{Value}\n");
        var secrets = "    secrets: { TOKEN: { env: API_TOKEN }, /run/secrets/key: { file: key.pem } }\n";
        var yaml = shell.Write("grid.yaml", Draft("sealed", farm) + secrets);

        var (_, text, _) = await shell.RunAsync("plan", yaml);
        Assert.Contains("+ workloads.web.secrets.TOKEN: sealed, ", text, StringComparison.Ordinal);
        Assert.DoesNotContain("horse", text, StringComparison.Ordinal);
        await shell.JsonAsync("apply", yaml, "--yes", "--no-wait");
        Assert.Equal(Exit.Ok, (await shell.RunAsync("plan", yaml)).Code);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(shell.PathOf("secrets.key")));
        var id = Text(await shell.JsonAsync("status", "sealed"), "agreement");

        // The node opens them, as they were; a variable without the end of its line. Nobody else's agreement has anything of it.
        var sealedFor = await node.TermsAsync(Id.Parse<AgreementId>(id));
        Assert.True(Statements.CanonicalWriter.Encode(sealedFor.Write).AsSpan().IndexOf("horse"u8) < 0);
        var opened = sealedFor.Workloads.OfType<Workloads.Container>().Single().Secrets.Select(s => (s.At, System.Text.Encoding.UTF8.GetString(node.Opener.Open(s, sealedFor.User)!)));
        Assert.Equal([("/run/secrets/key", $"{Value}\n"), ("TOKEN", Value)], opened);
        Assert.All(sealedFor.Workloads.OfType<Workloads.Container>().Single().Secrets, s => Assert.Null(node.Opener.Open(s, new AccountId(Digest.Of("mallory"u8)))));

        shell.Environment["API_TOKEN"] = "another";
        await shell.JsonAsync("cancel", "sealed", "--yes");
        yaml = shell.Write("grid.yaml", Draft("sealed-again", farm) + secrets);
        await shell.JsonAsync("apply", yaml, "--yes", "--no-wait");
        shell.Environment["API_TOKEN"] = Value;
        Assert.Equal(RefusalCode.WrongState, await shell.RefusedAsync("plan", yaml));

        // Sealed beforehand, for a file that others may read.
        shell.Input = Value;
        var done = await shell.JsonAsync("secret", "seal", farm, "-f", "-");
        Assert.Equal(Value, System.Text.Encoding.UTF8.GetString(node.Opener.Open(new Secrets.Secret("X", Convert.FromBase64String(Text(done, "sealed"))), Id.Parse<AccountId>(Text(done, "account")))!));
        Assert.Equal(Exit.Negative, (await shell.RunAsync("plan", shell.Write("done.yaml", Draft("done", farm) + $"    secrets: {{ TOKEN: {{ sealed: {Text(done, "sealed")} }} }}\n"))).Code);

        async Task<string> RefusedAsync(string secret) => await shell.RefusedAsync("plan", shell.Write("wrong.yaml", Draft("wrong", farm) + $"    secrets: {{ {secret} }}\n"));
        Assert.Equal(RefusalCode.MissingField, await RefusedAsync("TOKEN: { env: NOT_SET }"));
        Assert.Equal(CliCode.FileUnreadable, await RefusedAsync("TOKEN: { file: not-there }"));
        shell.Write("empty", "\n");
        Assert.Equal(RefusalCode.SizeInvalid, await RefusedAsync("TOKEN: { file: empty }"));
        shell.Write("zero", "a\0b");
        Assert.Equal(RefusalCode.Malformed, await RefusedAsync("TOKEN: { file: zero }"));
        shell.Write("large", new string('a', 20_000));
        Assert.Equal(RefusalCode.TooLarge, await RefusedAsync("/run/secrets/a: { file: large }"));
        Assert.Equal(RefusalCode.LibraryNotDescribed, await RefusedAsync("LD_PRELOAD: { env: API_TOKEN }"));
        Assert.Equal(RefusalCode.PathInvalid, await RefusedAsync("/token: { env: API_TOKEN }"));
        shell.Input = "";
        Assert.Equal(RefusalCode.SizeInvalid, await shell.RefusedAsync("secret", "seal", farm, "-f", "-"));
        Assert.Equal(CliCode.Usage, await shell.RefusedAsync("secret", "seal", farm));
    }

    [Fact]
    public async Task A_draft_is_held_against_the_ledger_with_its_places()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;

        var (code, _, error) = await shell.RunAsync("plan", shell.Write("nowhere.yaml", Draft("nowhere", "no-such-farm")));
        Assert.Equal(Exit.Error, code);
        Assert.Contains("nowhere.yaml:2:7: 'no-such-farm' is no node", error, StringComparison.Ordinal);
        Assert.Equal(RefusalCode.UnresolvedNode, await shell.RefusedAsync("plan", shell.Write("seventh.yaml", Draft("seventh", farm + "/7"))));
        Assert.Equal(RefusalCode.EnvPlaceholder, await shell.RefusedAsync("plan", shell.Write("hole.yaml", Draft("hole", farm) + "    env: { TOKEN: \"${TOKEN}\" }\n")));
        Assert.Equal(RefusalCode.UnresolvedVolume, await shell.RefusedAsync("plan", shell.Write("volume.yaml", Draft("volume", farm) + "    mounts: { /data: store }\n")));
        Assert.Equal(RefusalCode.ExecFromWritable, await shell.RefusedAsync("plan", shell.Write("write.yaml", Draft("write", farm) + "    scratch: { /bin: 1MiB }\n")));
        Assert.Equal(RefusalCode.OfferMismatch, await shell.RefusedAsync("plan", shell.Write("large.yaml", Draft("large", farm).Replace("cpu: 0.5", "cpu: 3", StringComparison.Ordinal))));
        Assert.Equal(RefusalCode.TermInPast, await shell.RefusedAsync("plan", shell.Write("past.yaml", Draft("past", farm).Replace("{ until: +24h }", "{ answerBy: 2020-01-01T00:00Z }", StringComparison.Ordinal))));
        Assert.Equal(RefusalCode.NotFound, await shell.RefusedAsync("status", "nothing"));
        Assert.Equal(RefusalCode.NotFound, await shell.RefusedAsync("status", new AgreementId(Digest.Of("x"u8)).ToString()));
        Assert.Equal(RefusalCode.NameTaken, await shell.RefusedAsync("farm", "register", farm, "--account", "alice"));
    }

    [Fact]
    public async Task A_farmer_says_what_addresses_a_farm_has()
    {
        using var shell = new TestShell();
        var (farm, _) = await PartiesAsync(shell, node: false);
        // Of documentation, and of no other run of this test.
        string Ip(int host) => $"2001:db8:{Environment.ProcessId & 0xFFFF:x}::{host}/64@fe80::1";
        string[] Listed(JsonNode node) => [.. node["addresses"]!.AsArray().Select(a => a!.GetValue<string>())];

        Assert.Equal([Ip(7), Ip(9)], Listed(await shell.JsonAsync("farm", "addresses", farm, Ip(9), Ip(7), "--account", "farmer")));
        await shell.JsonAsync("farm", "addresses", farm, "-f", shell.Write("addresses", $"# all\n{Ip(8)}  # one\n\n"), "--account", "farmer");
        Assert.Equal([Ip(8)], Listed((await shell.JsonAsync("farm", "show", farm))["farm"]!));
        Assert.Contains(Ip(8), (await shell.RunAsync("farm", "show", farm)).Out, StringComparison.Ordinal);
        Assert.Equal(RefusalCode.NotAParty, await shell.RefusedAsync("farm", "addresses", farm, Ip(9), "--account", "alice"));
        Assert.Equal(RefusalCode.AddressInvalid, await shell.RefusedAsync("farm", "addresses", farm, "10.0.0.7/24@10.0.0.1", "--account", "farmer"));
        Assert.Equal(RefusalCode.Malformed, await shell.RefusedAsync("farm", "addresses", farm, "203.0.113.7", "--account", "farmer"));
        Assert.Equal(RefusalCode.Malformed, await shell.RefusedAsync("farm", "addresses", farm, Ip(9), Ip(9), "--account", "farmer"));
        Assert.Equal(CliCode.Usage, await shell.RefusedAsync("farm", "addresses", farm, "--account", "farmer"));
        Assert.Empty(Listed(await shell.JsonAsync("farm", "addresses", farm, "--none", "--account", "farmer")));
    }

    [Fact]
    public async Task A_node_that_drains_says_why_and_takes_nothing_new()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var yaml = shell.Write("grid.yaml", Draft("late", farm));
        Assert.Equal(RefusalCode.NotAParty, await shell.RefusedAsync("node", "drain", farm, "--account", "alice"));
        await shell.JsonAsync("node", "drain", farm, "--reason", "its fans are loud", "--account", "farmer");
        Assert.Equal("its fans are loud", Text((await shell.JsonAsync("node", "show", farm))["node"]!, "drains"));
        var shown = (await shell.RunAsync("node", "show", farm)).Out;
        Assert.Contains("state:        drains: its fans are loud\n", shown, StringComparison.Ordinal);
        Assert.Contains("         CPU  MEMORY  SSD    HDD  IPV4\nheld     0    0B      0B     0B   0\noffered  4    8GiB    50GiB  0B   0\n", shown, StringComparison.Ordinal);
        Assert.Matches($"{node.Id}  -  +farm1[a-z0-9]+  drains: its fans are loud\n", (await shell.RunAsync("node", "list", "--farm", farm)).Out);
        Assert.Equal(RefusalCode.NodeDrains, await shell.RefusedAsync("plan", yaml));
        Assert.Equal(RefusalCode.NodeDrains, await shell.RefusedAsync("apply", yaml, "--yes", "--no-wait"));
        await shell.JsonAsync("node", "drain", farm, "--lift", "--account", "farmer");
        await shell.JsonAsync("apply", yaml, "--yes", "--no-wait");
        // What is agreed there is no news to it.
        await shell.JsonAsync("node", "drain", farm, "--account", "farmer");
        Assert.Equal(Exit.Ok, (await shell.RunAsync("plan", yaml)).Code);
        await shell.JsonAsync("node", "retire", node.Id.ToString(), "--breach", "--account", "farmer", "--yes");
        shell.Write("later.yaml", Draft("later", node.Id.ToString()));
        Assert.Equal(RefusalCode.UnresolvedNode, await shell.RefusedAsync("plan", shell.PathOf("later.yaml")));
        Assert.Contains("is retired", (await shell.RunAsync("plan", shell.PathOf("later.yaml"))).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_with_agreements_is_retired_only_as_a_breach_and_the_refusal_says_how()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("broken", farm)), "--yes", "--no-wait");
        await shell.JsonAsync("agreement", "sign", "broken", "--account", "farmer", "--yes");

        var (code, _, error) = await shell.RunAsync("node", "retire", farm, "--account", "farmer", "--yes");
        Assert.Equal(Exit.Error, code);
        Assert.Contains("error[agreements-running]", error, StringComparison.Ordinal);
        Assert.Contains("--breach", error, StringComparison.Ordinal);
        await shell.JsonAsync("node", "retire", farm, "--account", "farmer", "--yes", "--breach");
        Assert.Equal("ended", Text(await shell.JsonAsync("status", "broken"), "status"));
    }

    [Fact]
    public async Task A_node_that_refuses_ends_it_and_the_one_who_waits_is_told_why()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var id = Id.Parse<AgreementId>(Text(await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("refused", farm)), "--yes", "--no-wait"), "agreement"));
        await shell.JsonAsync("agreement", "sign", "refused", "--account", "farmer", "--yes");
        var waiting = shell.RunAsync("apply", shell.PathOf("grid.yaml"), "--yes", "-o", "json");
        await node.RefuseAsync(id, RefusalCode.FlistIncomplete, "two chunks are at no hub");

        var (code, text, _) = await waiting;

        Assert.Equal(Exit.Negative, code);
        Assert.Equal($"{RefusalCode.FlistIncomplete}: two chunks are at no hub", Text(JsonNode.Parse(text)!, "reason"));
        Assert.Equal("unknown", Text(await shell.JsonAsync("explain", "refused/web"), "state"));
        Assert.Equal("node-silent", await shell.RefusedAsync("logs", "refused/web"));
    }

    [Fact]
    public async Task Logs_are_read_where_the_node_is()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var id = Text(await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("talks", farm)), "--yes", "--no-wait"), "agreement");
        shell.Environment["GRID_NODE_LOGS"] = shell.Home;
        shell.Write($"{id}.web.log", "2026-01-01T00:00:00.5Z stdout F hello\nrubbish\n2026-01-01T00:00:01Z stderr P in \n2026-01-01T00:00:01Z stderr F pieces \t\e[2J\n");

        Assert.Equal(["hello", "in pieces \t\e[2J"], (await shell.JsonAsync("logs", "talks/web"))["items"]!.AsArray().Select(l => Text(l!, "text")));
        Assert.Equal("in pieces \t\\x1b[2J\n", (await shell.RunAsync("logs", "talks/web", "--tail", "1")).Out);
        Assert.Equal("in pieces \t\\x1b[2J\n", (await shell.RunAsync("logs", "talks/web", "--since", "2026-01-01T00:00:01Z")).Out);
        Assert.Equal("", (await shell.RunAsync("logs", "talks/web", "--tail", "0")).Out);
        Assert.Equal(CliCode.Usage, await shell.RefusedAsync("logs", "talks/web", "--tail", "-1"));
    }

    [Fact]
    public async Task What_runs_nothing_has_no_log()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell, offer: Offer.Replace("[container]", "[container, network, volume]", StringComparison.Ordinal)
            .Replace("memory: 7000", "memory: 7000, ssd: 1", StringComparison.Ordinal).Replace("memory: 1GiB", "memory: 1GiB, ssd: 1GiB", StringComparison.Ordinal));
        using var _ = node;
        await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("mute", farm) + "    networks: { net: 10.42.0.2 }\n  store: { kind: volume, size: 8MiB }\n  net: { kind: network, cidr: 10.42.0.0/24 }\n"), "--yes", "--no-wait");

        Assert.Equal(RefusalCode.UnsupportedKind, await shell.RefusedAsync("logs", "mute/store"));
        Assert.Equal(RefusalCode.UnsupportedKind, await shell.RefusedAsync("logs", "mute/net"));
    }

    [Fact]
    public async Task A_log_is_followed_through_its_rotation_to_the_end_of_its_workload()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var id = Id.Parse<AgreementId>(Text(await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("followed", farm)), "--yes", "--no-wait"), "agreement"));
        await shell.JsonAsync("agreement", "sign", "followed", "--account", "farmer", "--yes");
        await node.ReadyAsync(id);
        await node.ReceiptAsync(id, WorkloadState.Running);
        shell.Environment["GRID_NODE_LOGS"] = shell.Home;
        var file = $"{id}.web.log";
        var screen = new Screen();

        var following = shell.RunAsync(screen, TestContext.Current.CancellationToken, "logs", "followed/web", "-f", "--tail", "1");
        shell.Write(file, "2026-01-01T00:00:00Z stdout F one\n");
        await screen.ShowsAsync("one\n");
        File.AppendAllText(shell.PathOf(file), "2026-01-01T00:00:01Z stdout F tw");
        File.AppendAllText(shell.PathOf(file), "o\n2026-01-01T00:00:01Z stdout P three and \n");
        await screen.ShowsAsync("two\n");
        // As the shim does when the file is full; a piece goes on in the new one.
        shell.Write("aside", "2026-01-01T00:00:02Z stdout F more\n");
        File.Move(shell.PathOf("aside"), shell.PathOf(file), overwrite: true);
        await screen.ShowsAsync("three and more\n");
        await shell.JsonAsync("cancel", "followed", "--yes");
        File.AppendAllText(shell.PathOf(file), "2026-01-01T00:00:03Z stderr F bye\n");
        await node.ReceiptAsync(id, WorkloadState.Gone);

        Assert.Equal((Exit.Ok, "one\ntwo\nthree and more\nbye\n"), (await following) is var (code, text, _) ? (code, text) : default);
        Assert.Equal("bye\n", (await shell.RunAsync("logs", "followed/web", "--follow", "--tail", "1")).Out);
    }

    [Fact]
    public async Task Following_ends_by_ctrl_C_and_every_line_is_a_document()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var id = Text(await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("stopped", farm)), "--yes", "--no-wait"), "agreement");
        Assert.Equal("node-silent", await shell.RefusedAsync("logs", "stopped/web", "-f"));
        shell.Environment["GRID_NODE_LOGS"] = shell.Home;
        shell.Write($"{id}.web.log", "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:00Z stdout F two\n");
        using var person = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var screen = new Screen();

        var following = shell.RunAsync(screen, person.Token, "logs", "stopped/web", "-f", "-o", "json");
        await screen.ShowsAsync("two");
        await person.CancelAsync();

        var (code, text, error) = await following;
        Assert.Equal((Exit.Ok, ""), (code, error));
        Assert.Equal(["one", "two"], text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => Text(JsonNode.Parse(l)!, "text")));
    }

    [Fact]
    public async Task An_account_of_two_keys_signs_by_drafts()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        await shell.JsonAsync("key", "new", "first", "--no-passphrase");
        await shell.JsonAsync("key", "new", "second", "--no-passphrase");
        await shell.JsonAsync("account", "open", "both", "--keys", "first", "second", "--threshold", "2");
        var yaml = shell.Write("grid.yaml", Draft("half", farm));

        string[] other = ["--account", "both", "--key", "second"];

        var (refused, _, why) = await shell.RunAsync("apply", yaml, "--account", "both", "--key", "first", "--yes", "--no-wait");
        Assert.Equal(Exit.Error, refused);
        Assert.Contains("2 of the 2 keys of the user", why, StringComparison.Ordinal);
        Assert.Contains("must sign; 1 did.", why, StringComparison.Ordinal);
        Assert.Contains("--draft", why, StringComparison.Ordinal);
        Assert.DoesNotContain("Next: ", why, StringComparison.Ordinal);
        Assert.Contains("\nNext: grid apply --plan st1", (await shell.RunAsync("plan", yaml, "--account", "both")).Out, StringComparison.Ordinal);
        Assert.DoesNotContain("Next: ", (await shell.RunAsync("plan", yaml, "--account", "both", "--quiet")).Out, StringComparison.Ordinal);
        Assert.Equal("no drafts wait where 'both' has a say\n", (await shell.RunAsync(["agreement", "drafts", .. other])).Out);
        var draft = Text(await shell.JsonAsync("apply", yaml, "--account", "both", "--key", "first", "--yes", "--draft"), "draft");
        var item = Assert.Single((await shell.JsonAsync(["agreement", "drafts", .. other]))["items"]!.AsArray())!;
        Assert.Equal((draft, "agreement", 1, 2, false), (Text(item, "id"), Text(item, "kind"), item["signatures"]!.GetValue<int>(), item["threshold"]!.GetValue<int>(), item["signed"]!.GetValue<bool>()));
        Assert.True((await shell.JsonAsync("agreement", "drafts", "--account", "both", "--key", "first"))["items"]![0]!["signed"]!.GetValue<bool>());
        var listed = (await shell.RunAsync(["agreement", "drafts", .. other])).Out;
        Assert.Contains($"{draft}  new agreement: web  both  1 of 2      missing  ", listed, StringComparison.Ordinal);
        Assert.Contains($"Next: grid agreement sign {draft}", listed, StringComparison.Ordinal);
        shell.Environment["GRID_ACCOUNT"] = "both";
        var line = $"grid agreement sign {draft[..6]}";
        Assert.Contains(draft, (await shell.RunAsync($"[suggest:{line.Length}]", line)).Out, StringComparison.Ordinal);

        var (code, text, told) = await shell.RunAsync("agreement", "sign", draft, "--account", "both", "--key", "second", "--yes");
        Assert.Equal(Exit.Ok, code);
        Assert.Contains("agreement.proposed", text, StringComparison.Ordinal);
        Assert.Contains("version: 1\namends: null\n", told, StringComparison.Ordinal);
        Assert.DoesNotContain(" | ", told, StringComparison.Ordinal);
        Assert.Empty((await shell.JsonAsync(["agreement", "drafts", .. other]))["items"]!.AsArray());
    }

    [Fact]
    public async Task A_draft_has_the_name_of_its_file_until_it_is_recorded_or_over()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        await shell.JsonAsync("key", "new", "first", "--no-passphrase");
        await shell.JsonAsync("key", "new", "second", "--no-passphrase");
        await shell.JsonAsync("account", "open", "both", "--keys", "first", "second", "--threshold", "2");
        shell.Environment["GRID_ACCOUNT"] = "both";
        var yaml = shell.Write("grid.yaml", Draft("half", farm));
        async Task<string> LaidAsync(string key) => Text(await shell.JsonAsync("apply", yaml, "--key", key, "--yes", "--draft"), "draft");
        async Task<string?> NamedAsync() => (await shell.JsonAsync("status"))["items"]!.AsArray().SingleOrDefault() is { } item ? $"{Text(item, "name")} {Text(item, "status")}" : null;

        // Over: the name is free, and the file makes another.
        var lapsed = await LaidAsync("first");
        var clock = shell.Time;
        shell.Time = new Ahead(TimeSpan.FromDays(8));
        Assert.Null((await shell.JsonAsync("plan", yaml))["draft"]);
        Assert.DoesNotContain(lapsed, File.ReadAllText(shell.PathOf("book.json")), StringComparison.Ordinal);
        Assert.Equal(RefusalCode.NotFound, await shell.RefusedAsync("status", "half"));
        shell.Time = clock;

        // It waits: the same file is that draft, whoever plans or lays it down again; another file is refused.
        yaml = shell.Write("grid.yaml", Draft("half", farm).Replace("0.5", "0.4", StringComparison.Ordinal));
        var draft = await LaidAsync("first");
        Assert.NotEqual(lapsed, draft);
        Assert.Equal((draft, draft), await shell.JsonAsync("plan", yaml) is var plan ? (Text(plan, "plan"), Text(plan, "draft")) : default);
        var shown = (await shell.RunAsync("plan", yaml)).Out;
        Assert.Contains("draft:      laid down with 1 signature; waits for the account's other keys", shown, StringComparison.Ordinal);
        Assert.Contains($"Next: grid agreement sign {draft}", shown, StringComparison.Ordinal);
        Assert.Equal(draft, await LaidAsync("first"));
        Assert.Equal(RefusalCode.SignatureMissing, await shell.RefusedAsync("apply", yaml, "--key", "first", "--yes", "--no-wait"));
        var other = shell.Write("other.yaml", Draft("half", farm));
        Assert.Equal(CliCode.DraftWaits, await shell.RefusedAsync("plan", other));
        Assert.Equal(CliCode.DraftWaits, await shell.RefusedAsync("apply", other, "--key", "second", "--yes", "--draft"));
        Assert.Equal(CliCode.DraftWaits, await shell.RefusedAsync("status", "half"));
        Assert.Contains(draft, (await shell.RunAsync("status")).Out, StringComparison.Ordinal);
        Assert.Equal("half draft", await NamedAsync());
        Assert.Single((await shell.JsonAsync("agreement", "drafts"))["items"]!.AsArray(), d => Text(d!, "id") == draft);

        // Recorded, by whichever way: the agreement of that name.
        await shell.JsonAsync("agreement", "sign", draft, "--key", "second", "--yes");
        var id = new AgreementId(Id.Parse<StatementId>(draft).Value).ToString();
        Assert.Equal((id, "proposed"), await shell.JsonAsync("status", "half") is var status ? (Text(status, "agreement"), Text(status, "status")) : default);
        Assert.Equal("half proposed", await NamedAsync());
        var (code, text, _) = await shell.RunAsync("plan", yaml);
        Assert.Equal(Exit.Ok, code);
        Assert.Contains("just this was proposed", text, StringComparison.Ordinal);
        Assert.DoesNotContain("\"until\"", File.ReadAllText(shell.PathOf("book.json")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_missing_key_makes_an_agreement_of_the_draft_by_the_same_file()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        await shell.JsonAsync("key", "new", "first", "--no-passphrase");
        await shell.JsonAsync("key", "new", "second", "--no-passphrase");
        await shell.JsonAsync("account", "open", "both", "--keys", "first", "second", "--threshold", "2");
        shell.Environment["GRID_ACCOUNT"] = "both";
        var yaml = shell.Write("grid.yaml", Draft("whole", farm));

        var draft = Text(await shell.JsonAsync("apply", yaml, "--key", "first", "--yes", "--draft"), "draft");
        var applied = await shell.JsonAsync("apply", yaml, "--key", "second", "--yes", "--no-wait");
        Assert.Equal((draft, new AgreementId(Id.Parse<StatementId>(draft).Value).ToString()), (Text(applied, "plan"), Text(applied, "agreement")));
        await shell.JsonAsync("agreement", "countersign", "whole", "--account", "farmer", "--yes");
        await node.ReadyAsync(Id.Parse<AgreementId>(Text(applied, "agreement")));
        await node.ReceiptAsync(Id.Parse<AgreementId>(Text(applied, "agreement")), WorkloadState.Running);

        // An amendment waits under the name as a first version does, and harms nothing of what is in force.
        shell.Write("grid.yaml", Draft("whole", farm).Replace("0.5", "0.4", StringComparison.Ordinal));
        var amendment = Text(await shell.JsonAsync("apply", yaml, "--key", "first", "--yes", "--draft"), "draft");
        Assert.Equal(amendment, Text(await shell.JsonAsync("plan", yaml), "draft"));
        Assert.Equal(amendment, Text(await shell.JsonAsync("apply", yaml, "--key", "second", "--yes", "--no-wait"), "plan"));
        Assert.Equal((1, amendment), await shell.JsonAsync("status", "whole") is var status ? (status["version"]!.GetValue<int>(), Text(status, "amendment")) : default);
    }

    [Fact]
    public async Task Keys_are_replaced_and_the_old_ones_sign_no_more()
    {
        using var shell = new TestShell();
        await PartiesAsync(shell, node: false);
        await shell.JsonAsync("key", "new", "newer", "--no-passphrase");
        await shell.JsonAsync("account", "rekey", "--account", "farmer", "--keys", "newer");

        Assert.Equal(RefusalCode.StrangerSigned, await shell.RefusedAsync("farm", "register", $"late-{Guid.NewGuid():n}", "--account", "farmer", "--key", "farmer"));
        await shell.JsonAsync("farm", "register", $"late-{Guid.NewGuid():n}"[..20], "--account", "farmer");
        Assert.Equal("1", (await shell.JsonAsync("account", "show", "farmer"))["account"]!["threshold"]!.ToJsonString());
    }

    [Fact]
    public async Task Files_that_are_not_described_are_refused_at_the_draft()
    {
        string[] needed = ["/usr/bin/true", "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"];
        if (needed.FirstOrDefault(f => !File.Exists(f)) is { } missing)
            Assert.Skip($"{missing} is not on this machine");
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        shell.Environment["GRID_HUB"] = real.Hub;
        foreach (var path in needed.Select(n => n.Replace("/usr/bin/true", "/bin/web", StringComparison.Ordinal)))
        {
            Directory.CreateDirectory(Path.GetDirectoryName(shell.PathOf("root" + path))!);
            File.Copy(path == "/bin/web" ? needed[0] : path, shell.PathOf("root" + path));
        }
        foreach (var directory in new[] { "proc", "dev", "sys" })
            Directory.CreateDirectory(shell.PathOf($"root/{directory}"));
        File.WriteAllText(shell.PathOf("root/bin/script"), "#!/bin/no-such-interpreter\n");
        File.SetUnixFileMode(shell.PathOf("root/bin/script"), (UnixFileMode)0b111_101_101);

        var built = await shell.JsonAsync("flist", "build", shell.PathOf("root"));
        var yaml = Draft("files", farm).Replace(Flist, Text(built, "id"), StringComparison.Ordinal);
        Assert.Equal(RefusalCode.FlistIncomplete, await shell.RefusedAsync("plan", shell.Write("grid.yaml", yaml)));
        await shell.JsonAsync("flist", "push", Text(built, "id"));

        Assert.True((await shell.JsonAsync("plan", shell.Write("grid.yaml", yaml)))["filesChecked"]!.GetValue<bool>());
        Assert.Equal(RefusalCode.EntryNotDescribed, await shell.RefusedAsync("plan", shell.Write("grid.yaml", yaml.Replace("/bin/web", "/bin/other", StringComparison.Ordinal))));
        Assert.Equal(RefusalCode.InterpreterNotDescribed, await shell.RefusedAsync("plan", shell.Write("grid.yaml", yaml.Replace("/bin/web", "/bin/script", StringComparison.Ordinal))));

        File.Delete(shell.PathOf("root/lib/x86_64-linux-gnu/libc.so.6"));
        var without = await shell.JsonAsync("flist", "build", shell.PathOf("root"));
        await shell.JsonAsync("flist", "push", Text(without, "id"));
        var (_, _, error) = await shell.RunAsync("plan", shell.Write("grid.yaml", yaml.Replace(Text(built, "id"), Text(without, "id"), StringComparison.Ordinal)));
        Assert.Contains("error[library-not-described]", error, StringComparison.Ordinal);
        Assert.Contains("grid.yaml:8:12", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_flist_is_the_same_here_and_from_the_hub()
    {
        using var shell = new TestShell();
        shell.Environment["GRID_HUB"] = real.Hub;
        Directory.CreateDirectory(shell.PathOf("root/etc"));
        File.WriteAllText(shell.PathOf("root/etc/motd"), "hello\n");
        File.CreateSymbolicLink(shell.PathOf("root/etc/issue"), "motd");
        var id = Text(await shell.JsonAsync("flist", "build", shell.PathOf("root")), "id");
        await shell.JsonAsync("flist", "push", id);
        using var other = new TestShell();
        other.Environment["GRID_HUB"] = real.Hub;

        Assert.Equal((await shell.RunAsync("flist", "tree", id)).Out, (await other.RunAsync("flist", "tree", id)).Out);
        Assert.Equal("hello\n", (await other.RunAsync("flist", "cat", id, "/etc/issue")).Out);
        Assert.Equal(RefusalCode.NotFound, await other.RefusedAsync("flist", "cat", id, "/etc/shadow"));
        Assert.Contains("'/etc/shadow' is not in the flist: there is no such name.", (await other.RunAsync("flist", "cat", id, "/etc/shadow")).Error, StringComparison.Ordinal);
        Assert.Equal("holds", Text(await other.JsonAsync("flist", "verify", id), "verdict"));
        Assert.Empty((await other.JsonAsync("flist", "list"))["items"]!.AsArray());
        await other.JsonAsync("flist", "pull", id);
        other.Environment.Clear();
        Assert.Equal("hello\n", (await other.RunAsync("flist", "cat", id, "/etc/motd")).Out);
        Assert.Equal(RefusalCode.NotFound, await other.RefusedAsync("flist", "show", new FlistId(Digest.Of("x"u8)).ToString()));
    }

    [Fact]
    public async Task What_cannot_be_imported_or_mounted_is_refused_with_what_to_do()
    {
        using var shell = new TestShell();
        Directory.CreateDirectory(shell.PathOf("root"));
        File.WriteAllText(shell.PathOf("root/motd"), "hello\n");
        System.Formats.Tar.TarFile.CreateFromDirectory(shell.PathOf("root"), shell.PathOf("tree.tar"), includeBaseDirectory: false);

        foreach (var tree in new[] { "tree.tar", "root" })
        {
            var (code, _, error) = await shell.RunAsync("flist", "import", shell.PathOf(tree));
            Assert.Equal(Exit.Error, code);
            Assert.Contains("error[bad-image]", error, StringComparison.Ordinal);
            Assert.Contains("grid flist build", error, StringComparison.Ordinal);
        }
        var (_, _, absent) = await shell.RunAsync("flist", "import", "docker.io/library/nginx:1");
        Assert.Contains("error[source-missing]", absent, StringComparison.Ordinal);
        Assert.Contains("skopeo copy docker://IMAGE", absent, StringComparison.Ordinal);
        var id = Text(await shell.JsonAsync("flist", "build", shell.PathOf("tree.tar")), "id");
        Assert.Equal(RefusalCode.NotFound, await shell.RefusedAsync("flist", "mount", id, shell.PathOf("nowhere"), "--hub", real.Hub));
        Assert.Equal(RefusalCode.NotFound, await shell.RefusedAsync("flist", "mount", id, shell.PathOf("tree.tar"), "--hub", real.Hub));
        Assert.Contains("grid flist push", (await shell.RunAsync("flist", "mount", id, shell.PathOf("root"))).Error, StringComparison.Ordinal);
        Assert.Equal(RefusalCode.MutableReference, await shell.RefusedAsync("flist", "mount", "nginx:latest", shell.PathOf("root"), "--hub", real.Hub));
    }

    [Theory]
    [InlineData("flists", "flist", "build", "root")]
    [InlineData("keys", "key", "new", "alice", "--no-passphrase")]
    [InlineData("seen", "ledger", "status")]
    public async Task What_is_made_in_a_home_is_nobody_elses_to_read(string directory, params string[] command)
    {
        using var shell = new TestShell();
        await shell.JsonAsync("ledger", "trust", real.Address, "--yes");
        var key = Text(await shell.JsonAsync("ledger", "status"), "key");
        Directory.CreateDirectory(shell.PathOf("root"));
        var home = shell.PathOf("new/home");

        await shell.JsonAsync([.. command.Select(c => c == "root" ? shell.PathOf(c) : c), "--home", home, "--ledger", real.Address, "--ledger-key", key]);

        const UnixFileMode Own = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Assert.Equal((Own, Own), (File.GetUnixFileMode(home), File.GetUnixFileMode(Path.Combine(home, directory))));
    }

    [Fact]
    public async Task The_pinned_key_is_the_only_one_believed()
    {
        using var shell = new TestShell();
        using var other = Statements.SigningKey.FromSeed(new byte[32]);
        Assert.Equal(RefusalCode.WrongLedger, await shell.RefusedAsync("ledger", "trust", real.Address, "--ledger-key", other.Public.ToString(), "--yes"));
        Assert.Equal(CliCode.NotConfirmed, await shell.RefusedAsync("ledger", "trust", real.Address));
        Assert.Equal(RefusalCode.BadCheckpoint, await shell.RefusedAsync("ledger", "entries", "--ledger", real.Address, "--ledger-key", other.Public.ToString()));
        Assert.Equal(RefusalCode.WrongLedger, await shell.RefusedAsync("ledger", "status", "--ledger", real.Address, "--ledger-key", other.Public.ToString()));
        await shell.JsonAsync("ledger", "trust", real.Address, "--yes");
        Assert.NotEmpty((await shell.JsonAsync("ledger", "entries", "--count", "3"))["items"]!.AsArray());
    }

    private static async Task VerifyOfflineAsync(TestShell shell, NodeVoice node, AgreementId id)
    {
        var bundle = shell.PathOf("hello.bundle");
        await shell.JsonAsync("agreement", "export", "hello", "-f", bundle);
        await node.ReceiptAsync(id, WorkloadState.Running, "still");
        Assert.Equal(2, await EntriesAsync() - await EntriesAsync("--no-receipts"));
        async Task<int> EntriesAsync(params string[] options) =>
            (await shell.JsonAsync(["agreement", "export", "hello", "-f", shell.PathOf($"other{options.Length}.bundle"), .. options]))["entries"]!.GetValue<int>();

        // Nothing is set but the key: no ledger is asked.
        using var stranger = new TestShell();
        var key = (await shell.JsonAsync("ledger", "status"))["key"]!.GetValue<string>();
        var verdict = await stranger.JsonAsync("verify", bundle, "--ledger-key", key);
        Assert.Equal(("holds", id.ToString(), "running"), (Text(verdict, "verdict"), Text(verdict, "agreement"), Text(verdict, "status")));
        // Shortened it is as true as it was, of an earlier moment: the verdict says which.
        var cut = JsonNode.Parse(await File.ReadAllTextAsync(bundle))!;
        cut["entries"]!.AsArray().RemoveAt(cut["entries"]!.AsArray().Count - 1);
        await File.WriteAllTextAsync(stranger.PathOf("cut"), cut.ToJsonString());
        var earlier = await stranger.JsonAsync("verify", stranger.PathOf("cut"), "--ledger-key", key);
        Assert.True(earlier["lastEntry"]!.GetValue<long>() < verdict["lastEntry"]!.GetValue<long>(), $"{earlier}");
        var (_, said, _) = await stranger.RunAsync("verify", stranger.PathOf("cut"), "--ledger-key", key);
        Assert.Contains($"entry {earlier["lastEntry"]} in a log of {earlier["size"]}", said, StringComparison.Ordinal);
        Assert.Contains("left later entries out", said, StringComparison.Ordinal);

        var chance = new Random(5);
        var bytes = await File.ReadAllBytesAsync(bundle);
        for (var i = 0; i < 50; i++)
        {
            var bent = (byte[])bytes.Clone();
            bent[chance.Next(bent.Length)] ^= (byte)(1 << chance.Next(8));
            await File.WriteAllBytesAsync(stranger.PathOf("bent"), bent);
            var (code, text, _) = await stranger.RunAsync("verify", stranger.PathOf("bent"), "--ledger-key", key, "-o", "json");
            // It may be the same bundle in other letters, and nothing else that holds.
            var same = BundleJson.TryParse(bent, out var read, out _) && BundleJson.Format(read).AsSpan().SequenceEqual(bytes);
            Assert.True(code == (same ? Exit.Ok : Exit.Negative), text);
        }
    }

    private static async Task AmendAsync(TestShell shell, NodeVoice node, AgreementId id, string yaml)
    {
        await File.WriteAllTextAsync(yaml, (await File.ReadAllTextAsync(yaml)).Replace("cpu: 0.5", "cpu: 1", StringComparison.Ordinal));
        var plan = await shell.JsonAsync("plan", yaml);
        Assert.Equal(["~ workloads.web.cpu"], plan["changes"]!.AsArray().Where(c => Text(c!, "path").StartsWith("workloads", StringComparison.Ordinal)).Select(c => $"{Text(c!, "sign")} {Text(c!, "path")}"));
        await shell.JsonAsync("apply", yaml, "--plan", Text(plan, "plan"), "--yes", "--no-wait");
        await File.WriteAllTextAsync(yaml, (await File.ReadAllTextAsync(yaml)).Replace("cpu: 1", "cpu: 2", StringComparison.Ordinal));
        Assert.Equal(RefusalCode.Conflict, await shell.RefusedAsync("plan", yaml));
        Assert.Equal(["agreement.amendment-dropped"], Texts((await shell.JsonAsync("cancel", "hello", "--amendment", "--yes"))["events"]!));
        await shell.JsonAsync("apply", yaml, "--yes", "--no-wait");
        await shell.JsonAsync("agreement", "sign", "hello", "--account", "farmer", "--yes");
        await node.ReadyAsync(id);
        await node.ReceiptAsync(id, WorkloadState.Running);
        var status = await shell.JsonAsync("status", "hello");
        Assert.Equal((2, "running"), (status["version"]!.GetValue<int>(), Text(status, "status")));
        Assert.Equal(Exit.Ok, (await shell.RunAsync("plan", yaml)).Code);
    }

    private async Task<(string Farm, NodeVoice Node)> PartiesAsync(TestShell shell, bool node = true, string offer = Offer)
    {
        var farm = $"farm-{Environment.ProcessId}-{Interlocked.Increment(ref _count)}";
        await shell.JsonAsync("ledger", "trust", real.Address, "--yes");
        await shell.JsonAsync("key", "new", "alice", "--no-passphrase");
        await shell.JsonAsync("key", "new", "farmer", "--no-passphrase");
        await shell.JsonAsync("account", "open", "alice");
        await shell.JsonAsync("account", "open", "farmer");
        shell.Environment["GRID_ACCOUNT"] = "alice";
        await shell.JsonAsync("farm", "register", farm, "--account", "farmer");
        await shell.JsonAsync("offer", "post", farm, "-f", shell.Write("offer.yaml", offer), "--account", "farmer");
        await shell.JsonAsync("node", "invite", farm, "-f", shell.PathOf("invite.json"), "--account", "farmer");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(shell.PathOf("invite.json")));
        return (farm, node ? await NodeVoice.JoinAsync(shell.PathOf("invite.json")) : null!);
    }

    private const string Offer = """
        currency: { code: EUR, decimals: 9 }
        prices: { cpu: 3, memory: 7000 }
        kinds: [container]
        ceiling: { cpu: 2, memory: 1GiB }
        notice: 1h
        """;

    private static string Draft(string name, string node) => $$"""
        name: {{name}}
        node: {{node}}
        term: { until: +24h }
        workloads:
          web:
            kind: container
            flist: {{Flist}}
            entry: /bin/web
            cpu: 0.5
            memory: 64MiB

        """;

    private static string Text(JsonNode node, string name) => node[name]!.GetValue<string>();

    private static string[] Texts(JsonNode node) => [.. node.AsArray().Select(n => n!.GetValue<string>())];

    /// <summary>Somebody's clock, by so much ahead of the ledger's.</summary>
    private sealed class Ahead(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + by;
    }
}
