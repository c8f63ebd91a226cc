using Grid.Cli.Up;

namespace Grid.Cli.Tests;

public sealed class LauncherTests
{
    [Fact]
    public async Task What_is_started_has_no_door_for_debuggers_and_leaves_no_file_of_one()
    {
        using var shell = new TestShell();
        using var launcher = new Launcher(shell.Home);
        using var hub = launcher.Start(Path.Combine(AppContext.BaseDirectory, "grid-hub"), ["--store", shell.PathOf("store"), "--listen", "http://127.0.0.1:0"]);
        var started = "";
        try
        {
            Assert.StartsWith("grid-hub ready ", await hub.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
            started = Started(hub.Id);
            Assert.Empty(Doors(hub.Id, started));
        }
        finally
        {
            hub.Kill();
            await hub.WaitForExitAsync(CancellationToken.None);
        }
        Assert.Empty(Doors(hub.Id, started));
    }

    // dotnet-diagnostic-PID-START-… and clr-debug-pipe-PID-START-…: others that had the number before may have left theirs.
    private static string[] Doors(int process, string started) => Directory.GetFiles(Path.GetTempPath(), $"*-{process}-{started}-*");

    // proc_pid_stat(5): starttime is the 22nd field, the 20th after the name in brackets.
    private static string Started(int process) => File.ReadAllText($"/proc/{process}/stat").Split(") ")[1].Split(' ')[19];
}
