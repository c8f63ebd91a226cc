using System.Buffers;
using System.Collections.Concurrent;
using Grid.Flists.Packs;
using Grid.Flists.Zstd;
using Grid.Units;

namespace Grid.Flists.Hub;

/// <param name="Meta">the largest meta file, uncompressed, that is accepted</param>
/// <param name="Index">the largest index that is accepted</param>
public sealed record SourceLimits(int Meta = 512 << 20, int Index = 256 << 20);

/// <summary>
/// An flist that lies at hubs: its manifest and tree, verified, and its chunks, each verified before it is handed out. Every hub is asked by its own
/// index, so a hub that lies about places or bytes is passed over for the next.
/// </summary>
public sealed class FlistSource : IDisposable
{
    private const int ParallelRequests = 8;
    private const int FrameMemoryBytes = 32 << 20;

    private readonly HubClient _hubs;
    private readonly SourceLimits _limits;
    private readonly FrameCodec _codec = new(ZstdCodec.Best);
    private readonly FrameMemory _memory = new(FrameMemoryBytes);
    private readonly SemaphoreSlim _requests = new(ParallelRequests);
    private readonly ConcurrentDictionary<HubConnection, PackIndex> _indexes = [];
    private readonly SemaphoreSlim _indexing = new(1);

    internal FlistSource(FlistId id, Manifest manifest, MetaFile meta, HubClient hubs, SourceLimits limits)
    {
        (Id, Manifest, Meta, _hubs, _limits) = (id, manifest, meta, hubs, limits);
    }

    public FlistId Id { get; }

    public Manifest Manifest { get; }

    public MetaFile Meta { get; }

    /// <summary>Fetches and verifies manifest and tree, into memory.</summary>
    /// <exception cref="HubException">no hub has them, whole and right</exception>
    public static async Task<FlistSource> OpenAsync(FlistId id, HubClient hubs, SourceLimits limits, CancellationToken cancellation)
    {
        var manifest = Manifest.Decode(await hubs.GetManifestAsync(id, cancellation).ConfigureAwait(false));
        var meta = await hubs.TryEachAsync(async (hub, inner) =>
        {
            var expanded = new MemoryStream();
            await GetMetaAsync(hub, manifest.Root, expanded, limits.Meta, inner).ConfigureAwait(false);
            return LoadFrom(hub, expanded.GetBuffer().AsMemory(0, (int)expanded.Length), manifest.Root);
        }, cancellation).ConfigureAwait(false);
        return new FlistSource(id, manifest, meta, hubs, limits);
    }

    /// <summary>The bytes of a chunk of this flist.</summary>
    /// <exception cref="HubException">no hub has it, whole and right</exception>
    public async Task<byte[]> ReadChunkAsync(Digest chunk, CancellationToken cancellation)
    {
        if (chunk == PackLimits.ZeroChunk)
            return new byte[Chunk.Size];
        byte[]? bytes = null;
        await FetchAsync([chunk], FrameRun.MaximumLength, (_, found) => bytes = found.ToArray(), oneByOne: false, cancellation).ConfigureAwait(false);
        return bytes!;
    }

    /// <summary>Asks whether every chunk is at some hub: null when the hubs say so, <see cref="RefusalCode.FlistIncomplete"/> when not.</summary>
    /// <exception cref="HubException">no hub could be asked</exception>
    public async Task<Refusal?> ProveCompleteAsync(CancellationToken cancellation)
    {
        var chunks = Enumerable.Range(0, Meta.DistinctChunkCount).Select(Meta.DistinctChunk).ToArray();
        var missing = await _hubs.MissingAsync(chunks, cancellation).ConfigureAwait(false);
        return missing.IsEmpty ? null : new Refusal(
            RefusalCode.FlistIncomplete, $"{missing.Length} of {chunks.Length} chunks of {Id} are at no hub; the first is {missing[0]}.", "Push the flist again.");
    }

    public void Dispose()
    {
        _codec.Dispose();
        _requests.Dispose();
        _indexing.Dispose();
    }

    /// <summary>
    /// Fetches chunks and hands each out as it comes, verified, from several threads at a time; the bytes are the receiver's only during the call.
    /// </summary>
    /// <param name="chunks">each once</param>
    /// <param name="requestLength">at most so many bytes in a request, unless one frame is longer</param>
    /// <param name="deliver">takes a chunk</param>
    /// <param name="oneByOne">a request begins when the one before has ended; otherwise all that may</param>
    /// <param name="cancellation">ends the requests</param>
    /// <exception cref="HubException">some chunk could not be had from any hub; the others were handed out</exception>
    internal Task FetchAsync(
        IEnumerable<Digest> chunks, int requestLength, Action<Digest, ReadOnlyMemory<byte>> deliver, bool oneByOne, CancellationToken cancellation)
    {
        var left = new ConcurrentDictionary<Digest, bool>(chunks.Select(c => KeyValuePair.Create(c, true)));
        return _hubs.TryEachAsync(async (hub, inner) =>
        {
            var index = await IndexAsync(hub, inner).ConfigureAwait(false);
            var wanted = new List<(Digest Hash, ChunkLocation At)>();
            foreach (var (chunk, _) in left)
            {
                if (index.TryFind(chunk, out var at) && !TryFromMemory(hub, chunk, at, left, deliver))
                    wanted.Add((chunk, at));
            }
            var runs = FrameRun.Plan(wanted, requestLength).Select(run => RunAsync(hub, run, left, deliver, inner));
            var failures = oneByOne ? await InTurnAsync(runs).ConfigureAwait(false) : await Task.WhenAll(runs).ConfigureAwait(false);
            if (left.IsEmpty)
                return true;
            // The index may have been made anew since: the next round asks for it again.
            _indexes.TryRemove(hub, out _);
            throw failures.FirstOrDefault(f => f is not null) ?? new HubException(HubFailure.NotFound, hub.Address, $"The hub does not have the chunk {left.First().Key}.");
        }, cancellation);
    }

