using System.Diagnostics;
using System.Text;
using System.Text.RegularExpressions;
using Grid.Cli.Up;

namespace Grid.Stories.Tests.Stage;

/// <summary>A program in a process of its own, as a person starts it: what it says is heard while it runs, and ctrl-C reaches it.</summary>
internal sealed partial class Heard : IDisposable
{
    private const int SIGINT = 2;

    private readonly Process _process;
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private readonly StringBuilder _text = new();

    private Heard(Process process)
    {
        _process = process;
        _process.OutputDataReceived += Hear;
        _process.ErrorDataReceived += Hear;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public int Id => _process.Id;

    public TimeSpan Elapsed => _watch.Elapsed;

    public bool HasExited => _process.HasExited;

    public string Text
    {
        get
        {
            lock (_text)
                return _text.ToString();
        }
    }

    /// <summary><c>grid</c> with these arguments.</summary>
    public static Heard Grid(params string[] arguments) => Grid(new Dictionary<string, string>(), arguments);

    /// <param name="environment">what is set besides what this process has</param>
    public static Heard Grid(IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        // A terminal's ctrl-C goes to the whole foreground group, so it leads one: setsid does not fork for who leads none yet.
        var start = new ProcessStartInfo("/usr/bin/setsid", [Programs.Find("grid-cli"), .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        return new Heard(Process.Start(start)!);
    }

    public bool Said(string text) => Text.Contains(text, StringComparison.Ordinal);

    /// <summary>Waits until it has said this, and lives on.</summary>
    public async Task SaysAsync(string text)
    {
        await Wait.ForAsync($"'{text}'", () => Said(text) || HasExited, () => Text);
        Assert.True(Said(text), Text);
    }

    /// <summary>What it said that another terminal needs, to speak to its grid.</summary>
    public Dictionary<string, string> Exports() => Export().Matches(Text).ToDictionary(m => m.Groups[1].Value, m => m.Groups[2].Value);

    /// <summary>Ctrl-C.</summary>
    public void Interrupt() => NativeKill.Send(-Id, SIGINT);

    public async Task KillAsync()
    {
        _process.Kill();
        // Not to the end of its output: what it started may hold that open.
        await Wait.ForAsync("its end", () => HasExited);
    }

    public async Task<int> EndAsync()
    {
        await _process.WaitForExitAsync();
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill();
        _process.Dispose();
    }

    private void Hear(object sender, DataReceivedEventArgs e)
    {
        lock (_text)
            _text.AppendLine(e.Data);
    }

    [GeneratedRegex(@"\b(GRID_[A-Z_]+)=(\S+)")]
    private static partial Regex Export();
}
