using Grid.Node.Containers;
using Grid.Node.Containers.Interop;

namespace Grid.Node.Gateways;

/// <summary>
/// Tells when the front says something new of a route, and when the front has ended. Only a hint: what it misses, the sweep finds.
/// </summary>
internal sealed class GatewayWatch : IDisposable
{
    private static readonly TimeSpan Moment = TimeSpan.FromSeconds(1);

    private readonly GatewayFiles _files;
    private readonly Action _look;
    private readonly FileSystemWatcher _watcher;
    private readonly CancellationTokenSource _over = new();

    public GatewayWatch(GatewayFiles files, Action look)
    {
        (_files, _look) = (files, look);
        files.Make();
        _watcher = new FileSystemWatcher(files.Run);
        _watcher.Filters.Add("*.state");
        _watcher.Filters.Add(Path.GetFileName(files.Front));
        _watcher.Renamed += (_, _) => look();
        _watcher.Deleted += (_, _) => look();
        _watcher.Error += (_, _) => look();
        _watcher.EnableRaisingEvents = true;
        // It waits in the kernel, which a pool thread may not.
        new Thread(Wait) { IsBackground = true, Name = "gateway front" }.Start();
    }

    public void Dispose()
    {
        _over.Cancel();
        _watcher.Dispose();
    }

    private void Wait()
    {
        while (!_over.Token.WaitHandle.WaitOne(Moment))
        {
            if (FrontProcess.Read(_files) is not { } front)
                continue;
            using var process = Posix.OpenProcess(front.Pid);
            if (process is null || Processes.Identify(front.Pid) != front)
                continue;
            var ended = false;
            while (!ended && !_over.IsCancellationRequested)
                ended = Posix.WaitReadable(process, Moment);
            if (ended)
                _look();
        }
    }
}
