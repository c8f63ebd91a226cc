using System.Diagnostics;
using System.Text.Json;
using Grid.Stories.Tests.Stage;

namespace Grid.Stories.Tests;

/// <summary>What a newcomer does, as the newcomer does it.</summary>
[Collection("one at a time")]
public sealed class TheMainJob
{
    [Fact]
    public async Task Up_once_agrees_runs_proves_cancels_and_leaves_nothing()
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists("/usr/bin/mmdebstrap"))
            Assert.Skip("grid up needs root and mmdebstrap; run tools/setup.");
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "grid-cli"), ["up", "--once", "-o", "json"]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var up = Process.Start(start)!;
        var (output, errors) = (up.StandardOutput.ReadToEndAsync(), up.StandardError.ReadToEndAsync());
        await up.WaitForExitAsync();
        Assert.True(up.ExitCode == 0, $"exit {up.ExitCode}\n{await output}\n{await errors}");

        using var document = JsonDocument.Parse(await output);
        var result = document.RootElement;
        Assert.Equal("done", result.GetProperty("verdict").GetString());
        Assert.Equal("holds", result.GetProperty("bundleVerdict").GetString());
        Assert.Equal("running", result.GetProperty("status").GetString());
        Assert.True(result.GetProperty("gone").GetBoolean());
        Assert.StartsWith("Hello from inside", result.GetProperty("page").GetString(), StringComparison.Ordinal);
        Assert.StartsWith("agr1", result.GetProperty("agreement").GetString(), StringComparison.Ordinal);
        Assert.StartsWith("fl1", result.GetProperty("flist").GetString(), StringComparison.Ordinal);
        Assert.Contains(result.GetProperty("stages").EnumerateArray(), s => s.GetProperty("stage").GetString() == "run");

        Leftovers.None($"grid-up-{up.Id}");
    }
}
