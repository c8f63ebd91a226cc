using System.Text.Json.Nodes;
using Grid.Cli.Commands;
using Grid.Cli.Output;
using Grid.Cli.Yaml;
using Grid.Offers;
using Grid.Units;

namespace Grid.Cli.Tests;

public sealed class OutputTests
{
    [Fact]
    public void A_table_is_aligned_and_never_wrapped()
    {
        var text = new StringWriter { NewLine = "\n" };
        var id = new AgreementId(Digest.Of("a"u8)).ToString();

        new Page(text, colour: false).Write([new Block.Table(["name", "agreement", "status"], [["web", id, "running"], ["a-longer-name", "agr1x", (Cell)"ended"]])]);

        Assert.Equal($"NAME           AGREEMENT{new string(' ', id.Length - 9)}  STATUS\nweb            {id}  running\na-longer-name  agr1x{new string(' ', id.Length - 5)}  ended\n", text.ToString());
    }

    [Fact]
    public void Text_from_elsewhere_cannot_reach_the_terminal()
    {
        var text = new StringWriter { NewLine = "\n" };

        new Page(text, colour: true).Write([Block.Line("\e[2Jgone\r\a")]);

        Assert.Equal("\\x1b[2Jgone\\x0d\\x07\n", text.ToString());
    }

    [Fact]
    public void A_tab_is_shown_as_it_is_where_it_moves_no_column()
    {
        var text = new StringWriter { NewLine = "\n" };

        new Page(text, colour: false).Write([Block.Line("a\tb\v"), new Block.Table(["name"], [["a\tb"]])]);

        Assert.Equal("a\tb\\x0b\n\nNAME\na\\x09b\n", text.ToString());
    }

    [Fact]
    public void Json_and_yaml_say_the_same()
    {
        var document = new JsonObject
        {
            ["name"] = "web",
            ["count"] = 3,
            ["right"] = true,
            ["nothing"] = null,
            ["empty"] = new JsonArray(),
            ["fields"] = new JsonObject(),
            ["digits"] = "007",
            ["truth"] = "yes",
            ["items"] = new JsonArray(new JsonObject { ["key"] = "a: b", ["text"] = "two\nlines" }),
            ["dash"] = "- x",
            ["hash"] = "# y",
        };

        Assert.Equal("{\"name\":\"web\",\"count\":3,\"right\":true,\"nothing\":null,\"empty\":[],\"fields\":{},\"digits\":\"007\",\"truth\":\"yes\","
            + "\"items\":[{\"key\":\"a: b\",\"text\":\"two\\nlines\"}],\"dash\":\"- x\",\"hash\":\"# y\"}", Document.Json(document, oneLine: true));
        TestShell.IsGolden("document.yaml", Document.Yaml(document) + "\n");
        Assert.IsType<YamlNode.Mapping>(YamlText.Read(Document.Yaml(document), out _));
    }

    [Theory]
    [InlineData(0, 9, "0 EUR")]
    [InlineData(1, 9, "0.000000001 EUR")]
    [InlineData(1_500_000_000, 9, "1.5 EUR")]
    [InlineData(12, 0, "12 EUR")]
    [InlineData(1200, 2, "12 EUR")]
    public void Money_is_written_exactly(long units, int decimals, string text) => Assert.Equal(text, Render.Amount(new Money(units), new Currency("EUR", decimals)));

