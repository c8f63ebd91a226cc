using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Grid.Cli.Tests;

/// <summary>How far a build or a transfer is: a bar for a person, some lines for a file, and never a part of the result.</summary>
public sealed partial class ProgressTests(RealLedger real)
{
    private static int s_homes;

    [Fact]
    public async Task A_file_gets_a_line_at_each_tenth_and_the_result_stays_apart()
    {
        using var shell = Home();
        var (_, built, building) = await shell.RunAsync("flist", "build", shell.PathOf("root"));
        var id = Id(built);
        var (_, pushed, pushing) = await shell.RunAsync("flist", "push", id);
        using var other = new TestShell();
        other.Environment["GRID_HUB"] = real.Hub;
        var (_, _, pulling) = await other.RunAsync("flist", "pull", id);

        foreach (var (title, lines) in new[] { ("building", building), ("pushing", pushing), ("pulling", pulling) })
        {
            var tenths = Line().Matches(lines).Select(m => (m.Groups[1].Value, int.Parse(m.Groups[2].Value))).ToList();
            Assert.All(tenths, t => Assert.True(t.Item1 == title && t.Item2 is > 0 and <= 100 && t.Item2 % 10 == 0, lines));
            Assert.Equal(tenths.Select(t => t.Item2).Distinct().Order(), tenths.Select(t => t.Item2));
            Assert.Equal(100, tenths[^1].Item2);
        }
        Assert.True(Line().Count(building) > 2, building);
        Assert.DoesNotContain('%', built + pushed);
        Assert.DoesNotContain('\e', building + pushing + pulling);
    }

    /// <summary>What is compressed is unpacked before anything of it can be built, which may take as long.</summary>
    [Theory]
    [InlineData("-czf")]
    [InlineData("--zstd", "-cf")]
    public async Task An_archive_says_how_far_it_is_unpacked(params string[] form)
    {
        using var shell = Home();
        using (var tar = Process.Start("/usr/bin/tar", [.. form, shell.PathOf("tree"), "-C", shell.PathOf("root"), "."]))
            await tar.WaitForExitAsync(TestContext.Current.CancellationToken);
        var (code, _, said) = await shell.RunAsync("flist", "build", shell.PathOf("tree"));
        Assert.Equal(Exit.Ok, code);
        var tenths = Line().Matches(said).Select(m => (m.Groups[1].Value, int.Parse(m.Groups[2].Value))).ToList();
        Assert.Equal(["unpacking", "building"], tenths.Select(t => t.Item1).Distinct());
        foreach (var stage in tenths.GroupBy(t => t.Item1, t => t.Item2))
        {
            Assert.Equal(stage.Distinct().Order(), stage);
            Assert.Equal(100, stage.Last());
        }
        Assert.True(tenths.Count(t => t.Item1 == "unpacking") > 2, said);

        Assert.Matches("unpacking.*━.*[0-9]+%", await OnTerminalAsync(shell, "flist", "build", shell.PathOf("tree")));
    }

    [Theory]
    [InlineData("-q")]
    [InlineData("-o", "json")]
    [InlineData("-o", "yaml")]
    public async Task Who_asks_for_quiet_or_for_a_document_gets_no_progress(params string[] options)
    {
        using var shell = Home();
        // A person sits there, and wants none.
        shell.IsTerminal = true;
        var (code, built, building) = await shell.RunAsync(["flist", "build", shell.PathOf("root"), .. options]);
        Assert.Equal((Exit.Ok, ""), (code, building));
        Assert.Equal((Exit.Ok, ""), await PushAsync());

        async Task<(int, string)> PushAsync()
        {
            var (pushed, _, error) = await shell.RunAsync(["flist", "push", Id(built), .. options]);
            return (pushed, error);
        }
    }

    [Fact]
    public async Task A_terminal_gets_a_bar_that_is_gone_at_the_end()
    {
        using var shell = Home();
        var building = await OnTerminalAsync(shell, "flist", "build", shell.PathOf("root"));
        var pushing = await OnTerminalAsync(shell, "flist", "push", Id(building), "--hub", real.Hub);
        foreach (var (title, text) in new[] { ("building", building), ("pushing", pushing) })
        {
            var last = text.LastIndexOf(title, StringComparison.Ordinal);
            Assert.True(last >= 0, text);
            Assert.Matches($"{title}.*━.*[0-9]+%", text);
            // Each picture over the one before, and at the end over it nothing, and then what came of it.
            Assert.Contains("\e[2K", text[last..], StringComparison.Ordinal);
            Assert.True(text.LastIndexOf("flist:", StringComparison.Ordinal) > text.LastIndexOf('━'), text);
            Assert.DoesNotMatch($"{title}: [0-9]+ %", text);
        }
    }

    private TestShell Home()
    {
        var shell = new TestShell();
        shell.Environment["GRID_HUB"] = real.Hub;
        Directory.CreateDirectory(shell.PathOf("root"));
        // Several packs, so that there is a way to be on; each time others, for the hub takes nothing twice.
        var random = new Random(Interlocked.Increment(ref s_homes));
        for (var i = 0; i < 24; i++)
        {
            var bytes = new byte[1 << 20];
            random.NextBytes(bytes);
            File.WriteAllBytes(shell.PathOf($"root/{i}"), bytes);
        }
        return shell;
    }

    private static string Id(string text) => FlistId().Match(text).Value;

    private static async Task<string> OnTerminalAsync(TestShell shell, params string[] arguments)
    {
        using var terminal = new TerminalSession(shell, arguments);
        return await terminal.EndAsync();
    }

    [GeneratedRegex("^([a-z]+): ([0-9]+) %$", RegexOptions.Multiline)]
    private static partial Regex Line();

    [GeneratedRegex("fl1[a-z0-9]{20,}")]
    private static partial Regex FlistId();
}
