using System.Collections.Immutable;
using System.Diagnostics;
using Grid.Gateways;
using Grid.Node.Containers;
using Grid.Node.Networks;
using Grid.Reconciliation;

namespace Grid.Node.Gateways;

/// <summary>
/// Makes, observes and removes the gateways of this node; decides nothing. What is there is told by processes and by files that can be lost: a
/// gateway without its files is made again. Effects on one gateway must not overlap; on different ones they may.
/// </summary>
internal sealed class GatewayHost : IDisposable
{
    private static readonly TimeSpan Cut = TimeSpan.FromSeconds(2), Search = TimeSpan.FromMilliseconds(100);

    private readonly NetworkNamespace _node;
    private readonly GatewayFiles _files;
    private readonly GatewayPlaces _places;
    private readonly FrontProcess _front;

    // The front lives while there is a route: two who write the first and remove the last must not cross.
    private readonly Lock _one = new();

    private GatewayHost(GatewayOptions? options, NetworkNamespace node, string data, string run)
    {
        (_node, _files) = (node, new GatewayFiles(data, run));
        _places = new GatewayPlaces(node, run);
        _front = new FrontProcess(options, _files, node, data, run);
    }

    /// <param name="options">null: what is there can be removed, and nothing can be opened</param>
    /// <param name="data">survives a reboot; keys and certificates are kept below it</param>
    /// <param name="run">tells this node's gateways from those of other nodes of the machine</param>
    /// <returns>null, and in <paramref name="why"/> what is missing</returns>
    public static GatewayHost? Open(GatewayOptions? options, string data, string run, out string why)
    {
        why = "";
        if (!Environment.IsPrivilegedProcess)
            why = "gateways need root";
        else if (new[] { GatewayPlaces.Unshare, GatewayPlaces.Sleep, FrontProcess.Setpriv, Programs.Nsenter, Programs.Setsid }.FirstOrDefault(p => !File.Exists(p)) is { } program)
            why = $"{program} is not installed";
        else
            return new GatewayHost(options, NetworkNamespace.Open("/proc/self/ns/net"), data, run);
        return null;
    }

    public GatewayFiles Files => _files;

    /// <summary>The process in whose namespace the gateway's tunnel is.</summary>
    public ProcessIdentity? PlaceOf(ContainerId id) => _places.Find()[id].Select(p => (ProcessIdentity?)p).FirstOrDefault();

    public IReadOnlyDictionary<ContainerId, (GatewaySeen Seen, ProcessIdentity? Place)> Observe()
    {
        var places = _places.Find();
        var all = places.Select(p => p.Key).Union(_files.Routes()).Union(_files.States()).Union(_files.Counted()).ToList();
        if (all.Count == 0)
            return ImmutableDictionary<ContainerId, (GatewaySeen, ProcessIdentity?)>.Empty;
        var front = _front.Find();
        return all.ToImmutableDictionary(id => id, id =>
        {
            var (route, state) = (_files.Route(id), _files.State(id));
            ProcessIdentity? place = places[id].Count() == 1 ? places[id].Single() : null;
            var whole = front is not null && route is not null && place == route.Place;
            var told = whole && state is not null && state.Front == front && state.Place == place && state.Hostname == route!.Route.Hostname;
            return (new GatewaySeen(route?.Route, whole, told && state!.Serving, told ? state!.Why : null), place ?? places[id].Select(p => (ProcessIdentity?)p).FirstOrDefault());
        });
    }

    /// <summary>What went between it and the world since it was opened; null while nothing was counted.</summary>
    public RouteTraffic? Traffic(ContainerId id) => _files.Traffic(id);

    /// <summary>Makes its place, unless it is there.</summary>
    /// <returns>null, and why not</returns>
    public async Task<(ProcessIdentity? Place, Outcome Outcome)> PlaceAsync(ContainerId id)
    {
        ProcessIdentity? place = null;
        var outcome = await Effect.Run(() =>
        {
            var there = _places.Find()[id].ToList();
            if (!there.Skip(1).All(GatewayPlaces.End))
                return new Outcome.Transient($"a second place of {id} does not end");
            place = there.Count > 0 ? there[0] : _places.Make(id);
            return new Outcome.Done();
        });
        return (place, outcome);
    }

    /// <summary>Says the route, and sees to it that there is who serves it.</summary>
    public Task<Outcome> OpenAsync(ContainerId id, Route route, ProcessIdentity place) => Effect.Run(() =>
    {
        lock (_one)
        {
            _files.Make();
            var written = new WrittenRoute(route, place);
            if (_files.Route(id) != written)
                _files.Write(id, written);
            _front.Start();
        }
        return new Outcome.Done();
    });

    /// <summary>When it is over the world has no way in: no route, no connection, no key. Its place stays, with what is bound to that, until <see cref="LeaveAsync"/>.</summary>
    public Task<Outcome> CloseAsync(ContainerId id) => Effect.Run(() =>
    {
        bool last;
        lock (_one)
        {
            _files.DeleteRoute(id);
            last = !_files.Routes().Any();
            if (last && !_front.EndAll())
                return new Outcome.Transient("The gateway's front does not end.");
        }
        // Many that end at once wait beside each other.
        if (!last && !Gone(id))
            return new Outcome.Transient($"The front still holds {id}.");
        _files.DeleteState(id);
        if (Directory.Exists(_files.Certificate(id)))
            Directory.Delete(_files.Certificate(id), recursive: true);
        return new Outcome.Done();
    });

    /// <summary>
    /// Ends its place in its network. What went through it is seen once more after that, for the last receipt; done again, nothing of it is seen any more.
    /// </summary>
    public Task<Outcome> LeaveAsync(ContainerId id) => Effect.Run(() =>
    {
        var places = _places.Find()[id].ToList();
        if (!places.TrueForAll(GatewayPlaces.End))
            return new Outcome.Transient($"The place of {id} does not end.");
        if (places.Count == 0)
            _files.DeleteTraffic(id);
        return new Outcome.Done();
    });

    public void Dispose() => _node.Dispose();

    // The front says so by its file. One that has ended holds nothing any more, and says nothing; to look for it takes longer.
    private bool Gone(ContainerId id)
    {
        var next = TimeSpan.Zero;
        for (var clock = Stopwatch.StartNew(); clock.Elapsed < Cut; Thread.Sleep(2))
        {
            if (_files.State(id) is null)
                return true;
            if (clock.Elapsed < next)
                continue;
            if (_front.Find() is null)
                return true;
            next = clock.Elapsed + Search;
        }
        return false;
    }
}
