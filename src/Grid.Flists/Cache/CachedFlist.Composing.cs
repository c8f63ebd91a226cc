using Grid.Flists.Content;
using Grid.Flists.Erofs;
using Grid.Flists.Store;
using Grid.Units;

namespace Grid.Flists.Cache;

/// <summary>What is all here becomes an image.</summary>
public sealed partial class CachedFlist
{
    // Looked at only, a file takes some µs; what takes longer was hashed.
    private static readonly TimeSpan Noticeable = TimeSpan.FromMilliseconds(1);

    /// <summary>
    /// Hashes what is here and was not hashed in this boot, and makes the image by which a kernel shows it (<see cref="WholeFlist"/>), unless there is one or the
    /// tree fits into none. One process at a time does so with a cache, and rests four times as long as it hashes: nobody waits for it, and after a boot there is
    /// much to do.
    /// </summary>
    /// <returns>false when a file is not here, or was here and was not right</returns>
    /// <exception cref="IOException">the cache cannot be written</exception>
    public async Task<bool> ComposeBehindAsync(TimeSpan quiet, CancellationToken cancellation)
    {
        await using var turn = await _cache.Files.TurnAsync(_cache.Time, cancellation).ConfigureAwait(false);
        _cache.Files.RemoveUnprovenImages();
        if (!ErofsLayout.Fits(Meta) || WholeFlist.Read(_cache.Files, Id, Meta.Root) is not null)
            return true;
        using var staged = new StagedFile(_cache.Files.Staging);
        var image = new ErofsImage(Meta, staged.Stream.SafeFileHandle);
        var seals = new Dictionary<Digest, Seal>();
        var buffer = new byte[Chunk.Size];
        for (var inode = 0; inode < Meta.Count; inode++)
        {
            if (!image.Has(inode))
                continue;
            await _quiet.ForAsync(quiet, cancellation).ConfigureAwait(false);
            var began = _cache.Time.GetTimestamp();
            using var file = TryOpenComplete(inode, cancellation);
            if (file is null)
                return false;
            seals[Meta.Content(inode)] = Seal.Of(file);
            // What is copied is read once more, and hashed as it is copied: it is always the last chunk.
            if (image.Copied(inode) is var copied and > 0)
            {
                var last = buffer.AsMemory(0, RandomAccess.Read(file, buffer.AsSpan(0, copied), Meta[inode].Size - copied));
                if (Chunk.Hash(last.Span) != Meta.Chunk(inode, Chunk.CountOf(Meta[inode].Size) - 1))
                {
                    _cache.Files.RemoveObject(Meta.Content(inode));
                    return false;
                }
                image.Put(inode, last.Span);
            }
            if (_cache.Time.GetElapsedTime(began) is var worked && worked > Noticeable)
                await Task.Delay(4 * worked, _cache.Time, cancellation).ConfigureAwait(false);
        }
        _cache.AddImage(Id, Meta.Root, staged, image.Length, [.. image.Devices.Select(d => Meta.Content(d)).Select(c => (c, seals[c]))]);
        return true;
    }
}
