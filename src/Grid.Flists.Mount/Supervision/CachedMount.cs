using Grid.Flists.Cache;
using Grid.Flists.Content;
using Grid.Flists.Hub;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount;

/// <summary>What a mount serves: an flist of the machine's cache, fetched from the hubs as it is touched.</summary>
public sealed class CachedMount : IFlistContent, IAsyncDisposable
{
    private readonly HubClient _hubs;
    private readonly FlistCache _cache;
    private readonly CachedFlist _flist;

    private CachedMount(HubClient hubs, FlistCache cache, CachedFlist flist) => (_hubs, _cache, _flist) = (hubs, cache, flist);

    /// <summary>Opens the flist of a mount; <see cref="MountVerbs.TryRun(string[])"/> uses it.</summary>
    /// <exception cref="FlistReadException">the manifest or the tree could not be had, or was wrong</exception>
    public static async Task<OpenedFlist> OpenAsync(MountSpec spec, CancellationToken cancellation)
    {
        var hubs = new HubClient(spec.Hubs.Select(h => h.AbsoluteUri));
        var cache = FlistCache.Open(spec.CacheDirectory, hubs);
        try
        {
            var flist = await cache.OpenAsync(spec.Flist, cancellation).ConfigureAwait(false);
            return new OpenedFlist(flist.Meta, new CachedMount(hubs, cache, flist));
        }
        catch
        {
            await cache.DisposeAsync().ConfigureAwait(false);
            hubs.Dispose();
            throw;
        }
    }

    public SafeFileHandle? TryOpenComplete(int inode) => _flist.TryOpenComplete(inode);

    public ValueTask<int> ReadAsync(int inode, long offset, Memory<byte> buffer, CancellationToken cancellation) =>
        _flist.ReadAsync(inode, offset, buffer, cancellation);

    public async ValueTask DisposeAsync()
    {
        _flist.Dispose();
        await _cache.DisposeAsync().ConfigureAwait(false);
        _hubs.Dispose();
    }
}
