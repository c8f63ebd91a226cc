using Grid.Flists.Content;
using Grid.Flists.Hub;
using Grid.Flists.Packs;
using Grid.Flists.Store;
using Grid.Units;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Cache;

/// <param name="Bytes">of files that are complete here</param>
public readonly record struct CompletionProgress(long Files, long TotalFiles, long Bytes, long TotalBytes);

/// <summary>An flist that is open: its verified tree, and its files, fetched when they are touched and verified before anyone sees them.</summary>
public sealed partial class CachedFlist : IFlistContent, IDisposable
{
    // Small enough that two cores decode at a time, large enough that a request costs little.
    private const int ReadRequest = 2 << 20;
    private const int BatchChunks = 512;
    private const int BatchFiles = 2048;
    private const int BehindChunks = ReadRequest / Chunk.Size;
    // Writing a small file costs more than fetching it, and a read that comes meanwhile shares the processor with what was begun.
    private const int BehindFiles = 64;

    private readonly FlistCache _cache;
    private readonly FlistSource _source;
    private readonly LoadedMeta _memory;
    private readonly FileStream _pin;
    private readonly ReadAhead _readAhead = new();
    private readonly Flights _flights;
    private readonly Quiet _quiet;

    internal CachedFlist(FlistCache cache, FlistSource source, LoadedMeta memory, FileStream pin)
    {
        (_cache, _source, _memory, _pin) = (cache, source, memory, pin);
        _flights = new Flights(cache, source);
        _quiet = new Quiet(cache.Time);
    }

    public FlistId Id => _source.Id;

    public Manifest Manifest => _source.Manifest;

    public MetaFile Meta => _source.Meta;

    public SafeFileHandle? TryOpenComplete(int inode) => TryOpenComplete(inode, CancellationToken.None);

    private SafeFileHandle? TryOpenComplete(int inode, CancellationToken cancellation)
    {
        var (content, size) = FileAt(inode);
        var file = _cache.TryOpenObject(content, Meta, inode, cancellation);
        if (file is null && size == 0)
        {
            _cache.AddObject(content, []);
            file = _cache.TryOpenObject(content, Meta, inode, cancellation);
        }
        return file;
    }

    public async ValueTask<int> ReadAsync(int inode, long offset, Memory<byte> buffer, CancellationToken cancellation)
    {
        var (content, size) = FileAt(inode);
        if (offset >= size || buffer.IsEmpty)
            return 0;
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        buffer = buffer[..(int)long.Min(buffer.Length, size - offset)];
        try
        {
            if (TryReadObject(content, inode, buffer.Span, offset))
                return buffer.Length;
            using var waiting = _quiet.Begin();
            if (size <= Chunk.Size)
            {
                await _flights.EnsureAsync([new Want(inode, content, size, 0, Meta.Chunk(inode, 0))], ReadRequest).WaitAsync(cancellation).ConfigureAwait(false);
                if (TryReadObject(content, inode, buffer.Span, offset))
                    return buffer.Length;
                throw new FlistReadException("The file left the cache while it was read.");
            }
            await ReadPartialAsync(inode, content, size, offset, buffer, cancellation).ConfigureAwait(false);
            return buffer.Length;
        }
        catch (Exception e) when (e is HubException or PackFormatException || (e is IOException and not FlistReadException))
        {
            throw new FlistReadException($"Inode {inode} of {Id}: {e.Message}", e);
        }
    }

    /// <summary>Fetches what is missing of a file.</summary>
    /// <exception cref="FlistReadException"/>
    public Task CompleteAsync(int inode, CancellationToken cancellation) => CompleteAsync([inode], null, cancellation);

    /// <summary>Fetches everything that is missing, in the order of the packs as far as may be.</summary>
    /// <exception cref="FlistReadException"/>
    public Task CompleteAsync(IProgress<CompletionProgress>? progress, CancellationToken cancellation) =>
        CompleteAsync(Enumerable.Range(0, Meta.Count).Where(i => Meta[i].Type == EntryType.File), progress, cancellation);

    /// <summary>Unpins the flist. No read may be under way.</summary>
    public void Dispose()
    {
        _flights.WaitAll();
        _source.Dispose();
        _memory.Dispose();
        _pin.Dispose();
    }

