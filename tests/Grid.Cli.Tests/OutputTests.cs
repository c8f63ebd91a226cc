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
