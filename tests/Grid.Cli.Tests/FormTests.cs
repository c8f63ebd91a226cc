using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Cli.Yaml;
using Grid.Units;

namespace Grid.Cli.Tests;

/// <summary>Whatever reads says what it found in every form; what has no other form says that, and never something else in its place.</summary>
public sealed class FormTests(RealLedger real) : Journeys(real)
{
    [Fact]
    public async Task Every_command_that_reads_says_the_same_as_json_and_as_yaml()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var id = Id.Parse<AgreementId>(Text(await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("formed", farm)), "--yes", "--no-wait"), "agreement"));
        await shell.JsonAsync("agreement", "sign", "formed", "--account", "farmer", "--yes");
        await node.ReadyAsync(id);
        await node.ReceiptAsync(id, WorkloadState.Running, "yes: no # '007'");
        Directory.CreateDirectory(shell.PathOf("root"));
        File.WriteAllText(shell.PathOf("root/motd"), "hello\n");
        var flist = Text(await shell.JsonAsync("flist", "build", shell.PathOf("root")), "id");
        var offer = Text(await shell.JsonAsync("offer", "post", farm, "-f", shell.Write("other.yaml", Offer.Replace("notice: 1h", "notice: 2h", StringComparison.Ordinal)), "--account", "farmer"), "id");

        string[] After(string command) => command.Split(' ') switch
        {
            [.., "agreement", "show" or "status" or "history"] or ["status"] => ["formed"],
            [.., "explain"] => ["formed/web"],
            ["offer", "show"] => [offer],
            ["node", "show" or "status"] => [node.Id.ToString()],
            ["farm", "show"] => [farm],
            ["key" or "account", "show"] => ["alice"],
            ["flist", "show" or "ls" or "tree"] => [flist],
            _ => [],
        };
        var walked = 0;
        foreach (var command in Reading())
        {
            string[] words = [.. command.Split(' '), .. After(command)];
            // The ledger is others' as well: what it says of two moments can be compared when nothing happened between them.
            var (before, json, yaml) = ("", await shell.JsonAsync(words), "");
            for (var looks = 0; before != json.ToJsonString(); looks++)
            {
                Assert.True(looks < 20, $"{command} never says the same twice: {json}");
                (var code, yaml, var error) = await shell.RunAsync([.. words, "-o", "yaml"]);
                Assert.Equal((Exit.Ok, "", command), (code, error, command));
                (before, json) = (json.ToJsonString(), await shell.JsonAsync(words));
            }
            var read = YamlText.Read(yaml, out var fault);
            Assert.True(read is not null, $"{command}: {fault}");
            Assert.Null(Different(json, read, command));
            walked++;
        }
        Assert.True(walked >= 25, $"{walked}");
    }

    [Fact]
    public async Task Ids_are_completed_from_the_ledger_and_from_one_that_is_away_nothing_is()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var agreement = Text(await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("begun", farm)), "--yes", "--no-wait"), "agreement");
        var offer = Text(await shell.JsonAsync("offer", "post", farm, "-f", shell.Write("other.yaml", Offer.Replace("notice: 1h", "notice: 3h", StringComparison.Ordinal)), "--account", "farmer"), "id");
        (string Begun, string Id)[] lines = [("grid agreement show agr1", agreement), ("grid node show node1", node.Id.ToString()), ("grid offer show offer1", offer), ($"grid farm show {farm[..^1]}", farm)];
        foreach (var (line, id) in lines)
        {
            var (code, text, error) = await shell.RunAsync($"[suggest:{line.Length}]", line);
            Assert.Equal((Exit.Ok, ""), (code, error));
            Assert.Contains(id, text.Split('\n'));
        }
        // The ledger that is trusted, out of reach.
        shell.Environment["GRID_LEDGER"] = "http://127.0.0.1:1";
        foreach (var (line, _) in lines)
            Assert.Equal((line, Exit.Ok, "\n", ""), await shell.RunAsync($"[suggest:{line.Length}]", line) is var (code, text, error) ? (line, code, text, error) : default);
    }

    [Fact]
    public async Task What_has_no_other_form_refuses_to_be_asked_for_one()
    {
        using var shell = new TestShell();
        Directory.CreateDirectory(shell.PathOf("root"));
        File.WriteAllText(shell.PathOf("root/motd"), "hello\n");
        var flist = Text(await shell.JsonAsync("flist", "build", shell.PathOf("root")), "id");
        foreach (var form in (string[])["json", "yaml"])
        {
            foreach (var words in (string[][])[["flist", "cat", flist, "/motd"], ["agreement", "export", "hello", "-f", "-"]])
            {
                var (code, text, error) = await shell.RunAsync([.. words, "-o", form]);
                Assert.Equal((Exit.Usage, ""), (code, text));
                Assert.Contains("has no other form", error, StringComparison.Ordinal);
            }
        }
        Assert.Equal("hello\n", (await shell.RunAsync("flist", "cat", flist, "/motd", "-o", "table")).Out);
    }

    [Fact]
    public async Task A_completion_script_is_a_field_of_a_document()
    {
        using var shell = new TestShell();
        foreach (var name in (string[])["bash", "zsh", "fish"])
        {
            var script = (await shell.RunAsync("completion", name)).Out;
            var json = await shell.JsonAsync("completion", name);
            Assert.Equal((name, script), (Text(json, "shell"), Text(json, "script")));
            Assert.Null(Different(json, YamlText.Read((await shell.RunAsync("completion", name, "-o", "yaml")).Out, out _)!, name));
        }
    }

    private static IEnumerable<string> Reading()
    {
        var frame = new Frame(new Shell(TextReader.Null, TextWriter.Null, TextWriter.Null, new Terminal(false, false, false, 100, _ => null), _ => null, TimeProvider.System, n => new byte[n], _ => throw new InvalidOperationException()), new Options());
        static IEnumerable<string> Walk(Command command, string path) =>
            (command.Options.Any(o => o.Name == "--watch") ? [path] : Array.Empty<string>()).Concat(command.Subcommands.SelectMany(c => Walk(c, $"{path} {c.Name}".Trim())));
        return Walk(CommandLine.Root(frame), "");
    }

    /// <returns>where they differ; null for nowhere</returns>
    private static string? Different(JsonNode? json, YamlNode yaml, string at) => (json, yaml) switch
    {
        (JsonObject fields, YamlNode.Mapping mapping) => fields.Select(f => f.Key).SequenceEqual(mapping.Entries.Select(e => e.Key.Text))
            ? fields.Zip(mapping.Entries).Select(p => Different(p.First.Value, p.Second.Value, $"{at}.{p.First.Key}")).FirstOrDefault(d => d is not null) : at,
        (JsonArray items, YamlNode.Sequence sequence) => items.Count == sequence.Items.Length
            ? items.Zip(sequence.Items).Select((p, i) => Different(p.First, p.Second, $"{at}[{i}]")).FirstOrDefault(d => d is not null) : at,
        (null, YamlNode.Scalar { Text: "null" }) => null,
        (JsonValue value, YamlNode.Scalar scalar) => (value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : value.ToJsonString()) == scalar.Text ? null : $"{at}: {value} and {scalar.Text}",
        _ => at,
    };
}
