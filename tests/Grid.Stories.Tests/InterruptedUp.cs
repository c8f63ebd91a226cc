using System.Diagnostics;
using System.Text;
using Grid.Cli.Up;
using Grid.Stories.Tests.Stage;

namespace Grid.Stories.Tests;

/// <summary>Ctrl-C in the middle of <c>grid up --once</c>.</summary>
[Collection("one at a time")]
public sealed class InterruptedUp
{
    private const int SIGINT = 2;

    // While its programs are being started; while it makes the example; while its container is started, or runs.
    [Theory]
    [InlineData("Starting")]
    [InlineData("Making")]
    [InlineData("countersign")]
    public async Task Ctrl_C_at_any_moment_ends_with_130_and_leaves_nothing(string moment)
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists("/usr/bin/mmdebstrap"))
            Assert.Skip("grid up needs root and mmdebstrap; run tools/setup.");
        // A terminal tells the whole foreground group, so it has one of its own; without a fork, for it leads none.
        using var up = Process.Start(new ProcessStartInfo("/usr/bin/setsid", [Programs.Find("grid-cli"), "up", "--once"]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var said = new StringBuilder();
        void Hear(object sender, DataReceivedEventArgs e)
        {
            lock (said)
                said.AppendLine(e.Data);
        }
        string Said()
        {
            lock (said)
                return said.ToString();
        }
        up.OutputDataReceived += Hear;
        up.ErrorDataReceived += Hear;
        up.BeginOutputReadLine();
        up.BeginErrorReadLine();
        try
        {
            await Wait.ForAsync(moment, () => Said().Contains(moment, StringComparison.Ordinal) || up.HasExited, Said);
            Assert.False(up.HasExited, Said());
            NativeKill.Send(-up.Id, SIGINT);
            await up.WaitForExitAsync();
            Assert.True(up.ExitCode == 130, $"exit {up.ExitCode}\n{Said()}");
            // Who is ended by the signal itself has 130 for an exit code too.
            Assert.Contains("error[interrupted]", Said(), StringComparison.Ordinal);
            Leftovers.None($"grid-up-{up.Id}");
        }
        finally
        {
            if (!up.HasExited)
                up.Kill();
        }
    }
}
