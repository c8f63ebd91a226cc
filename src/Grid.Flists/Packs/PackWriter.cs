using System.Collections.Immutable;
using System.Security.Cryptography;
using Grid.Flists.Build;
using Grid.Flists.Store;
using Grid.Units;

namespace Grid.Flists.Packs;

/// <summary>
/// Packs the chunks of a build into a store that lacks them. Frames are compressed on all cores and written in the order their chunks came, so the same
/// chunks make the same packs. At most <c>4 × cores</c> frames are under way, whatever the size of the tree.
/// </summary>
public sealed class PackWriter : IContentSink, IAsyncDisposable
{
    private readonly DirectoryStore _store;
    private readonly Queue<Task<EncodedFrame>> _pending = new();
    private readonly int _maximumPending;
    private readonly HashSet<Digest> _seen = [];
    private readonly ImmutableArray<PackFrame>.Builder _frames = ImmutableArray.CreateBuilder<PackFrame>();
    private FrameBuffer _small = new();
    private StagedFile? _pack;
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private int _length;
    private int _tableLength;

    public PackWriter(DirectoryStore store, int? cores = null)
    {
        _store = store;
        _maximumPending = 4 * (cores ?? Environment.ProcessorCount);
    }

    /// <summary>Bytes of new chunks, and what they take as stored frames.</summary>
    public (long Content, long Stored) Written { get; private set; }

    public async ValueTask AddAsync(ChunkBytes chunk, CancellationToken cancellation)
    {
        using (chunk)
        {
            if (chunk.Hash == PackLimits.ZeroChunk || _store.TryFind(chunk.Hash, out _) || !_seen.Add(chunk.Hash))
                return;
            if (chunk.Bytes.Length > PackLimits.SmallChunk)
            {
                var alone = new FrameBuffer();
                alone.Add(chunk.Hash, chunk.Bytes.Span);
                await EnqueueAsync(alone).ConfigureAwait(false);
                return;
            }
            if (_small.Length + chunk.Bytes.Length > PackLimits.FrameFill)
                await FlushSmallAsync().ConfigureAwait(false);
            _small.Add(chunk.Hash, chunk.Bytes.Span);
        }
    }

    /// <summary>Writes what is left. After it, every chunk that was added is in the store.</summary>
    public async ValueTask CompleteAsync(CancellationToken cancellation)
    {
        await FlushSmallAsync().ConfigureAwait(false);
        while (_pending.TryDequeue(out var next))
        {
            cancellation.ThrowIfCancellationRequested();
            Write(await next.ConfigureAwait(false));
        }
        ClosePack();
    }

    public async ValueTask DisposeAsync()
    {
        // What was under way ends before its buffers go back; its outcome no longer matters.
        foreach (var task in _pending)
            await task.ContinueWith(t => t.IsCompletedSuccessfully ? 0 : t.Exception?.HResult, TaskScheduler.Default).ConfigureAwait(false);
        _pack?.Dispose();
        _hash.Dispose();
    }

    private async ValueTask FlushSmallAsync()
    {
        if (_small.Length == 0)
            return;
        var full = _small;
        _small = new FrameBuffer();
        await EnqueueAsync(full).ConfigureAwait(false);
    }

    private async ValueTask EnqueueAsync(FrameBuffer frame)
    {
        _pending.Enqueue(Task.Run(() => frame.Encode(_store.Codec)));
        while (_pending.Count > _maximumPending || (_pending.Count > 0 && _pending.Peek().IsCompleted))
            Write(await _pending.Dequeue().ConfigureAwait(false));
    }

    private void Write(EncodedFrame frame)
    {
        var entry = PackTable.EntryLength(frame.Chunks.Length);
        if (_length + frame.Stored.Length + _tableLength + entry + PackTable.TrailerLength > PackLimits.PackLength)
            ClosePack();
        _pack ??= _store.Stage();
        _pack.Stream.Write(frame.Stored.Span);
        _hash.AppendData(frame.Stored.Span);
        _frames.Add(new PackFrame(_length, frame.Stored.Length, frame.Length, frame.Chunks));
        _length += frame.Stored.Length;
        _tableLength += entry;
        Written = (Written.Content + frame.Length, Written.Stored + frame.Stored.Length);
    }

    private void ClosePack()
    {
        if (_pack is null)
            return;
        var table = new PackTable(_frames.ToImmutable());
        var bytes = table.Encode();
        _pack.Stream.Write(bytes);
        _pack.Stream.Flush();
        _hash.AppendData(bytes);
        _store.CommitPack(_pack, new Digest(_hash.GetHashAndReset()), table);
        _pack.Dispose();
        _pack = null;
        // The store knows them from here on.
        foreach (var frame in _frames)
            _seen.ExceptWith(frame.Chunks.Select(c => c.Hash));
        _frames.Clear();
        (_length, _tableLength) = (0, 0);
    }

    private sealed record EncodedFrame(ReadOnlyMemory<byte> Stored, int Length, ImmutableArray<PackChunk> Chunks);

    private sealed class FrameBuffer
    {
        private readonly byte[] _content = GC.AllocateUninitializedArray<byte>(PackLimits.FrameFill);
        private readonly ImmutableArray<PackChunk>.Builder _chunks = ImmutableArray.CreateBuilder<PackChunk>(1);

        public int Length { get; private set; }

        public void Add(Digest hash, ReadOnlySpan<byte> bytes)
        {
            bytes.CopyTo(_content.AsSpan(Length));
            _chunks.Add(new PackChunk(hash, Length, bytes.Length));
            Length += bytes.Length;
        }

        public EncodedFrame Encode(FrameCodec codec)
        {
            var stored = GC.AllocateUninitializedArray<byte>(Length);
            var length = codec.Encode(_content.AsSpan(0, Length), stored);
            return new EncodedFrame(stored.AsMemory(0, length), Length, _chunks.ToImmutable());
        }
    }
}
