using System.Diagnostics;
using System.Text.RegularExpressions;
using Grid.Stories.Tests.Stage;

namespace Grid.Stories.Tests;

/// <summary>Somebody stays on a private grid, agrees more on it than its example, and leaves.</summary>
[Collection("one at a time")]
public sealed partial class LeftUp : IDisposable
{
    private readonly string _stranger = Directory.CreateTempSubdirectory("grid-stranger-").FullName;

    [Fact]
    public async Task Ctrl_C_ends_all_that_runs_on_it_whoever_agreed_it()
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists("/usr/bin/mmdebstrap"))
            Assert.Skip("grid up needs root and mmdebstrap; run tools/setup.");
        using var up = Heard.Grid("up");
        await up.SaysAsync("grid agreement history hello");
        var environment = up.Exports();
        var (home, directory) = (environment["GRID_HOME"], Path.GetDirectoryName(environment["GRID_HOME"])!);

        // What it says to try is tried, as it is printed.
        var printed = up.Text.Split('\n').Select(l => l.Trim()).SkipWhile(l => !l.StartsWith("The grid stays up", StringComparison.Ordinal)).Where(l => l.StartsWith("grid ", StringComparison.Ordinal)).ToList();
        Assert.True(printed.Count >= 5, up.Text);
        foreach (var line in printed.Where(l => !l.Contains("--watch", StringComparison.Ordinal)))
            await GridAsync(environment, line.Split(' ')[1..]);

        // Somebody looks on meanwhile, in a terminal of their own.
        using var watching = Heard.Grid(environment, "status", "--watch");
        await watching.SaysAsync("hello");
        Assert.False(watching.Said("sequel"));
        // Of the same user, by the exports as they are printed.
        await AgreeAsync("sequel", home, environment);
        await watching.SaysAsync("sequel");
        watching.Interrupt();
        Assert.True(await watching.EndAsync() == 0, watching.Text);
        Assert.DoesNotContain("error[", watching.Text, StringComparison.Ordinal);
        // Of somebody whose keys this grid does not know.
        var ledger = Ledger().Match(await File.ReadAllTextAsync(Path.Combine(home, "config.yaml"))).Value;
        var other = new Dictionary<string, string>(environment) { ["GRID_HOME"] = _stranger, ["GRID_ACCOUNT"] = "bob" };
        await GridAsync(other, "ledger", "trust", ledger, "--yes");
        await GridAsync(other, "key", "new", "bob", "--no-passphrase");
        await GridAsync(other, "account", "open", "bob");
        await AgreeAsync("third", home, other);
        // The example's user was here before us.
        await GridAsync(environment, "cancel", "hello", "--yes");

        var watch = Stopwatch.StartNew();
        up.Interrupt();
        var code = await up.EndAsync();

        Assert.True(code == 0, $"exit {code}\n{up.Text}");
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(30), $"{watch.Elapsed}\n{up.Text}");
        Assert.DoesNotContain("error[", up.Text, StringComparison.Ordinal);
        Leftovers.None($"grid-up-{up.Id}");

        async Task AgreeAsync(string name, string farmer, Dictionary<string, string> user)
        {
            var draft = Path.Combine(_stranger, $"{name}.yaml");
            await File.WriteAllTextAsync(draft, (await File.ReadAllTextAsync(Path.Combine(directory, "grid.yaml")))
                .Replace("name: hello", $"name: {name}", StringComparison.Ordinal).Replace("node: north", "node: my-farm", StringComparison.Ordinal));
            await GridAsync(user, "apply", draft, "--yes", "--no-wait");
            var id = Agreement().Match(await GridAsync(user, "status", name)).Value;
            await GridAsync(new(environment) { ["GRID_HOME"] = farmer }, "agreement", "countersign", id, "--account", "farmer", "--yes");
            await GridAsync(user, "apply", draft, "--yes");
        }
    }

    public void Dispose() => Directory.Delete(_stranger, recursive: true);

    private static async Task<string> GridAsync(Dictionary<string, string> environment, params string[] arguments)
    {
        var start = new ProcessStartInfo(Programs.Find("grid-cli"), arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"grid {string.Join(' ', arguments)}: {process.ExitCode}\n{await output}\n{await errors}");
        return await output;
    }

    [GeneratedRegex(@"http://127\.0\.0\.1:\d+")]
    private static partial Regex Ledger();

    [GeneratedRegex("agr1[a-z0-9]+")]
    private static partial Regex Agreement();
}
