using System.Collections.Concurrent;
using System.Collections.Immutable;
using Grid.Node.Containers;

namespace Grid.Node.Gateways.Front;

/// <summary>
/// What is served, as the agent's files say it. Changed by one thread; everybody else reads a snapshot. A change of a file is a hint to look; a
/// sweep finds what was missed.
/// </summary>
internal sealed class RouteTable(GatewayFiles files, ProcessIdentity self, FrontLog log) : IDisposable
{
    private static readonly TimeSpan Sweep = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<string, (ServedRoute Route, string Answer)> _challenges = new(StringComparer.Ordinal);
    private readonly Dictionary<ContainerId, ServedRoute> _served = [];
    private readonly SemaphoreSlim _changed = new(0, 1);
    private ImmutableDictionary<string, ServedRoute> _byName = ImmutableDictionary.Create<string, ServedRoute>(StringComparer.Ordinal);

    /// <summary>Called after every change of what is served.</summary>
    public event Action? Changed;

    public IEnumerable<ServedRoute> All => Volatile.Read(ref _byName).Values;

    public ServedRoute? Find(string hostname) => Volatile.Read(ref _byName).GetValueOrDefault(hostname);

    /// <summary>What is to be answered at the plain port of a route's name.</summary>
    public string? Challenge(ServedRoute route, string token) => _challenges.TryGetValue(token, out var challenge) && challenge.Route == route ? challenge.Answer : null;

    public void Answer(ServedRoute route, string token, string answer) => _challenges[token] = (route, answer);

    public void Forget(string token) => _challenges.TryRemove(token, out _);

    /// <summary>Says how a route stands. Nothing is said of one that is over.</summary>
    public void Tell(ServedRoute route, string? why, DateTimeOffset? until)
    {
        lock (_served)
        {
            if (_served.GetValueOrDefault(route.Id) == route)
                files.Write(route.Id, new RouteState(self, route.Written.Place, route.Route.Hostname, route.IsServing, why, until));
        }
    }

    public async Task FollowAsync(CancellationToken cancel)
    {
        using var watcher = new FileSystemWatcher(files.Run, "*.route");
        watcher.Renamed += (_, _) => Hint();
        watcher.Deleted += (_, _) => Hint();
        watcher.Created += (_, _) => Hint();
        watcher.Error += (_, _) => Hint();
        watcher.EnableRaisingEvents = true;
        while (true)
        {
            Load();
            await _changed.WaitAsync(Sweep, cancel);
        }
    }

    /// <summary>Makes what is served what the files say.</summary>
    public void Load()
    {
        var changed = false;
        lock (_served)
        {
            var written = files.Routes().Select(id => (Id: id, Route: files.Route(id))).Where(r => r.Route is not null).ToDictionary(r => r.Id, r => r.Route!);
            foreach (var (id, route) in _served.Where(s => written.GetValueOrDefault(s.Key) != s.Value.Written).ToList())
            {
                _served.Remove(id);
                Publish();
                route.Dispose();
                Count(route);
                foreach (var (token, _) in _challenges.Where(c => c.Value.Route == route))
                    Forget(token);
                log.Write($"{route.Route.Hostname}: no longer served ({id})");
                changed = true;
            }
            foreach (var (id, route) in written.Where(w => !_served.ContainsKey(w.Key)))
                changed |= Add(id, route);
            if (changed)
                Publish();
            foreach (var id in files.States().Where(id => !_served.ContainsKey(id)))
                files.DeleteState(id);
            foreach (var route in _served.Values)
                Count(route);
        }
        if (changed)
            Changed?.Invoke();
    }

    public void Dispose()
    {
        foreach (var route in _served.Values)
        {
            route.Dispose();
            Count(route);
        }
        _changed.Dispose();
    }

    // What is counted between two sweeps is lost when this process is killed: nobody pays for it. What it has not counted itself it does not write: another may have.
    private void Count(ServedRoute route)
    {
        if (route.Traffic is var traffic && traffic == route.Told)
            return;
        try
        {
            files.Write(route.Id, traffic);
            route.Told = traffic;
        }
        catch (IOException)
        {
            // A full disk ends no connection, and the next sweep writes it.
        }
    }

    private bool Add(ContainerId id, WrittenRoute written)
    {
        try
        {
            var route = new ServedRoute(id, written, files.Traffic(id));
            _served[id] = route;
            files.Write(id, new RouteState(self, written.Place, written.Route.Hostname, route.IsServing, null, null));
            log.Write($"{written.Route.Hostname}: {written.Route.Tls} to {written.Route.Backend} ({id})");
            return true;
        }
        catch (IOException e)
        {
            // Its place has ended: the agent makes another and says so.
            log.Write($"{written.Route.Hostname}: {e.Message}");
            return false;
        }
    }

    // While a name passes from one agreement to the next, both routes may be there for a moment: the later is meant.
    private void Publish() => Volatile.Write(ref _byName, _served.Values.GroupBy(r => r.Route.Hostname)
        .ToImmutableDictionary(g => g.Key, g => g.MaxBy(r => (files.Written(r.Id), r.Id.ToString()))!, StringComparer.Ordinal));

    private void Hint()
    {
        try
        {
            _changed.Release();
        }
        catch (Exception e) when (e is SemaphoreFullException or ObjectDisposedException)
        {
            // Somebody rang already, or nobody listens any more.
        }
    }
}
