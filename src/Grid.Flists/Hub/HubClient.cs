using System.Collections.Immutable;
using System.Runtime.ExceptionServices;
using Grid.Flists.Packs;
using Grid.Units;

namespace Grid.Flists.Hub;

/// <summary>
/// Several hubs that may hold the same things. They are tried in the order given, those that failed last after those that did not; none is believed.
/// </summary>
public sealed class HubClient : IDisposable
{
    private readonly HubClientOptions _options;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private ImmutableArray<HubConnection> _order;

    /// <exception cref="ArgumentException">no address</exception>
    public HubClient(IEnumerable<string> addresses, HubClientOptions? options = null, TimeProvider? time = null)
    {
        (_options, _time) = (options ?? HubClientOptions.Default, time ?? TimeProvider.System);
        Hubs = [.. addresses.Select(a => new HubConnection(a, _options, _time))];
        _order = Hubs.Length > 0 ? Hubs : throw new ArgumentException("At least one hub is needed.", nameof(addresses));
    }

    public ImmutableArray<HubConnection> Hubs { get; }

    /// <summary>The manifest as published, verified against its id.</summary>
    /// <exception cref="HubException"/>
    public Task<byte[]> GetManifestAsync(FlistId id, CancellationToken cancellation) => TryEachAsync(async (hub, inner) =>
    {
        var bytes = await hub.GetAsync($"v1/flists/{id}/manifest", FlistLimits.ManifestLength, inner).ConfigureAwait(false);
        return Manifest.IdOf(bytes) == id ? bytes : throw WrongBytes(hub, $"The manifest does not hash to {id}.");
    }, cancellation);

    /// <summary>Where one hub says the chunks lie.</summary>
    /// <exception cref="HubException"/>
    public static async Task<PackIndex> GetIndexAsync(HubConnection hub, FlistId id, int maximum, CancellationToken cancellation)
    {
        var bytes = await hub.GetAsync($"v1/flists/{id}/index", maximum, cancellation).ConfigureAwait(false);
        try
        {
            return PackIndex.Load(bytes);
        }
        catch (PackFormatException e)
        {
            throw new HubException(HubFailure.WrongBytes, hub.Address, e.Message, e);
        }
    }

    /// <summary>The chunks that no hub has, asked in batches of 10,000.</summary>
    /// <exception cref="HubException">a hub could not be asked, and the others lack some</exception>
    public async Task<ImmutableArray<Digest>> MissingAsync(IReadOnlyList<Digest> chunks, CancellationToken cancellation)
    {
        HubException? failure = null;
        var missing = chunks;
        foreach (var hub in Order())
        {
            try
            {
                missing = await MissingAsync(hub, missing, cancellation).ConfigureAwait(false);
                if (missing.Count == 0)
                    return [];
            }
            catch (HubException e)
            {
                failure = e;
            }
        }
        if (failure is not null)
            ExceptionDispatchInfo.Throw(failure);
        return [.. missing];
    }

    /// <summary>The chunks that this hub says it lacks.</summary>
    /// <exception cref="HubException"/>
    public static async Task<IReadOnlyList<Digest>> MissingAsync(HubConnection hub, IReadOnlyList<Digest> chunks, CancellationToken cancellation)
    {
        var missing = new List<Digest>();
        foreach (var batch in chunks.Chunk(10_000))
            missing.AddRange(await hub.MissingAsync(batch, cancellation).ConfigureAwait(false));
        return missing;
    }

    /// <summary>Does something with the first hub that can; goes round again while hubs are busy, slow or away.</summary>
    /// <exception cref="HubException">what the last hub said</exception>
    public async Task<T> TryEachAsync<T>(Func<HubConnection, CancellationToken, Task<T>> act, CancellationToken cancellation)
    {
        var delay = _options.RetryDelay;
        for (var round = 1; ; round++)
        {
            HubException? worth = null, last = null;
            foreach (var hub in Order())
            {
                try
                {
                    return await act(hub, cancellation).ConfigureAwait(false);
                }
                catch (HubException e)
                {
                    last = e;
                    if (e.Failure is HubFailure.Busy or HubFailure.TimedOut or HubFailure.Unreachable)
                        worth = e;
                    MoveBack(hub);
                }
            }
            if (worth is null || round >= _options.Attempts)
                ExceptionDispatchInfo.Throw(worth ?? last!);
            await Task.Delay(delay, _time, cancellation).ConfigureAwait(false);
            delay *= 2;
        }
    }

    public void Dispose()
    {
        foreach (var hub in Hubs)
            hub.Dispose();
    }

    /// <summary>The hubs, those that failed last at the end.</summary>
    internal ImmutableArray<HubConnection> Order()
    {
        lock (_lock)
            return _order;
    }

    internal void MoveBack(HubConnection hub)
    {
        lock (_lock)
            _order = _order.Remove(hub).Add(hub);
    }

    internal static HubException WrongBytes(HubConnection hub, string message) => new(HubFailure.WrongBytes, hub.Address, message);
}
