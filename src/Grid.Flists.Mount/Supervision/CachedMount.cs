using Grid.Flists.Cache;
using Grid.Flists.Content;
using Grid.Flists.Hub;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount;

/// <summary>
/// What a mount serves: an flist of the machine's cache, fetched from the hubs as it is touched, and the rest of it while nobody waits, so that the mount
/// soon needs no hub any more.
/// </summary>
public sealed class CachedMount : IFlistContent, IAsyncDisposable
{
    // Long enough that a program which starts is not met between two of its reads.
    private static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(5);

    private readonly HubClient _hubs;
    private readonly FlistCache _cache;
    private readonly CachedFlist _flist;

    private readonly CancellationTokenSource _ending = new();
    private readonly Task _completing;

    private CachedMount(HubClient hubs, FlistCache cache, CachedFlist flist)
    {
        (_hubs, _cache, _flist) = (hubs, cache, flist);
        _completing = Task.Run(CompleteAsync);
    }

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
        await _ending.CancelAsync().ConfigureAwait(false);
        await _completing.ConfigureAwait(false);
        _ending.Dispose();
        _flist.Dispose();
        await _cache.DisposeAsync().ConfigureAwait(false);
        _hubs.Dispose();
    }

    private async Task CompleteAsync()
    {
        try
        {
            for (var pause = FirstPause; ; pause = pause * 2 < LongestPause ? pause * 2 : LongestPause)
            {
                try
                {
                    await _flist.CompleteBehindAsync(Quiet, _ending.Token).ConfigureAwait(false);
                    // What was here and was not right is gone, and fetched again.
                    if (await ComposeAsync().ConfigureAwait(false))
                        break;
                }
                catch (FlistReadException)
                {
                    // A hub that is away or wrong: whoever reads what is missing is told why, and it is tried again here.
                }
                await Task.Delay(pause, _ending.Token).ConfigureAwait(false);
            }
            // The largest work of its life is done, and it may live for months: what that was done with goes back to the machine.
            await Task.Delay(Quiet, _ending.Token).ConfigureAwait(false);
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive);
        }
        catch (OperationCanceledException) when (_ending.IsCancellationRequested)
        {
            // Unmounted.
        }
    }

    private async Task<bool> ComposeAsync()
    {
        try
        {
            return !ComposedMount.IsPossible(_cache) || await _flist.ComposeBehindAsync(Quiet, _ending.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is (IOException and not FlistReadException) or UnauthorizedAccessException)
        {
            // A full or failing disk: this mount serves on, and so will the next.
            return true;
        }
    }
}
