using System.CommandLine;

namespace Grid.Cli.Tests;

public sealed class HelpTests
{
    public static TheoryData<string> Commands
    {
        get
        {
            using var shell = new StringReader("");
            var frame = new Frame(new Shell(shell, TextWriter.Null, TextWriter.Null, new Terminal(false, false, false, 100, _ => null), _ => null, TimeProvider.System, n => new byte[n], _ => throw new InvalidOperationException()), new Options());
            var found = new TheoryData<string>();
            void Walk(Command command, string path)
            {
                found.Add(path);
                foreach (var child in command.Subcommands)
                    Walk(child, $"{path} {child.Name}".Trim());
            }
            Walk(CommandLine.Root(frame), "");
            return found;
        }
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task Every_command_says_how_it_is_used(string command)
    {
        using var shell = new TestShell();

        var (code, text, error) = await shell.RunAsync([.. command.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"]);

        Assert.Equal((Exit.Ok, ""), (code, error));
        Assert.Contains($"Usage:\n  grid {command}".TrimEnd(), text, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task Help_is_the_same_whatever_lives_on_the_machine(string command)
    {
        using TestShell bare = new(), used = new();
        await used.JsonAsync("key", "new", "zaphod", "--no-passphrase");
        used.Write("book.json", """
            {"version":1,"accounts":{"zaphod":{"id":"acct1zaphod","keys":["zaphod"]}},"nodes":{"zaphod":"node1zaphod"},"offers":{"zaphod":"offer1zaphod"},"agreements":{"zaphod":"agr1zaphod"}}
            """);
        string[] help = [.. command.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"];

        Assert.Equal((await bare.RunAsync(help)).Out, (await used.RunAsync(help)).Out);
    }

    [Theory]
    [InlineData("help.txt")]
    [InlineData("help-agreement.txt", "agreement")]
    [InlineData("help-apply.txt", "apply")]
    [InlineData("help-flist.txt", "flist")]
    public async Task The_help_reads_as_agreed(string golden, params string[] command)
    {
        using var shell = new TestShell();

        TestShell.IsGolden(golden, (await shell.RunAsync([.. command, "--help"])).Out);
    }
}