    [Fact]
    public async Task Errors_are_objects_when_asked_for_and_sentences_when_not()
    {
        using var shell = new TestShell();
        TestShell.IsGolden("error.txt", (await shell.RunAsync("key", "show", "bob")).Error.Replace(shell.Home, "HOME", StringComparison.Ordinal));
        TestShell.IsGolden("error.json", (await shell.RunAsync("key", "show", "bob", "-o", "json")).Error.Replace(shell.Home, "HOME", StringComparison.Ordinal));
        TestShell.IsGolden("error.yaml", (await shell.RunAsync("key", "show", "bob", "-o", "yaml")).Error.Replace(shell.Home, "HOME", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Colour_is_for_terminals_that_want_it()
    {
        using var shell = new TestShell { IsTerminal = true };
        Assert.Contains("\e[31m", (await shell.RunAsync("key", "show", "bob")).Error, StringComparison.Ordinal);
        Assert.DoesNotContain("\e[", (await shell.RunAsync("key", "show", "bob", "--no-color")).Error, StringComparison.Ordinal);
        shell.Environment["NO_COLOR"] = "1";
        Assert.DoesNotContain("\e[", (await shell.RunAsync("key", "show", "bob")).Error, StringComparison.Ordinal);
    }
}

/// <summary>What a watched command sends to a terminal, and what to anything else.</summary>
public sealed class WatchTests(RealLedger real)
{
    [Fact]
    public async Task A_terminal_is_painted_over_without_being_cleared_and_keeps_its_lines_whole()
    {
        var text = await WatchAsync(terminal: true, "NAME", "--no-color");
        var first = text.IndexOf("\e[H\e[2J", StringComparison.Ordinal);
        Assert.Equal("\e[?7l", text[..first]);
        Assert.Equal(first, text.LastIndexOf("\e[2J", StringComparison.Ordinal) - 3);
        Assert.Contains("\e[K\n", text, StringComparison.Ordinal);
        Assert.EndsWith("\e[?7h", text, StringComparison.Ordinal);
        Assert.DoesNotMatch("\e\\[[0-9;]*m", text);
        Assert.Matches("\e\\[2m", await WatchAsync(terminal: true, "NAME"));
    }

    [Fact]
    public async Task A_file_gets_no_control_codes() => Assert.DoesNotContain('\e', await WatchAsync(terminal: false, "NAME"));

    [Theory]
    [InlineData(true, "table")]
    [InlineData(false, "table")]
    [InlineData(false, "json")]
    public async Task What_does_not_answer_for_a_while_is_said_and_watched_on(bool terminal, string form)
    {
        using var shell = new TestShell();
        var (before, after) = ($"before-{Guid.NewGuid():n}"[..30], $"after-{Guid.NewGuid():n}"[..30]);
        await shell.JsonAsync("ledger", "trust", real.Address, "--yes");
        await shell.JsonAsync("key", "new", "alice", "--no-passphrase");
        await shell.JsonAsync("account", "open", "alice");
        await shell.JsonAsync("farm", "register", before, "--account", "alice");
        shell.IsTerminal = terminal;
        using var person = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var (screen, other) = (new Screen(), new Screen());
        var watching = shell.RunAsync(screen, other, person.Token, ["farm", "list", "--watch", "-o", form]);
        await screen.ShowsAsync(before);

        shell.IsAlone = true;
        var said = terminal ? screen : other;
        await said.ShowsAsync("ledger-unreachable");
        if (terminal)
        {
            // With what was seen last below it, and no less of it than before.
            await screen.ShowsAsync("\e[J", after: "ledger-unreachable");
            Assert.Contains(before, screen.ToString().Split("ledger-unreachable")[1], StringComparison.Ordinal);
        }
        shell.IsAlone = false;
        await shell.JsonAsync("farm", "register", after, "--account", "alice");
        await screen.ShowsAsync(after);
        await person.CancelAsync();
        Assert.Equal(Exit.Ok, (await watching).Code);
    }

    [Fact]
    public async Task What_never_answered_is_not_waited_for()
    {
        using var shell = new TestShell { IsAlone = true };
        using var key = Statements.SigningKey.FromSeed(new byte[32]);
        shell.Environment["GRID_LEDGER"] = real.Address;
        shell.Environment["GRID_LEDGER_KEY"] = key.Public.ToString();
        Assert.Equal(CliCode.LedgerUnreachable, await shell.RefusedAsync("farm", "list", "--watch"));
    }

    private async Task<string> WatchAsync(bool terminal, string until, params string[] options)
    {
        using var shell = new TestShell();
        await shell.JsonAsync("ledger", "trust", real.Address, "--yes");
        await shell.JsonAsync("key", "new", "alice", "--no-passphrase");
        await shell.JsonAsync("account", "open", "alice");
        await shell.JsonAsync("farm", "register", $"watched-{Guid.NewGuid():n}"[..30], "--account", "alice");
        shell.IsTerminal = terminal;
        using var person = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var screen = new Screen();
        var watching = shell.RunAsync(screen, person.Token, ["farm", "list", "--watch", .. options]);
        await screen.ShowsAsync(until);
        await person.CancelAsync();
        var (code, text, error) = await watching;
        Assert.Equal((Exit.Ok, ""), (code, error));
        return text;
    }
}
