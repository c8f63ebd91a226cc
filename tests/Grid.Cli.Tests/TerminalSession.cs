using System.Diagnostics;
using System.Text;

namespace Grid.Cli.Tests;

/// <summary>One command as a person runs it: the program itself, on a terminal of its own, which script(1) gives it and whose every byte it hands on.</summary>
internal sealed class TerminalSession : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private readonly Process _script;
    private readonly StringBuilder _shown = new();
    private readonly Task _reading;

    public TerminalSession(TestShell shell, params string[] arguments)
    {
        var start = new ProcessStartInfo("/usr/bin/script", ["-qfec", $"stty cols 200; exec {Path.Combine(AppContext.BaseDirectory, "grid-cli")} {string.Join(' ', arguments)}", "/dev/null"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            StandardOutputEncoding = Encoding.UTF8,
        };
        foreach (var (name, value) in new[] { ("GRID_HOME", shell.Home), ("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8") })
            start.Environment[name] = value;
        _script = Process.Start(start)!;
        _reading = ReadAsync();
    }

    private string Shown
    {
        get
        {
            lock (_shown)
                return _shown.ToString();
        }
    }

    /// <summary>Waits until it has shown this.</summary>
    public async Task UntilAsync(string text)
    {
        for (var watch = Stopwatch.StartNew(); !Shown.Contains(text, StringComparison.Ordinal); await Task.Delay(20, TestContext.Current.CancellationToken))
            Assert.True(watch.Elapsed < Patience && !_reading.IsCompleted, $"never '{text}' in\n{Shown}");
    }

    /// <summary>Waits for its end, which is a good one.</summary>
    /// <returns>all that it has shown</returns>
    public async Task<string> EndAsync()
    {
        await _reading;
        await _script.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(_script.ExitCode == 0, Shown);
        return Shown;
    }

    public void Dispose()
    {
        if (!_script.HasExited)
            _script.Kill(entireProcessTree: true);
        _script.Dispose();
    }

    private async Task ReadAsync()
    {
        var buffer = new char[4096];
        for (int got; (got = await _script.StandardOutput.ReadAsync(buffer, TestContext.Current.CancellationToken)) > 0;)
        {
            lock (_shown)
                _shown.Append(buffer, 0, got);
        }
    }
}
