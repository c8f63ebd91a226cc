using System.Buffers;
using System.Collections.Immutable;
using System.Security.Cryptography;
using Grid.Flists.Build;
using Grid.Flists.Store;
using Grid.Units;

namespace Grid.Flists.Packs;

/// <summary>
/// Packs the chunks of a build into a store that lacks them. Frames are compressed on all cores and written in the order their chunks came, so the same
/// chunks make the same packs. At most <c>4 × cores</c> frames are under way, whatever the size of the tree, and one pack is being synced while the next
/// is written.
/// </summary>
public sealed class PackWriter : IContentSink, IAsyncDisposable
{
    private readonly DirectoryStore _store;
    private readonly Queue<Task<EncodedFrame>> _pending = new();
    private readonly int _maximumPending;
    private readonly HashSet<Digest> _seen = [];
    private readonly ImmutableArray<PackFrame>.Builder _frames = ImmutableArray.CreateBuilder<PackFrame>();
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private SharedFrame? _small;
    private StagedFile? _pack;
    private Task<PackTable?> _committing = Task.FromResult<PackTable?>(null);
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
        if (chunk.Hash == PackLimits.ZeroChunk || _store.TryFind(chunk.Hash, out _) || !_seen.Add(chunk.Hash))
        {
            chunk.Dispose();
            return;
        }
        if (chunk.Bytes.Length > PackLimits.SmallChunk)
        {
            await EnqueueAsync(() => Encode(chunk)).ConfigureAwait(false);
            return;
        }
        using (chunk)
        {
            if (_small?.Length + chunk.Bytes.Length > PackLimits.FrameFill)
                await FlushSmallAsync().ConfigureAwait(false);
            (_small ??= new SharedFrame()).Add(chunk.Hash, chunk.Bytes.Span);
        }
    }

    /// <summary>Writes what is left. After it, every chunk that was added is in the store.</summary>
    public async ValueTask CompleteAsync(CancellationToken cancellation)
    {
        await FlushSmallAsync().ConfigureAwait(false);
        while (_pending.TryDequeue(out var next))
        {
            cancellation.ThrowIfCancellationRequested();
            await WriteAsync(await next.ConfigureAwait(false)).ConfigureAwait(false);
        }
        await ClosePackAsync().ConfigureAwait(false);
        await CommittedAsync().ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        // What was under way ends before its buffers go back; its outcome no longer matters.
        foreach (var task in _pending)
            await task.ContinueWith(t => t.IsCompletedSuccessfully ? Return(t.Result) : t.Exception?.HResult, TaskScheduler.Default).ConfigureAwait(false);
        await _committing.ContinueWith(t => t.Exception?.HResult, TaskScheduler.Default).ConfigureAwait(false);
        _small?.Dispose();
        _pack?.Dispose();
        _hash.Dispose();

        static int? Return(EncodedFrame frame)
        {
            frame.Dispose();
            return 0;
        }
    }

    private async ValueTask FlushSmallAsync()
    {
        if (_small is not { } full)
            return;
        _small = null;
        await EnqueueAsync(() => Encode(full)).ConfigureAwait(false);
    }

    private async ValueTask EnqueueAsync(Func<EncodedFrame> encode)
    {
        _pending.Enqueue(Task.Run(encode));
        while (_pending.Count > _maximumPending || (_pending.Count > 0 && _pending.Peek().IsCompleted))
            await WriteAsync(await _pending.Dequeue().ConfigureAwait(false)).ConfigureAwait(false);
    }

    private EncodedFrame Encode(ChunkBytes chunk)
    {
        using (chunk)
            return EncodedFrame.Of(chunk.Bytes.Span, [new PackChunk(chunk.Hash, 0, chunk.Bytes.Length)], _store.Codec);
    }

    private EncodedFrame Encode(SharedFrame frame)
    {
        using (frame)
            return EncodedFrame.Of(frame.Content, frame.Chunks, _store.Codec);
    }

    private async ValueTask WriteAsync(EncodedFrame frame)
    {
        using (frame)
        {
            var entry = PackTable.EntryLength(frame.Chunks.Length);
            if (_length + frame.Stored.Length + _tableLength + entry + PackTable.TrailerLength > PackLimits.PackLength)
                await ClosePackAsync().ConfigureAwait(false);
            _pack ??= _store.Stage();
            _pack.Stream.Write(frame.Stored);
            _hash.AppendData(frame.Stored);
            _frames.Add(new PackFrame(_length, frame.Stored.Length, frame.Length, frame.Chunks));
            _length += frame.Stored.Length;
            _tableLength += entry;
            Written = (Written.Content + frame.Length, Written.Stored + frame.Stored.Length);
        }
    }

    private async ValueTask ClosePackAsync()
    {
        if (_pack is not { } pack)
            return;
        var table = new PackTable(_frames.ToImmutable());
        var bytes = table.Encode();
        pack.Stream.Write(bytes);
        pack.Stream.Flush();
        _hash.AppendData(bytes);
        var name = new Digest(_hash.GetHashAndReset());
        await CommittedAsync().ConfigureAwait(false);
        _pack = null;
        // A sync waits for the disk, and the cores need not.
        _committing = Task.Run(() =>
        {
            using (pack)
                _store.CommitPack(pack, name, table);
            return (PackTable?)table;
        });
        _frames.Clear();
        (_length, _tableLength) = (0, 0);
    }

    private async ValueTask CommittedAsync()
    {
        var table = await _committing.ConfigureAwait(false);
        _committing = Task.FromResult<PackTable?>(null);
        // The store knows them from here on.
        foreach (var frame in table?.Frames ?? [])
            _seen.ExceptWith(frame.Chunks.Select(c => c.Hash));
    }

    /// <summary>A frame as it will lie in the pack, in a rented buffer.</summary>
    private sealed class EncodedFrame(byte[] rented, int stored, int length, ImmutableArray<PackChunk> chunks) : IDisposable
    {
        public ReadOnlySpan<byte> Stored => rented.AsSpan(0, stored);

        public int Length => length;

        public ImmutableArray<PackChunk> Chunks => chunks;

        public static EncodedFrame Of(ReadOnlySpan<byte> content, ImmutableArray<PackChunk> chunks, FrameCodec codec)
        {
            var rented = ArrayPool<byte>.Shared.Rent(content.Length);
            return new EncodedFrame(rented, codec.Encode(content, rented), content.Length, chunks);
        }

        public void Dispose() => ArrayPool<byte>.Shared.Return(rented);
    }

    /// <summary>Small chunks that will be compressed together.</summary>
    private sealed class SharedFrame : IDisposable
    {
        private readonly byte[] _content = ArrayPool<byte>.Shared.Rent(PackLimits.FrameFill);
        private readonly ImmutableArray<PackChunk>.Builder _chunks = ImmutableArray.CreateBuilder<PackChunk>();

        public int Length { get; private set; }

        public ReadOnlySpan<byte> Content => _content.AsSpan(0, Length);

        public ImmutableArray<PackChunk> Chunks => _chunks.ToImmutable();

        public void Add(Digest hash, ReadOnlySpan<byte> bytes)
        {
            bytes.CopyTo(_content.AsSpan(Length));
            _chunks.Add(new PackChunk(hash, Length, bytes.Length));
            Length += bytes.Length;
        }

        public void Dispose() => ArrayPool<byte>.Shared.Return(_content);
    }
}
