using Grid.Stories.Tests.Stage;

namespace Grid.Stories.Tests;

/// <summary>Ctrl-C in the middle of <c>grid up --once</c>.</summary>
[Collection("one at a time")]
public sealed class InterruptedUp
{
    // While its programs are being started; while it makes the example; while its container is started, or runs.
    [Theory]
    [InlineData("Starting")]
    [InlineData("Making")]
    [InlineData("countersign")]
    public async Task Ctrl_C_at_any_moment_ends_with_130_and_leaves_nothing(string moment)
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists("/usr/bin/mmdebstrap"))
            Assert.Skip("grid up needs root and mmdebstrap; run tools/setup.");
        using var up = Heard.Grid("up", "--once");
        await up.SaysAsync(moment);
        Assert.False(up.HasExited, up.Text);
        up.Interrupt();

        var code = await up.EndAsync();

        Assert.True(code == 130, $"exit {code}\n{up.Text}");
        // Who is ended by the signal itself has 130 for an exit code too.
        Assert.Contains("error[interrupted]", up.Text, StringComparison.Ordinal);
        Leftovers.None($"grid-up-{up.Id}");
    }
}
