using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Units;

namespace Grid.Cli.Tests;

/// <summary>Whole journeys of user and farmer by the commands they type.</summary>
public sealed class JourneyTests(RealLedger real) : Journeys(real)
{
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
    public async Task The_pinned_key_is_the_only_one_believed()
    {
        using var shell = new TestShell();
        using var other = Statements.SigningKey.FromSeed(new byte[32]);
        Assert.Equal(RefusalCode.WrongLedger, await shell.RefusedAsync("ledger", "trust", Real.Address, "--ledger-key", other.Public.ToString(), "--yes"));
        Assert.Equal(CliCode.NotConfirmed, await shell.RefusedAsync("ledger", "trust", Real.Address));
        Assert.Equal(RefusalCode.BadCheckpoint, await shell.RefusedAsync("ledger", "entries", "--ledger", Real.Address, "--ledger-key", other.Public.ToString()));
        Assert.Equal(RefusalCode.WrongLedger, await shell.RefusedAsync("ledger", "status", "--ledger", Real.Address, "--ledger-key", other.Public.ToString()));
        await shell.JsonAsync("ledger", "trust", Real.Address, "--yes");
        Assert.NotEmpty((await shell.JsonAsync("ledger", "entries", "--count", "3"))["items"]!.AsArray());
    }

    [Fact]
    public async Task What_of_the_log_is_left_out_is_said_with_how_to_go_on()
    {
        using var shell = new TestShell();
        await shell.JsonAsync("ledger", "trust", Real.Address, "--yes");
        await shell.JsonAsync("key", "new", "alice", "--no-passphrase");
        await shell.JsonAsync("account", "open", "alice");
        var size = (await shell.JsonAsync("ledger", "status"))["size"]!.GetValue<long>();

        var first = await shell.JsonAsync("ledger", "entries", "--count", "1");
        Assert.Equal((1, "1"), (first["items"]!.AsArray().Count, Text(first, "next")));
        Assert.Matches(@"\n\d+ more follows?; go on with --from 1\n$", (await shell.RunAsync("ledger", "entries", "--count", "1")).Out);

        // The ledger is others' as well, and grows: its end is where nothing is left out.
        string[] rest = ["--from", $"{size - 1}", "--count", "10000"];
        var last = await shell.JsonAsync(["ledger", "entries", .. rest]);
        Assert.Equal((size - 1, null), (last["items"]![0]!["index"]!.GetValue<long>(), last["next"]));
        Assert.DoesNotContain("more follow", (await shell.RunAsync(["ledger", "entries", .. rest])).Out, StringComparison.Ordinal);
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
}
