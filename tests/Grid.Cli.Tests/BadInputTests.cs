using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Tests;

public sealed class BadInputTests
{
    private static readonly string Agreement = new AgreementId(Digest.Of("a"u8)).ToString();

    [Theory]
    [InlineData("nonsense")]
    [InlineData("key")]
    [InlineData("key", "new")]
    [InlineData("key", "new", "a", "b")]
    [InlineData("apply", "--nope")]
    [InlineData("status", "-o", "xml")]
    [InlineData("apply", "--plan")]
    [InlineData("account", "open", "x", "--threshold", "many")]
    [InlineData("agreement", "list", "--limit", "x")]
    [InlineData("flist", "ls")]
    [InlineData("verify")]
    [InlineData("up", "--example", "nine-tier")]
    public async Task A_wrong_command_line_exits_2_and_says_where_help_is(params string[] args)
    {
        using var shell = new TestShell();

        var (code, text, error) = await shell.RunAsync(args);

        Assert.Equal((Exit.Usage, ""), (code, text));
        Assert.Contains("error[usage]", error, StringComparison.Ordinal);
        Assert.Contains("--help'", error, StringComparison.Ordinal);
        Assert.DoesNotContain("\\x", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("plan", "--nope")]
    [InlineData("plan", "a", "b")]
    [InlineData("plan", "-o", "xml")]
    [InlineData("agreement", "plan", "--nope")]
    public async Task A_wrong_command_line_of_plan_exits_255_as_all_its_errors_do(params string[] args)
    {
        using var shell = new TestShell();

        var (code, text, error) = await shell.RunAsync(args);

        Assert.Equal((Exit.Error, ""), (code, text));
        Assert.Contains("error[usage]", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(CliCode.LedgerNotSet, "farm", "list")]
    [InlineData(CliCode.LedgerNotSet, "plan")]
    [InlineData(CliCode.LedgerNotSet, "agreement", "show", "hello")]
    [InlineData(CliCode.LedgerNotSet, "flist", "push", "fl1xhjt7x4hc4q9s93snv94kskhmkp2vua2dcfeyf5cr4pa5v6x60jsqrfrfv")]
    [InlineData(CliCode.ConfigInvalid, "farm", "list", "--ledger", "ftp://x")]
    [InlineData(CliCode.ConfigInvalid, "farm", "list", "--ledger", "not an address")]
    [InlineData(CliCode.LedgerNotPinned, "farm", "list", "--ledger", "http://127.0.0.1:1")]
    [InlineData(CliCode.ConfigInvalid, "farm", "list", "--ledger", "http://127.0.0.1:1", "--ledger-key", "key1wrong")]
    [InlineData(CliCode.LedgerUnreachable, "ledger", "trust", "http://127.0.0.1:1")]
    [InlineData(RefusalCode.NameInvalid, "key", "new", "../../etc/passwd", "--no-passphrase")]
    [InlineData(RefusalCode.NameInvalid, "key", "show", "A")]
    [InlineData(RefusalCode.NameInvalid, "farm", "register", "x")]
    [InlineData(CliCode.KeyUnknown, "key", "show", "nobody")]
    [InlineData(CliCode.KeyFileInvalid, "key", "import", "x", "-f", "/etc/hostname")]
    [InlineData(CliCode.LedgerNotPinned, "verify", "/nowhere")]
    [InlineData(RefusalCode.MutableReference, "flist", "show", "debian:12")]
    [InlineData(CliCode.Usage, "flist", "show", "fl1xhjt")]
    [InlineData("source-missing", "flist", "build", "/nowhere/at/all")]
    [InlineData("not-an-archive", "flist", "build", "/etc/hostname")]
    [InlineData(RefusalCode.NotFound, "flist", "unmount", "/")]
    [InlineData(CliCode.Usage, "logs", "x", "--since", "yesterday")]
    [InlineData(CliCode.Usage, "ledger", "entries", "--count", "0")]
    [InlineData(CliCode.Usage, "ledger", "proof", "st1x")]
    [InlineData(CliCode.Usage, "node", "invite", "farm", "-f", "/tmp/x", "--expires", "soon")]
    [InlineData(CliCode.FileUnreadable, "offer", "post", "farm", "-f", "/nowhere")]
    [InlineData(CliCode.Usage, "apply", "--timeout", "x")]
    [InlineData(CliCode.ConfigInvalid, "status", "--home", "/etc/passwd")]
    [InlineData(RefusalCode.NotFound, "status", "--account", "nobody")]
    [InlineData(CliCode.Usage, "logs", "x", "--tail", "-1")]
    [InlineData(CliCode.Usage, "ledger", "entries", "--from", "-1")]
    [InlineData(CliCode.Usage, "cancel", "x", "--at", "soon")]
    public async Task What_cannot_be_done_exits_255_with_a_code_and_2_for_a_wrong_command_line(string code, params string[] args)
    {
        using var shell = new TestShell();

        Assert.Equal(code, await shell.RefusedAsync(args));
    }

    [Theory]
    [InlineData("'--tail' cannot be 'x'; it is a whole number.", "logs", "a", "--tail", "x")]
    [InlineData("'--threshold' cannot be 'many'; it is a whole number.", "account", "open", "a", "--threshold", "many")]
    [InlineData("'--from' cannot be '9999999999999999999'; it is a whole number.", "ledger", "entries", "--from", "9999999999999999999")]
    public async Task A_value_that_is_none_is_told_in_words(string said, params string[] args)
    {
        using var shell = new TestShell();

        var (code, _, error) = await shell.RunAsync(args);

        Assert.Equal(Exit.Usage, code);
        Assert.Contains(said, error, StringComparison.Ordinal);
        Assert.DoesNotContain("System.", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wrong_configuration_is_told_with_its_places()
    {
        using var shell = new TestShell();
        shell.Write("config.yaml", "ledger: http://127.0.0.1:1\nledgerkey: x\nhub: [1]\n");

        var (code, _, error) = await shell.RunAsync("farm", "list");

        Assert.Equal(Exit.Error, code);
        Assert.Contains("config.yaml:2:1: The configuration has no field 'ledgerkey'.", error, StringComparison.Ordinal);
        Assert.Contains("config.yaml:3:6", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_file_gives_way_to_the_environment_and_that_to_the_command_line()
    {
        using var shell = new TestShell();
        using var key = SigningKey.FromSeed(new byte[32]);
        shell.Write("config.yaml", $"ledger: http://127.0.0.1:1/file\nledgerKey: {key.Public}\norigin: grid.test/main\n");
        Assert.Contains("/file/", (await shell.RunAsync("farm", "list")).Error, StringComparison.Ordinal);
        shell.Environment["GRID_LEDGER"] = "http://127.0.0.1:1/environment";
        Assert.Contains("/environment/", (await shell.RunAsync("farm", "list")).Error, StringComparison.Ordinal);
        Assert.Contains("/flag/", (await shell.RunAsync("farm", "list", "--ledger", "http://127.0.0.1:1/flag")).Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("[]")]
    [InlineData("""{"version":1,"origin":"x","surprise":2}""")]
    [InlineData("""{"version":9}""")]
    [InlineData("""{"version":1,"origin":"x","agreement":"agr1x","checkpoint":"","entries":[]}""")]
    public async Task A_bundle_that_is_none_does_not_hold(string content)
    {
        using var shell = new TestShell();
        using var key = SigningKey.FromSeed(new byte[32]);

        var (code, text, _) = await shell.RunAsync("verify", shell.Write("bundle", content), "--ledger-key", key.Public.ToString(), "-o", "json");

        Assert.Equal(Exit.Negative, code);
        Assert.Contains("does-not-hold", text, StringComparison.Ordinal);
        foreach (var leak in new[] { "isFinalBlock", "Path: $", ".NET", "BundleDocument" })
            Assert.DoesNotContain(leak, text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("not json")]
    [InlineData("{}")]
    [InlineData("""{"version":7,"accounts":{},"nodes":{},"offers":{},"agreements":{}}""")]
    public async Task A_damaged_address_book_is_said_to_be_so(string content)
    {
        using var shell = new TestShell();
        shell.Write("book.json", content);

        Assert.Equal(CliCode.ConfigInvalid, await shell.RefusedAsync("account", "list"));
        Assert.DoesNotContain("Path: $", (await shell.RunAsync("account", "list")).Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("bash")]
    [InlineData("zsh")]
    [InlineData("fish")]
    public async Task Completion_scripts_are_what_their_shell_reads(string name)
    {
        using var shell = new TestShell();
        var (code, text, _) = await shell.RunAsync("completion", name);
        Assert.Equal(Exit.Ok, code);
        TestShell.IsGolden($"completion.{name}", text);
        if (!File.Exists($"/bin/{name}") && !File.Exists($"/usr/bin/{name}"))
            Assert.Skip($"{name} is not installed, so its syntax was not checked");
        using var check = System.Diagnostics.Process.Start(name, ["-n", shell.Write("script", text)]);
        await check.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, check.ExitCode);
    }

    [Fact]
    public async Task Completion_knows_verbs_options_and_local_names_and_never_fails()
    {
        using var shell = new TestShell();
        await shell.JsonAsync("key", "new", "alice", "--no-passphrase");
        async Task<string[]> Suggest(string line) => (await shell.RunAsync($"[suggest:{line.Length}]", line)).Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Contains("agreement", await Suggest("grid ag"));
        Assert.Contains("countersign", await Suggest("grid agreement co"));
        Assert.Equal(["alice"], (await Suggest("grid key show al")).Where(w => w == "alice"));
        shell.Environment["GRID_LEDGER"] = "http://127.0.0.1:1";
        // With no key to believe it by, and nobody there to ask.
        var line = $"grid agreement show {Agreement[..6]}";
        Assert.Equal((Exit.Ok, "\n", ""), await shell.RunAsync($"[suggest:{line.Length}]", line));
    }
}
