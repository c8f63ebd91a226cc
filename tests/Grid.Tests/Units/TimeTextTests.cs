using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Grid.Units;

namespace Grid.Tests;

/// <summary>Times in sentences have one form, which is the one that drafts are written in.</summary>
public sealed class TimeTextTests
{
    [Theory]
    [InlineData("2026-11-23T15:00:00Z", "2026-11-23T15:00:00Z")]
    [InlineData("2026-11-23T15:00:00.999+01:00", "2026-11-23T14:00:00Z")]
    public void A_time_is_written_in_UTC_and_whole_seconds(string at, string text) =>
        Assert.Equal(text, DateTimeOffset.Parse(at, System.Globalization.CultureInfo.InvariantCulture).Text());

    [Fact]
    public void No_sentence_has_a_form_of_its_own()
    {
        var root = Path.GetDirectoryName(Here())!;
        while (!File.Exists(Path.Combine(root, "Grid.sln")))
            root = Path.GetDirectoryName(root)!;
        Assert.DoesNotContain(Directory.EnumerateFiles(Path.Combine(root, "src"), "*.cs", SearchOption.AllDirectories), f => Regex.IsMatch(File.ReadAllText(f), @"\{[^{}\n]+:[uorRsO]\}"));
    }

    private static string Here([CallerFilePath] string path = "") => path;
}