    /// <summary>
    /// Fetches everything that is missing, in the order of the packs as far as may be, and behind all reads: 2 MiB at a time, one request after the other,
    /// begun only when no read has waited for a fetch for <paramref name="quiet"/>. A read that begins meanwhile finds the other requests free.
    /// </summary>
    /// <exception cref="FlistReadException"/>
    public async Task CompleteBehindAsync(TimeSpan quiet, CancellationToken cancellation)
    {
        var batch = new List<Want>();
        var bytes = 0L;
        try
        {
            for (var inode = 0; inode < Meta.Count; inode++)
            {
                // What is here is hashed when it is first read, not now.
                if (Meta[inode].Type != EntryType.File || _cache.HasObject(Meta.Content(inode)))
                    continue;
                var chunks = Chunk.CountOf(Meta[inode].Size);
                for (long n = 0; n < chunks; n += BehindChunks)
                {
                    var missing = Missing(inode, n, long.Min(n + BehindChunks, chunks));
                    batch.AddRange(missing);
                    bytes += long.Min((long)missing.Count << Chunk.SizeLog2, Meta[inode].Size);
                    if (bytes >= ReadRequest || batch.Count >= BehindFiles)
                        await FlushAsync().ConfigureAwait(false);
                }
            }
            await FlushAsync().ConfigureAwait(false);
            await _cache.FinishedAsync(cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (e is HubException or PackFormatException || (e is IOException and not FlistReadException))
        {
            throw new FlistReadException($"{Id} cannot be completed: {e.Message}", e);
        }

        async Task FlushAsync()
        {
            if (batch.Count == 0)
                return;
            await _quiet.ForAsync(quiet, cancellation).ConfigureAwait(false);
            await _flights.EnsureAsync(batch, ReadRequest, oneByOne: true).WaitAsync(cancellation).ConfigureAwait(false);
            batch.Clear();
            bytes = 0;
        }
    }

    private async Task ReadPartialAsync(int inode, Digest content, long size, long offset, Memory<byte> buffer, CancellationToken cancellation)
    {
        var (first, last) = (offset >> Chunk.SizeLog2, (offset + buffer.Length - 1) >> Chunk.SizeLog2);
        var ahead = _readAhead.Next(inode, first, last, Chunk.CountOf(size));
        using var lease = _cache.Partials.Open(content, size);
        var wanted = Missing(lease.File, inode, first, last + 1);
        var later = Missing(lease.File, inode, ahead.From, ahead.To);
        // One call, so that what is read now and what comes next travel together where they lie together.
        var flights = _flights.Begin([.. wanted, .. later], ReadRequest);
        foreach (var flight in flights.Take(wanted.Count))
            await flight.WaitAsync(cancellation).ConfigureAwait(false);
        for (var n = first; n <= last; n++)
        {
            if (!lease.File.Has(n, Meta.Chunk(inode, n)))
                throw new FlistReadException($"Chunk {n} of inode {inode} left the cache while it was read.");
        }
        if (lease.File.Read(buffer.Span, offset) != buffer.Length)
            throw new FlistReadException($"Inode {inode} became shorter while it was read.");
        if (lease.File.IsComplete)
            _cache.Finish(content, size);
    }

    private List<Want> Missing(PartialFile file, int inode, long from, long to)
    {
        var wants = new List<Want>();
        for (var n = from; n < to; n++)
        {
            var hash = Meta.Chunk(inode, n);
            if (!file.Has(n, hash))
                wants.Add(new Want(inode, file.Content, file.Size, n, hash));
        }
        return wants;
    }

    private async Task CompleteAsync(IEnumerable<int> inodes, IProgress<CompletionProgress>? progress, CancellationToken cancellation)
    {
        try
        {
            var all = inodes.DistinctBy(Meta.Content).ToList();
            var total = all.Sum(i => Meta[i].Size);
            var (files, bytes) = (0L, 0L);
            var batch = new List<Want>();
            var started = 0;
            for (var i = 0; i < all.Count; i++)
            {
                var chunks = IsComplete(all[i]) ? 0 : Chunk.CountOf(Meta[all[i]].Size);
                for (long n = 0; n < chunks; n += BatchChunks)
                {
                    batch.AddRange(Missing(all[i], n, long.Min(n + BatchChunks, chunks)));
                    if (batch.Count >= BatchChunks)
                        await FlushAsync().ConfigureAwait(false);
                }
                if (i - started < BatchFiles && i + 1 < all.Count)
                    continue;
                await FlushAsync().ConfigureAwait(false);
                for (; started <= i; started++)
                    (files, bytes) = (files + 1, bytes + Meta[all[started]].Size);
                progress?.Report(new CompletionProgress(files, all.Count, bytes, total));
            }

            async Task FlushAsync()
            {
                cancellation.ThrowIfCancellationRequested();
                await _flights.EnsureAsync(batch, FrameRun.MaximumLength).WaitAsync(cancellation).ConfigureAwait(false);
                batch.Clear();
            }
            await _cache.FinishedAsync(cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (e is HubException or PackFormatException || (e is IOException and not FlistReadException))
        {
            throw new FlistReadException($"{Id} cannot be completed: {e.Message}", e);
        }
    }

    private bool IsComplete(int inode)
    {
        using var file = TryOpenComplete(inode);
        return file is not null;
    }

    private List<Want> Missing(int inode, long from, long to)
    {
        var (content, size) = FileAt(inode);
        if (size <= Chunk.Size)
            return [new Want(inode, content, size, 0, Meta.Chunk(inode, 0))];
        using var lease = _cache.Partials.Open(content, size);
        var missing = Missing(lease.File, inode, from, to);
        if (lease.File.IsComplete)
            _cache.Finish(content, size);
        return missing;
    }

    private bool TryReadObject(Digest content, int inode, Span<byte> buffer, long offset)
    {
        using var file = _cache.TryOpenObject(content, Meta, inode);
        return file is not null && RandomAccess.Read(file, buffer, offset) == buffer.Length;
    }

    private (Digest Content, long Size) FileAt(int inode) => Meta[inode].Type == EntryType.File
        ? (Meta.Content(inode), Meta[inode].Size) : throw new FlistReadException($"Inode {inode} of {Id} is no file.");
}
