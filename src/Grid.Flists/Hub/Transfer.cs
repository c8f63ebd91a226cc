using Grid.Flists.Content;
using Grid.Flists.Packs;
using Grid.Flists.Store;
using Grid.Units;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Hub;

/// <param name="Packs">packs that had to travel and have</param>
/// <param name="Bytes">of those packs</param>
public readonly record struct TransferProgress(int Packs, int PackCount, long Bytes, long TotalBytes);

/// <summary>
/// Carries whole flists between a local store and a hub. Only packs with something missing travel; what arrived stays, so an interrupted transfer goes on
/// where it stopped when it is asked for again.
/// </summary>
public static class Transfer
{
    /// <summary>Puts an flist that is complete in the store onto a hub: packs, then tree, then manifest, which publishes it.</summary>
    /// <exception cref="HubException">the hub failed or refused</exception>
    /// <exception cref="FlistReadException">the store does not have the whole flist</exception>
    public static async Task PushAsync(DirectoryStore from, FlistId id, HubConnection hub, IProgress<TransferProgress>? progress, CancellationToken cancellation)
    {
        var manifest = from.TryReadManifest(id) ?? throw new FlistReadException($"{id} is not in the store.");
        var root = Manifest.Decode(manifest).Root;
        using var loaded = from.TryLoadMeta(root) ?? throw new FlistReadException($"The tree of {id} is not in the store.");
        var chunks = Enumerable.Range(0, loaded.Meta.DistinctChunkCount).Select(loaded.Meta.DistinctChunk).Where(c => c != PackLimits.ZeroChunk).ToArray();
        var missing = await HubClient.MissingAsync(hub, chunks, cancellation).ConfigureAwait(false);
        var packs = new HashSet<Digest>();
        foreach (var chunk in missing)
            packs.Add(from.TryFind(chunk, out var at) ? at.Pack : throw new FlistReadException($"The chunk {chunk} of {id} is not in the store."));
        await EachPackAsync(packs.Select(p => (p, from.PackLength(p))), progress, async (pack, inner) =>
        {
            using var handle = from.TryOpenPack(pack) ?? throw new FlistReadException($"The pack {pack} left the store.");
            await PutAsync(hub, $"v1/packs/{pack}", handle, inner).ConfigureAwait(false);
        }, cancellation).ConfigureAwait(false);
        using (var handle = from.TryOpenMeta(root) ?? throw new FlistReadException($"The tree of {id} left the store."))
            await PutAsync(hub, $"v1/meta/{root}", handle, cancellation).ConfigureAwait(false);
        using var body = new MemoryStream(manifest);
        await hub.PutAsync($"v1/flists/{id}", body, cancellation).ConfigureAwait(false);
    }

    /// <summary>Fetches a whole flist into a store and publishes it there.</summary>
    /// <exception cref="HubException">no hub has it, whole and right</exception>
    /// <exception cref="FlistReadException">what came does not make the flist whole</exception>
    public static async Task PullAsync(HubClient hubs, FlistId id, DirectoryStore to, SourceLimits limits, IProgress<TransferProgress>? progress, CancellationToken cancellation)
    {
        var manifest = await hubs.GetManifestAsync(id, cancellation).ConfigureAwait(false);
        var root = Manifest.Decode(manifest).Root;
        await hubs.TryEachAsync(async (hub, inner) =>
        {
            await hub.GetAsync($"v1/meta/{root}", limits.Meta, (body, token) => to.PutMetaAsync(root, body, token), inner).ConfigureAwait(false);
            return true;
        }, cancellation).ConfigureAwait(false);
        using (var loaded = to.TryLoadMeta(root) ?? throw new FlistReadException($"The tree of {id} left the store."))
        {
            var chunks = Enumerable.Range(0, loaded.Meta.DistinctChunkCount).Select(loaded.Meta.DistinctChunk).ToArray();
            await hubs.TryEachAsync(async (hub, inner) =>
            {
                var index = await HubClient.GetIndexAsync(hub, id, limits.Index, inner).ConfigureAwait(false);
                var wanted = new HashSet<Digest>();
                foreach (var chunk in to.Missing(chunks))
                {
                    if (index.TryFind(chunk, out var at))
                        wanted.Add(at.Pack);
                }
                await EachPackAsync(index.Packs.Where(p => wanted.Contains(p.Pack)), progress, (pack, token) =>
                    hub.GetAsync($"v1/packs/{pack}", PackLimits.PackLength, (body, t) => to.PutPackAsync(pack, body, t), token), inner).ConfigureAwait(false);
                return to.Missing(chunks) is [] ? true : throw new HubException(HubFailure.NotFound, hub.Address, "The hub does not have every chunk.");
            }, cancellation).ConfigureAwait(false);
        }
        if (to.Publish(id, manifest, cancellation) is { } refusal)
            throw new FlistReadException(refusal.ToString());
    }

    private static async Task EachPackAsync(
        IEnumerable<(Digest Pack, int Length)> packs, IProgress<TransferProgress>? progress, Func<Digest, CancellationToken, Task> carry, CancellationToken cancellation)
    {
        var all = packs.ToArray();
        var total = all.Sum(p => (long)p.Length);
        var (done, bytes) = (0, 0L);
        var options = new ParallelOptions { MaxDegreeOfParallelism = 4, CancellationToken = cancellation };
        await Parallel.ForEachAsync(all, options, async (pack, inner) =>
        {
            await carry(pack.Pack, inner).ConfigureAwait(false);
            progress?.Report(new TransferProgress(Interlocked.Increment(ref done), all.Length, Interlocked.Add(ref bytes, pack.Length), total));
        }).ConfigureAwait(false);
    }

    private static async Task PutAsync(HubConnection hub, string path, SafeFileHandle handle, CancellationToken cancellation)
    {
        using var body = new FileStream(handle, FileAccess.Read, bufferSize: 0, isAsync: true);
        await hub.PutAsync(path, body, cancellation).ConfigureAwait(false);
    }
}