    internal static async Task GetMetaAsync(HubConnection hub, Digest root, Stream expanded, int maximum, CancellationToken cancellation) =>
        await hub.GetAsync($"v1/meta/{root}", maximum, async (body, inner) =>
        {
            using var zstd = new ZstdReadStream(body, maximum, ZstdCodec.Best);
            await zstd.CopyToAsync(expanded, inner).ConfigureAwait(false);
        }, cancellation).ConfigureAwait(false);

    internal static MetaFile LoadFrom(HubConnection hub, ReadOnlyMemory<byte> bytes, Digest root)
    {
        try
        {
            return MetaFile.Load(bytes, root);
        }
        catch (FlistFormatException e)
        {
            throw new HubException(HubFailure.WrongBytes, hub.Address, e.Message, e);
        }
    }

    private bool TryFromMemory(HubConnection hub, Digest chunk, ChunkLocation at, ConcurrentDictionary<Digest, bool> left, Action<Digest, ReadOnlyMemory<byte>> deliver)
    {
        if (_memory.TryGet(KeyOf(hub, at)) is not { } frame)
            return false;
        var bytes = frame.AsMemory(at.Offset, at.Length);
        if (Chunk.Hash(bytes.Span) != chunk)
            return false;
        deliver(chunk, bytes);
        left.TryRemove(chunk, out _);
        return true;
    }

    private async Task<HubException?> RunAsync(
        HubConnection hub, FrameRun run, ConcurrentDictionary<Digest, bool> left, Action<Digest, ReadOnlyMemory<byte>> deliver, CancellationToken cancellation)
    {
        await _requests.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            HubException? wrong = null;
            await hub.GetRangeAsync(run.Pack, run.From, run.Length, async (body, inner) =>
            {
                var at = run.From;
                foreach (var wanted in run.Frames)
                {
                    await SkipAsync(body, wanted.Frame.FrameOffset - at, inner).ConfigureAwait(false);
                    at = wanted.Frame.FrameEnd;
                    wrong = await FrameAsync(hub, wanted, body, left, deliver, inner).ConfigureAwait(false) ?? wrong;
                }
            }, cancellation).ConfigureAwait(false);
            return wrong;
        }
        catch (HubException e)
        {
            return e;
        }
        finally
        {
            _requests.Release();
        }
    }

    private async Task<HubException?> FrameAsync(
        HubConnection hub, WantedFrame wanted, Stream body, ConcurrentDictionary<Digest, bool> left, Action<Digest, ReadOnlyMemory<byte>> deliver, CancellationToken cancellation)
    {
        var stored = ArrayPool<byte>.Shared.Rent(wanted.Frame.StoredLength);
        // A frame of several chunks is kept for its neighbours; one of a single chunk goes back to the pool.
        var shared = wanted.Frame.Length < wanted.Frame.FrameLength;
        var content = shared ? new byte[wanted.Frame.FrameLength] : ArrayPool<byte>.Shared.Rent(wanted.Frame.FrameLength);
        try
        {
            await body.ReadExactlyAsync(stored.AsMemory(0, wanted.Frame.StoredLength), cancellation).ConfigureAwait(false);
            _codec.Decode(stored.AsSpan(0, wanted.Frame.StoredLength), content.AsSpan(0, wanted.Frame.FrameLength));
            foreach (var (hash, at) in wanted.Chunks)
            {
                var bytes = content.AsMemory(at.Offset, at.Length);
                if (Chunk.Hash(bytes.Span) != hash)
                    return HubClient.WrongBytes(hub, $"The bytes for the chunk {hash} do not have that hash.");
                deliver(hash, bytes);
                left.TryRemove(hash, out _);
            }
            if (shared)
                _memory.Put(KeyOf(hub, wanted.Frame), content);
            return null;
        }
        catch (PackFormatException e)
        {
            return new HubException(HubFailure.WrongBytes, hub.Address, e.Message, e);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(stored);
            if (!shared)
                ArrayPool<byte>.Shared.Return(content);
        }
    }

    private async Task<PackIndex> IndexAsync(HubConnection hub, CancellationToken cancellation)
    {
        if (_indexes.TryGetValue(hub, out var known))
            return known;
        await _indexing.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (_indexes.TryGetValue(hub, out known))
                return known;
            return _indexes[hub] = await HubClient.GetIndexAsync(hub, Id, _limits.Index, cancellation).ConfigureAwait(false);
        }
        finally
        {
            _indexing.Release();
        }
    }

    // The sequence begins each when it is reached.
    private static async Task<HubException?[]> InTurnAsync(IEnumerable<Task<HubException?>> runs)
    {
        var failures = new List<HubException?>();
        foreach (var run in runs)
            failures.Add(await run.ConfigureAwait(false));
        return [.. failures];
    }

    private static FrameMemory.Key KeyOf(HubConnection hub, ChunkLocation at) => new(hub.Address, at.Pack, at.FrameOffset, at.StoredLength, at.FrameLength);

    private static async Task SkipAsync(Stream body, int count, CancellationToken cancellation)
    {
        if (count == 0)
            return;
        var scrap = ArrayPool<byte>.Shared.Rent(count);
        try
        {
            await body.ReadExactlyAsync(scrap.AsMemory(0, count), cancellation).ConfigureAwait(false);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(scrap);
        }
    }
}
