using System.Text.RegularExpressions;

namespace Grid.Hub.Tests;

/// <summary>What a program says of its options, read back: each with the value it takes, what it is for, and what holds without it.</summary>
internal static partial class HelpText
{
    /// <summary>All programs' help: nothing is wider than a terminal, every option the program reads is there once and says what holds without it.</summary>
    /// <param name="names">what the program's own reader knows</param>
    /// <returns>the defaults that stand there as they would be typed</returns>
    public static IReadOnlyList<(string Name, string Value)> Check(string help, IEnumerable<string> names)
    {
        Assert.DoesNotContain(help.Split('\n'), l => l.Length > 100 || l.EndsWith(' '));
        var options = Option().Matches(help);
        Assert.Equal(names.Order(StringComparer.Ordinal), options.Select(o => o.Groups["name"].Value).Order(StringComparer.Ordinal));
        Assert.All(options, o => Assert.Matches(@"\S.*\((needed|default: \S)", o.Groups["text"].Value.ReplaceLineEndings(" ")));
        return [.. options.Select(o => (o.Groups["name"].Value, Default().Match(o.Groups["text"].Value))).Where(o => o.Item2.Success).Select(o => (o.Value, o.Item2.Groups[1].Value))];
    }

    // An option begins a line; what is said of it goes on below, further in.
    [GeneratedRegex(@"^  (?<name>--[a-z0-9-]+) (?<value>\S+) +(?<text>\S.*(\n {20,}\S.*)*)", RegexOptions.Multiline)]
    private static partial Regex Option();

    // One word: what would be typed. Several words explain.
    [GeneratedRegex(@"\(default: (\S+)\)")]
    private static partial Regex Default();
}
