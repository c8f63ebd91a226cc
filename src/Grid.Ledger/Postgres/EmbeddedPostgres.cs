using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Grid.Ledger.Postgres;

/// <summary>
/// A private PostgreSQL cluster that lives with this process: its own data directory, a Unix socket, no TCP, a random password, fsync on.
/// It is started again when it dies, and what an earlier run left behind is ended before it starts.
/// </summary>
public sealed partial class EmbeddedPostgres : IAsyncDisposable
{
    internal const string Role = "grid";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly ClusterDirectory _directory;
    private readonly PostgresBinaries _binaries;
    private readonly ILogger _logger;
    private readonly ConcurrentQueue<string> _said = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile int _process;
    private int _disposed;

    private EmbeddedPostgres(ClusterDirectory directory, PostgresBinaries binaries, ILogger logger)
    {
        (_directory, _binaries, _logger) = (directory, binaries, logger);
        ConnectionString = new NpgsqlConnectionStringBuilder
        {
            Host = directory.Socket,
            Username = Role,
            Password = directory.Password,
            Database = "postgres",
        }.ConnectionString;
    }

    public string ConnectionString { get; }

    /// <summary>The server's process; another one after it died and was started again.</summary>
    public int ProcessId => _process;

    /// <summary>Starts the cluster in the directory, making it first if there is none; returns when it takes connections.</summary>
    /// <param name="path">parents must be open to the unprivileged user the server runs as when we are root</param>
    /// <exception cref="ClusterException"/>
    public static async Task<EmbeddedPostgres> StartAsync(string path, PostgresBinaries binaries, ILogger<EmbeddedPostgres> logger, CancellationToken stop = default)
    {
        var directory = ClusterDirectory.Open(path);
        try
        {
            await directory.PrepareAsync(binaries, stop);
            var server = new EmbeddedPostgres(directory, binaries, logger);
            // The server ends with the thread that starts it, so that thread is not the pool's.
            new Thread(server.Supervise) { IsBackground = true, Name = "postgres" }.Start();
            try
            {
                await server._ready.Task.WaitAsync(Patience, stop);
                return server;
            }
            catch
            {
                await server.StopAsync();
                throw;
            }
        }
        catch
        {
            directory.Dispose();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        await StopAsync();
        _directory.Dispose();
        _stopping.Dispose();
    }

    private async Task StopAsync()
    {
        await _stopping.CancelAsync();
        await _ended.Task;
    }

    private void Supervise()
    {
        try
        {
            var pause = TimeSpan.Zero;
            while (!_stopping.IsCancellationRequested)
            {
                _stopping.Token.WaitHandle.WaitOne(pause);
                if (!_stopping.IsCancellationRequested)
                    pause = RunOnce() ? TimeSpan.Zero : TimeSpan.FromSeconds(1);
            }
        }
        catch (Exception e) when (e is ClusterException or System.ComponentModel.Win32Exception)
        {
            _ready.TrySetException(e as ClusterException ?? new ClusterException($"The server cannot be started: {e.Message}", e));
            LogGivenUp(e.Message);
        }
        finally
        {
            _ended.SetResult();
        }
    }

    /// <returns>true when it had become ready before it ended</returns>
    private bool RunOnce()
    {
        _directory.EndOrphansAsync(CancellationToken.None).GetAwaiter().GetResult();
        using var process = Process.Start(Launch.As(_directory.User, stopWithUs: true, _directory.Data, _binaries.Server, [
            "-D", _directory.Data, "-c", "listen_addresses=", "-c", $"unix_socket_directories={_directory.Socket}", "-c", "unix_socket_permissions=0700",
            "-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "full_page_writes=on", "-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB",
            "-c", "max_connections=40", "-c", "jit=off", "-c", "wal_compression=on", "-c", "log_min_messages=warning"]))!;
        _process = process.Id;
        process.StandardInput.Close();
        process.OutputDataReceived += (_, line) => Remember(line.Data);
        process.ErrorDataReceived += (_, line) => Remember(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var ready = WaitUntilReady(process);
        if (ready)
        {
            _ready.TrySetResult();
            LogReady(process.Id, _directory.Data);
        }
        WaitHandle.WaitAny([_stopping.Token.WaitHandle, Exited(process)]);
        if (_stopping.IsCancellationRequested)
        {
            End(process);
            return ready;
        }
        process.WaitForExit();
        if (!_ready.Task.IsCompleted)
            throw new ClusterException($"The server ended with code {process.ExitCode} before it was ready: {string.Join(' ', _said)}");
        LogDied(process.Id, process.ExitCode);
        return ready;
    }

    private bool WaitUntilReady(Process process)
    {
        while (!process.HasExited && !_stopping.IsCancellationRequested)
        {
            if (_directory.IsReady(process.Id))
                return true;
            _stopping.Token.WaitHandle.WaitOne(5);
        }
        return false;
    }

    private static ManualResetEvent Exited(Process process)
    {
        var exited = new ManualResetEvent(false);
        process.EnableRaisingEvents = true;
        process.Exited += (_, _) => exited.Set();
        if (process.HasExited)
            exited.Set();
        return exited;
    }

    private static void End(Process process)
    {
        foreach (var (signal, wait) in new[] { (Signal.Interrupt, 20_000), (Signal.Quit, 5_000), (Signal.Kill, 5_000) })
        {
            _ = Signal.Send(process.Id, signal);
            if (process.WaitForExit(wait))
                return;
        }
    }

    private void Remember(string? line)
    {
        if (line is null)
            return;
        LogSaid(line);
        _said.Enqueue(line);
        while (_said.Count > 20)
            _said.TryDequeue(out _);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "PostgreSQL {Process} is ready in {Data}")]
    private partial void LogReady(int process, string data);

    [LoggerMessage(Level = LogLevel.Error, Message = "PostgreSQL {Process} ended by itself with {Code}; it is started again")]
    private partial void LogDied(int process, int code);

    [LoggerMessage(Level = LogLevel.Critical, Message = "PostgreSQL is not started again: {Reason}")]
    private partial void LogGivenUp(string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "PostgreSQL: {Line}")]
    private partial void LogSaid(string line);
}
