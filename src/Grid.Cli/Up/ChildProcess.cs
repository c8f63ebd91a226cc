using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Grid.Cli.Up;

/// <summary>
/// One of the programs of a private grid, bound to our life.
/// </summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(20);

    private readonly Process _process;
    private readonly StreamWriter _log;
    private readonly TaskCompletionSource<string> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Queue<string> _last = new();
    private int _disposed;

    private ChildProcess(Process process, string name, StreamWriter log) => (_process, Name, _log) = (process, name, log);

    public string Name { get; }

    public int Pid => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>Starts a program and waits for its line <c>NAME ready WORD</c>.</summary>
    /// <param name="path">where the program lies; its file's name is NAME</param>
    /// <returns>the process and the word</returns>
    /// <exception cref="UpFault">it is not there, ended, or did not become ready in time</exception>
    public static async Task<(ChildProcess Process, string Ready)> StartAsync(
        Launcher launcher, string path, string logPath, TimeSpan patience, CancellationToken cancel, params IEnumerable<string> arguments)
    {
        var name = Path.GetFileName(path);
        if (!File.Exists(path))
            throw new UpFault($"{name} is not in {Path.GetDirectoryName(path)}.", "Run 'tools/build'.");
        var log = new StreamWriter(new FileStream(logPath, FileMode.Append, FileAccess.Write, FileShare.ReadWrite)) { AutoFlush = true };
        var child = new ChildProcess(launcher.Start(path, arguments), name, log);
        child.Follow();
        try
        {
            return (child, await child._ready.Task.WaitAsync(patience, cancel));
        }
        catch (TimeoutException)
        {
            var words = child.LastWords();
            await child.DisposeAsync();
            throw new UpFault($"{name} did not become ready within {patience.TotalSeconds:0} s: {words}");
        }
        catch
        {
            await child.DisposeAsync();
            throw;
        }
    }

    /// <summary>Asks it to end; after a grace it is killed.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        if (!_process.HasExited)
        {
            NativeKill.Send(_process.Id, NativeKill.SIGTERM);
            using var limit = new CancellationTokenSource(Grace);
            try
            {
                await _process.WaitForExitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                _process.Kill();
                await _process.WaitForExitAsync(CancellationToken.None);
            }
        }
        await _log.DisposeAsync();
        _process.Dispose();
    }

    private void Follow()
    {
        var prefix = $"{Name} ready ";
        _process.OutputDataReceived += (_, e) =>
        {
            Write(e.Data);
            if (e.Data?.StartsWith(prefix, StringComparison.Ordinal) == true)
                _ready.TrySetResult(e.Data[prefix.Length..].Trim());
        };
        _process.ErrorDataReceived += (_, e) => Write(e.Data);
        _process.EnableRaisingEvents = true;
        _process.Exited += (_, _) => _ready.TrySetException(new UpFault($"{Name} ended with {_process.ExitCode}: {LastWords()}"));
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    private void Write(string? line)
    {
        if (line is null)
            return;
        lock (_last)
        {
            _last.Enqueue(line);
            while (_last.Count > 5)
                _last.Dequeue();
            if (_log.BaseStream.CanWrite)
                _log.WriteLine(line);
        }
    }

    private string LastWords()
    {
        lock (_last)
            return string.Join(" | ", _last);
    }
}

/// <summary>signal.h: .NET can kill a process but not ask it to end.</summary>
internal static partial class NativeKill
{
    public const int SIGKILL = 9;
    public const int SIGTERM = 15;

    /// <summary>A process that is gone has no need of it.</summary>
    public static void Send(int pid, int signal) => _ = kill(pid, signal);

    [LibraryImport("libc")]
    private static partial int kill(int pid, int signal);
}

/// <summary>The private grid cannot go on; the message says why.</summary>
internal sealed class UpFault(string message, string? next = null) : Exception(message)
{
    public string Next { get; } = next ?? "What it made is taken away. Run 'tools/setup', in case something is missing, and then the same command again.";
}
