using System.Diagnostics;
using Grid.Cli.Commands;

namespace Grid.Cli.Tests;

/// <summary>Each shell, with the script that is made for it, completes as a person types: the real shell, the real program.</summary>
public sealed class CompletionTests
{
    public static TheoryData<string, string, string, string[]> Lines
    {
        get
        {
            var lines = new TheoryData<string, string, string, string[]>();
            foreach (var shell in new[] { "bash", "zsh", "fish" })
            {
                lines.Add(shell, "grid agreement co", "a verb", ["countersign"]);
                lines.Add(shell, "grid key show al", "a name of this machine", ["albert", "alice"]);
                lines.Add(shell, "grid apply --no-w", "an option", ["--no-wait"]);
                lines.Add(shell, "grid key show nobody-", "nothing", []);
            }
            return lines;
        }
    }

    [Theory]
    [MemberData(nameof(Lines))]
    public async Task What_is_begun_is_completed(string shell, string line, string what, string[] expected)
    {
        if (!File.Exists($"/usr/bin/{shell}"))
            Assert.Skip($"{shell} is not installed; run tools/setup.");
        using var home = new TestShell();
        foreach (var name in (string[])["alice", "albert", "bob"])
            await home.JsonAsync("key", "new", name, "--no-passphrase");
        home.Write("script", (await home.RunAsync("completion", shell)).Out);
        // As tools/build lays it down: the program is called grid.
        Directory.CreateDirectory(home.PathOf("bin"));
        File.CreateSymbolicLink(home.PathOf("bin/grid"), Path.Combine(AppContext.BaseDirectory, "grid-cli"));

        var found = await ShellAsync(home, shell, line);
        Assert.True(expected.Order(StringComparer.Ordinal).SequenceEqual(found.Order(StringComparer.Ordinal)), $"{what}: {string.Join(' ', found)}");
    }

    [Theory]
    [InlineData("bash")]
    [InlineData("zsh")]
    [InlineData("fish")]
    public async Task What_a_ledger_says_is_executed_by_no_shell(string shell)
    {
        if (!File.Exists($"/usr/bin/{shell}"))
            Assert.Skip($"{shell} is not installed; run tools/setup.");
        using var home = new TestShell();
        home.Write("script", (await home.RunAsync("completion", shell)).Out);
        var ran = home.PathOf("ran");
        // A program that passes on whatever it was told.
        Directory.CreateDirectory(home.PathOf("bin"));
        home.Write("bin/grid", $"""
            #!/bin/sh
            cat <<'END'
            farm
            farm$(touch {ran})
            farm`touch {ran}`
            farm;touch {ran}
            farm*
            END
            """);
        File.SetUnixFileMode(home.PathOf("bin/grid"), UnixFileMode.UserRead | UnixFileMode.UserExecute);

        Assert.Contains("farm", await ShellAsync(home, shell, "grid farm show far"));
        Assert.False(File.Exists(ran));
    }

    [Fact]
    public void Nothing_but_names_and_ids_is_offered() => Assert.Equal(["north", "agr1qqq", "my_key.2"], Completion.Items(
        ["north", "$(touch x)", "a b", "agr1qqq", "\u001b[2J", "a;b", "-f", "*", "my_key.2", "nörd", "x\ny"]).Select(i => i.Label));

    private static async Task<string[]> ShellAsync(TestShell home, string shell, string line)
    {
        var words = line.Split(' ');
        string[] arguments = shell switch
        {
            // What readline sets before it calls the function that `complete` named.
            "bash" => ["--norc", "-c", """
                . "$1"; shift
                COMP_LINE=$1 COMP_POINT=${#1}; shift
                COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
                [[ $(complete -p grid) =~ -F\ ([^\ ]+) ]] && "${BASH_REMATCH[1]}" grid "${@: -1}" "${@: -2:1}"
                for found in "${COMPREPLY[@]}"; do printf '%s\n' "$found"; done
                """, "bash", home.PathOf("script"), line, .. words],
            // Its completion system wants a terminal; here its two commands are the test's, and choose as compadd does.
            "zsh" => ["-f", "-c", """
                compdef() { completer=$1 }
                compadd() { for one in "${@:2}"; do [[ -n $one && $one = "${words[-1]}"* ]] && print -r -- "$one"; done; true }
                . "$1"
                BUFFER=$2 CURSOR=${#2} words=("${@:3}")
                $completer
                """, "zsh", home.PathOf("script"), line, .. words],
            _ => ["--no-config", "-c", "source $argv[1]; complete -C $argv[2]", home.PathOf("script"), line],
        };
        var start = new ProcessStartInfo($"/usr/bin/{shell}", arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        start.Environment["GRID_HOME"] = start.Environment["HOME"] = home.Home;
        start.Environment["PATH"] = $"{home.PathOf("bin")}:{Environment.GetEnvironmentVariable("PATH")}";
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var (found, errors) = (process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken), process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken));
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal("", await errors);
        return (await found).Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
