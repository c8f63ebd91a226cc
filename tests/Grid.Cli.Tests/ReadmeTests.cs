using System.CommandLine;
using System.CommandLine.Parsing;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Grid.Agreements;
using Grid.Cli.Drafts;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Cli.Tests;

/// <summary>What the README and the program's own hints tell a person to write is what the program reads.</summary>
public sealed partial class ReadmeTests
{
    private static readonly string Root = RootOf();
    private static readonly string Readme = File.ReadAllText(Path.Combine(Root, "README.md"));

    public static TheoryData<string> Drafts => [.. Draft().Matches(Readme).Select(m => m.Groups["text"].Value)];

    public static TheoryData<string> Commands => [.. Lines().Concat(Spans()).Concat(Hints()).Distinct()];

    [Fact]
    public void There_is_something_to_read()
    {
        Assert.Equal(2, Drafts.Count);
        Assert.Contains("grid up --example three-tier --once", Lines().Concat(Spans()));
        Assert.Contains("grid ledger audit --from-start", Spans());
        Assert.True(Spans().Count() > 25 && Hints().Count() > 25);
    }

    [Theory]
    [MemberData(nameof(Drafts))]
    public void A_draft_in_the_README_is_read_and_kept_to_the_rules(string text)
    {
        var draft = DraftReader.Read(text.Replace("fl1…", new FlistId(Digest.Of("flist"u8)).ToString(), StringComparison.Ordinal), out var faults);

        Assert.Empty(faults.Select(f => $"{f.At} {f.Refusal}"));
        Assert.Empty(AgreementRules.Check(DraftTests.Terms(draft!)));
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void A_command_that_is_shown_exists(string line) => Assert.Empty(Wrong(line));

    [Theory]
    [InlineData("grid key")]
    [InlineData("grid stats hello")]
    [InlineData("grid status --wach")]
    [InlineData("grid status --tail 20")]
    [InlineData("grid logs hello/web --tail")]
    [InlineData("grid logs hello/web --tail many")]
    [InlineData("grid logs hello/web hello/database")]
    [InlineData("grid status -o xml")]
    public void A_command_that_does_not_exist_would_be_found(string line) => Assert.NotEmpty(Wrong(line));

    private static IEnumerable<string> Wrong(string line)
    {
        using var input = new StringReader("");
        var root = CommandLine.Root(new Frame(new Shell(input, TextWriter.Null, TextWriter.Null, new Terminal(false, false, false, 100, _ => null), _ => null, TimeProvider.System, n => new byte[n], _ => throw new InvalidOperationException()), new Options()));
        var parsed = root.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).ToArray());
        return
        [
            .. parsed.UnmatchedTokens,
            .. parsed.Tokens.Where(t => t.Type == TokenType.Argument && t.Value.StartsWith('-')).Select(t => t.Value),
            .. parsed.CommandResult.Command.Subcommands.Count > 0 && !parsed.Tokens.Any(t => t.Value == "--version") ? (string[])["it names no verb"] : [],
            // What the verb needs may go without saying; what is said must be possible.
            .. parsed.Errors.Where(e => e.SymbolResult is not (ArgumentResult { Tokens.Count: 0, Parent: CommandResult } or OptionResult { IdentifierToken: null } or CommandResult)).Select(e => e.Message),
        ];
    }

    /// <summary>Whole lines of the README's blocks for the shell.</summary>
    private static IEnumerable<string> Lines() =>
        Shell().Matches(Readme).SelectMany(m => m.Groups["text"].Value.Split('\n')).Select(l => Plain(l.Split('#')[0])).Where(IsGrid);

    /// <summary>Commands within the README's lines; an option that stands alone is one of the command before it.</summary>
    private static IEnumerable<string> Spans()
    {
        foreach (var line in Readme.Split('\n'))
        {
            var last = "";
            foreach (var span in Code().Matches(line).Select(m => Plain(m.Groups["text"].Value)))
            {
                if (IsGrid(span))
                    yield return last = span;
                else if (last.Length > 0 && span.StartsWith("--", StringComparison.Ordinal))
                    yield return $"{last} {span}";
            }
        }
    }

    /// <summary>What the program itself says to do next.</summary>
    private static IEnumerable<string> Hints() => Directory.EnumerateFiles(Path.Combine(Root, "src"), "*.cs", SearchOption.AllDirectories)
        .SelectMany(f => Hint().Matches(File.ReadAllText(f))).Select(m => m.Groups["text"].Value)
        // A verb that is put in when it is said is not known here.
        .Where(t => !Open().IsMatch(t)).Select(t => Hole().Replace(t, "X"));

    private static bool IsGrid(string line) => line.StartsWith("grid ", StringComparison.Ordinal);

    // Alternatives are the first of them, and what may be left out is there.
    private static string Plain(string line) => Alternative().Replace(line.Replace("tools/up", "grid up", StringComparison.Ordinal), "").Replace("[", "", StringComparison.Ordinal).Replace("]", "", StringComparison.Ordinal).Trim();

    private static string RootOf([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", ".."));

    [GeneratedRegex("^```yaml\n(?<text>.*?)^```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Draft();

    [GeneratedRegex("^```sh\n(?<text>.*?)^```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Shell();

    [GeneratedRegex("(?<!`)`(?<text>[^`]+)`(?!`)")]
    private static partial Regex Code();

    [GeneratedRegex("'(?<text>grid [^'\"]+)'")]
    private static partial Regex Hint();

    [GeneratedRegex(@"^grid \{|^grid \w+ \{what\}")]
    private static partial Regex Open();

    [GeneratedRegex(@"\{[^}]*\}")]
    private static partial Regex Hole();

    [GeneratedRegex(@"(\|\S+)")]
    private static partial Regex Alternative();
}
