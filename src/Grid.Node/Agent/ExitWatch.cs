namespace Grid.Node.Agent;

/// <summary>
/// Tells when a container's shim writes down that it ended. Only a hint: what it misses, the sweep finds.
/// </summary>
internal sealed class ExitWatch : IDisposable
{
    private readonly FileSystemWatcher _watcher;

    /// <param name="bundles">the directory whose subdirectories hold one container each; made if absent</param>
    public ExitWatch(string bundles, Action ended)
    {
        Directory.CreateDirectory(bundles);
        _watcher = new FileSystemWatcher(bundles, "exit") { IncludeSubdirectories = true };
        _watcher.Created += (_, _) => ended();
        _watcher.Renamed += (_, _) => ended();
        _watcher.Error += (_, _) => ended();
        _watcher.EnableRaisingEvents = true;
    }

    public void Dispose() => _watcher.Dispose();
}
