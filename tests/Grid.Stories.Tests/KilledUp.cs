using Grid.Stories.Tests.Stage;

namespace Grid.Stories.Tests;

/// <summary><c>grid up</c> is killed at any moment; the next one ends what it left and goes on.</summary>
[Collection("one at a time")]
public sealed class KilledUp
{
    private static readonly string Directory = Path.Combine(Path.GetTempPath(), $"grid-killed-{Environment.ProcessId}");

    [Fact]
    public async Task A_grid_that_was_killed_is_ended_by_the_next_which_leaves_nothing()
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists("/usr/bin/mmdebstrap"))
            Assert.Skip("grid up needs root and mmdebstrap; run tools/setup.");
        var seed = Environment.TickCount;
        var chance = new Random(seed);
        var said = new List<string>();
        // Once while its programs are being started, once wherever it is by then, once while its container runs.
        foreach (var ready in new Func<Heard, bool>[] { u => u.Elapsed > TimeSpan.FromMilliseconds(chance.Next(2500)), u => u.Elapsed > TimeSpan.FromMilliseconds(2500 + chance.Next(15_000)), u => u.Said("The grid stays up") })
        {
            using var killed = Heard.Grid("up", "--directory", Directory);
            await Stage.Wait.ForAsync($"the moment to kill (seed {seed})", () => ready(killed) || killed.HasExited, () => killed.Text);
            Assert.False(killed.HasExited, killed.Text);
            await killed.KillAsync();
            said.Add($"{killed.Elapsed.TotalSeconds:0.0} s: {killed.Text.TrimEnd().Split('\n')[^1]}");
        }
        using (var refused = Heard.Grid("up", "--directory", "/etc"))
        {
            Assert.NotEqual(0, await refused.EndAsync());
            Assert.Contains("is not empty", refused.Text, StringComparison.Ordinal);
        }
        using var up = Heard.Grid("up", "--directory", Directory, "--once");
        Assert.True(await up.EndAsync() == 0, $"seed {seed}, killed at {string.Join("; ", said)}\n{up.Text}");
        LeavesNothing(seed);
        // What a person reads, in its order.
        var at = 0;
        foreach (var word in new[] { "$ grid flist build", "$ grid plan", "price", " EUR", "$ grid apply", "$ grid agreement countersign", "running", "From inside the container's own network", "The node's receipt is entry", "$ grid verify", "HOLDS", "$ grid cancel", "Gone:" })
        {
            at = up.Text.IndexOf(word, at, StringComparison.Ordinal);
            Assert.True(at >= 0, $"'{word}' is not said, or too early:\n{up.Text}");
        }
    }

    private static void LeavesNothing(int seed)
    {
        Assert.False(System.IO.Directory.Exists(Directory));
        Assert.DoesNotContain(System.IO.Directory.EnumerateDirectories("/run", "grid-up-*"), Mine);
        Assert.DoesNotContain(Directory, File.ReadAllText("/proc/self/mounts"), StringComparison.Ordinal);
        foreach (var process in System.IO.Directory.EnumerateDirectories("/proc").Where(p => Path.GetFileName(p).All(char.IsAsciiDigit)))
        {
            try
            {
                var line = File.ReadAllText(Path.Combine(process, "cmdline"));
                Assert.False(line.Contains(Directory, StringComparison.Ordinal), $"seed {seed}: {process}: {line.Replace('\0', ' ')}");
                Assert.False(new FileInfo(Path.Combine(process, "cwd")).LinkTarget?.StartsWith(Directory, StringComparison.Ordinal) ?? false, $"seed {seed}: {line.Replace('\0', ' ')} stands there");
            }
            catch (IOException)
            {
                // It ended while we looked.
            }
        }
    }

    private static bool Mine(string run) => File.Exists(Path.Combine(run, "up.lock")) && Reads(Path.Combine(run, "up.lock")) == Directory;

    private static string Reads(string path)
    {
        // Another's is held; not by us.
        try
        {
            return File.ReadAllText(path);
        }
        catch (IOException)
        {
            return "";
        }
    }
}
