using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Grid.Bench.Start;

/// <summary>One of the published programs, its output in a file.</summary>
internal sealed partial class RunningProgram : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Process _process;

    private RunningProgram(Process process) => _process = process;

    /// <summary>Starts it and waits for its line <c>NAME ready WORD</c>.</summary>
    /// <returns>the program and the word</returns>
    public static async Task<(RunningProgram Program, string Word)> StartAsync(string directory, string name, string log, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(directory, name), arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        var process = Process.Start(start)!;
        var ready = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        var output = new StreamWriter(log) { AutoFlush = true };
        var prefix = $"{name} ready ";
        void Take(string? line)
        {
            lock (output)
                output.WriteLine(line);
            if (line?.StartsWith(prefix, StringComparison.Ordinal) == true)
                ready.TrySetResult(line[prefix.Length..].Trim());
        }
        process.OutputDataReceived += (_, e) => Take(e.Data);
        process.ErrorDataReceived += (_, e) => Take(e.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var program = new RunningProgram(process);
        try
        {
            return (program, await ready.Task.WaitAsync(Patience));
        }
        catch
        {
            await program.DisposeAsync();
            throw new InvalidOperationException($"{name} did not become ready:\n{await File.ReadAllTextAsync(log)}");
        }
    }

    public int Id => _process.Id;

    /// <summary>kill -9, and it has ended.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        // What a program of .NET that is killed cannot take away itself: its sockets for debuggers.
        foreach (var socket in Directory.EnumerateFiles(Path.GetTempPath(), $"*-{Id}-*").Where(s => Path.GetFileName(s).StartsWith("clr-debug-pipe-", StringComparison.Ordinal)
            || Path.GetFileName(s).StartsWith("dotnet-diagnostic-", StringComparison.Ordinal)))
            File.Delete(socket);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _ = kill(_process.Id, SIGTERM);
            await _process.WaitForExitAsync();
        }
        _process.Dispose();
    }

    private const int SIGTERM = 15;

    /// <summary>signal.h: .NET can kill a process but not ask it to end.</summary>
    [LibraryImport("libc")]
    private static partial int kill(int pid, int signal);
}
