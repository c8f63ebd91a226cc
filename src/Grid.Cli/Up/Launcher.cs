using System.Collections.Concurrent;
using System.Diagnostics;

namespace Grid.Cli.Up;

/// <summary>
/// Starts programs in sessions of their own, so that a ctrl-C at the terminal reaches only the one who will stop them in order, and bound to our life:
/// the kernel sends them SIGTERM when the thread that started them ends, so a kill -9 of ours ends them too. That thread is this one's.
/// </summary>
/// <param name="stand">the directory in which they stand from their first moment, also while they are still setsid or setpriv; by that they are known</param>
internal sealed class Launcher : IDisposable
{
    // The runtime opens a door in /tmp for debuggers and profilers of the same user, through which everything can be read and changed, and leaves its
    // files behind when it is killed. The environment is the only place to close it (learn.microsoft.com/dotnet/core/runtime-config/debugging-profiling).
    private const string NoDiagnostics = "DOTNET_EnableDiagnostics";

    private readonly BlockingCollection<Action> _work = [];
    private readonly string _stand;

    public Launcher(string stand)
    {
        _stand = stand;
        new Thread(() =>
        {
            foreach (var start in _work.GetConsumingEnumerable())
                start();
        })
        { IsBackground = true, Name = "launcher" }.Start();
    }

    /// <exception cref="UpFault">the program cannot be started</exception>
    public Process Start(string program, IEnumerable<string> arguments)
    {
        var info = new ProcessStartInfo("/usr/bin/setsid", ["/usr/bin/setpriv", "--pdeathsig=TERM", "--", program, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = _stand,
            Environment = { [NoDiagnostics] = "0" },
        };
        var started = new TaskCompletionSource<Process>();
        _work.Add(() =>
        {
            try
            {
                started.SetResult(Process.Start(info)!);
            }
            catch (System.ComponentModel.Win32Exception e)
            {
                started.SetException(new UpFault($"{program} cannot be started: {e.Message}", "Run 'tools/setup' and 'tools/build'."));
            }
        });
        var process = started.Task.GetAwaiter().GetResult();
        process.StandardInput.Close();
        return process;
    }

    /// <summary>Ends the thread, and with it what it started and nobody stopped.</summary>
    public void Dispose() => _work.CompleteAdding();
}
