using System.Collections.Concurrent;
using Grid.Flists.Content;
using Grid.Flists.Erofs;
using Grid.Flists.Hub;
using Grid.Flists.Store;
using Grid.Units;

namespace Grid.Flists.Cache;

/// <param name="MaximumBytes">what the cache may take; flists that are open stay whatever it costs</param>
public sealed record CacheOptions(long MaximumBytes = long.MaxValue, SourceLimits? Limits = null)
{
    public SourceLimits Sources { get; } = Limits ?? new SourceLimits();
}

/// <summary>
/// What this machine has of flists, shared by all of them and by all processes that open the same directory. Nothing is believed because it is there.
/// </summary>
public sealed class FlistCache : IAsyncDisposable
{
    private readonly HubClient _hubs;
    private readonly CacheOptions _options;
    private readonly TimeProvider _time;
    private readonly ConcurrentDictionary<Digest, DateTimeOffset> _touched = [];
    private readonly SemaphoreSlim _finishing = new(1);
    private readonly CancellationTokenSource _closing = new();
    private readonly Eviction _eviction;
    private int _finishings;

    private FlistCache(string directory, HubClient hubs, CacheOptions options, TimeProvider time)
    {
        (_hubs, _options, _time) = (hubs, options, time);
        Files = new CacheFiles(directory);
        Partials = new PartialFiles(Files);
        _eviction = new Eviction(Files, options.MaximumBytes);
    }

    internal CacheFiles Files { get; }

    internal PartialFiles Partials { get; }

    internal TimeProvider Time => _time;

    internal CancellationToken Closing => _closing.Token;

    /// <summary>Opens a cache, or makes one. The hubs remain the caller's.</summary>
    public static FlistCache Open(string directory, HubClient hubs, CacheOptions? options = null, TimeProvider? time = null) =>
        new(directory, hubs, options ?? new CacheOptions(), time ?? TimeProvider.System);

    /// <summary>The bytes in a cache that its eviction counts, without opening it; 0 where there is none.</summary>
    public static long SizeOf(string directory) => ((string[])["objects", "partial", "meta", "images"]).Select(part => new DirectoryInfo(Path.Combine(directory, part)))
        .Where(part => part.Exists).SelectMany(part => part.EnumerateFiles("*", SearchOption.AllDirectories)).Where(file => file.Exists && file.Extension != ".map").Sum(file => file.Length);

    /// <summary>
    /// Opens an flist: manifest and tree from here or from a hub, verified either way. No hub is needed when they are here. It is pinned until it is disposed.
    /// </summary>
    /// <exception cref="FlistReadException">they could not be had, whole and right</exception>
    public async Task<CachedFlist> OpenAsync(FlistId id, CancellationToken cancellation)
    {
        try
        {
            var manifest = Manifest.Decode(await ManifestAsync(id, cancellation).ConfigureAwait(false));
            var pin = Files.Pin(manifest.Root);
            try
            {
                var meta = TryLoadMeta(manifest.Root) ?? await FetchMetaAsync(manifest.Root, cancellation).ConfigureAwait(false);
                return new CachedFlist(this, new FlistSource(id, manifest, meta.Meta, _hubs, _options.Sources), meta, pin);
            }
            catch
            {
                await pin.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }
        catch (Exception e) when (e is HubException or FormatException)
        {
            throw new FlistReadException($"{id} cannot be opened: {e.Message}", e);
        }
    }

    /// <summary>To see whether a kernel mounts such a file from here, and how it reads it.</summary>
    public Trial Try() => new(Files.Staging);

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        // Whoever finishes a file holds this; afterwards nobody will begin.
        await _finishing.WaitAsync().ConfigureAwait(false);
        Partials.Dispose();
        _eviction.Dispose();
        _finishing.Dispose();
        _closing.Dispose();
    }

    /// <summary>An object that was hashed in this boot and looks as it did then; null when there is none, and then a wrong one is gone.</summary>
    internal Microsoft.Win32.SafeHandles.SafeFileHandle? TryOpenObject(Digest content, MetaFile meta, int inode, CancellationToken cancellation = default)
    {
        var file = Files.TryOpenObject(content);
        if (file is null)
            return null;
        if (!Files.IsProven(content, Seal.Of(file)))
        {
            if (!Matches(file, meta, inode, cancellation))
            {
                file.Dispose();
                Files.RemoveObject(content);
                return null;
            }
            Files.Prove(content, file);
        }
        Touch(content);
        return file;
    }

    /// <summary>True when there is an object, proven or not.</summary>
    internal bool HasObject(Digest content) => File.Exists(Files.ObjectPath(content));

    internal void AddObject(Digest content, ReadOnlySpan<byte> bytes)
    {
        Files.AddObject(content, bytes);
        _eviction.Added(bytes.Length);
    }

    /// <summary>Makes the image of a tree whose every object was hashed in this boot.</summary>
    /// <param name="length">where the image ends</param>
    /// <param name="devices">the objects that are devices of it, as they were then</param>
    internal void AddImage(FlistId id, Digest root, StagedFile image, long length, IReadOnlyList<(Digest, Seal)> devices)
    {
        ImageSeals.Write(image.Stream.SafeFileHandle, length, devices);
        var bytes = image.Stream.Length;
        var path = Path.Combine(Files.Images, WholeFlist.NameOf(id, root));
        // Not synced: the next boot makes it anew.
        image.Commit(path, durable: false);
        using var made = CacheFiles.TryOpen(path);
        if (made is not null)
            Files.Prove(id.Value, made);
        _eviction.Added(bytes);
    }

    internal void Wrote(int bytes) => _eviction.Added(bytes);

    /// <summary>Makes an object of a partial file that is complete, behind the readers' backs: they go on reading the partial file.</summary>
    internal void Finish(Digest content, long size)
    {
        if (Closing.IsCancellationRequested)
            return;
        Interlocked.Increment(ref _finishings);
        _ = FinishAsync(content, size);
    }

    /// <summary>Waits until no file is being finished.</summary>
    internal async Task FinishedAsync(CancellationToken cancellation)
    {
        while (Volatile.Read(ref _finishings) > 0)
        {
            await _finishing.WaitAsync(cancellation).ConfigureAwait(false);
            _finishing.Release();
            await Task.Yield();
        }
    }

    private async Task FinishAsync(Digest content, long size)
    {
        try
        {
            await _finishing.WaitAsync(Closing).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            // It stays a complete partial file and is finished the next time it is read.
            Interlocked.Decrement(ref _finishings);
            return;
        }
        try
        {
            await Task.Run(() =>
            {
                using var lease = Partials.Open(content, size);
                if (lease.File.IsComplete && !File.Exists(Files.ObjectPath(content)))
                    Files.AddObject(content, lease.File.Data);
                Partials.Forget(content);
            }).ConfigureAwait(false);
        }
        catch (IOException)
        {
            // A full or failing disk: the partial file still serves, and the next reader tries again.
        }
        finally
        {
            Interlocked.Decrement(ref _finishings);
            _finishing.Release();
        }
    }

    private void Touch(Digest content)
    {
        var now = _time.GetUtcNow();
        if (_touched.TryGetValue(content, out var last) && now - last < TimeSpan.FromMinutes(1))
            return;
        if (_touched.Count > 100_000)
            _touched.Clear();
        _touched[content] = now;
        Files.Touch(content, now);
    }

    private static bool Matches(Microsoft.Win32.SafeHandles.SafeFileHandle file, MetaFile meta, int inode, CancellationToken cancellation)
    {
        var size = meta[inode].Size;
        if (RandomAccess.GetLength(file) != size)
            return false;
        var buffer = new byte[(int)long.Min(size, Chunk.Size)];
        for (long n = 0; n < Chunk.CountOf(size); n++)
        {
            cancellation.ThrowIfCancellationRequested();
            var length = (int)long.Min(Chunk.Size, size - (n << Chunk.SizeLog2));
            if (RandomAccess.Read(file, buffer.AsSpan(0, length), n << Chunk.SizeLog2) != length || Chunk.Hash(buffer.AsSpan(0, length)) != meta.Chunk(inode, n))
                return false;
        }
        return true;
    }

    private async Task<byte[]> ManifestAsync(FlistId id, CancellationToken cancellation)
    {
        var path = Files.ManifestPath(id);
        if (File.Exists(path))
        {
            var known = await File.ReadAllBytesAsync(path, cancellation).ConfigureAwait(false);
            if (Manifest.IdOf(known) == id)
                return known;
        }
        var bytes = await _hubs.GetManifestAsync(id, cancellation).ConfigureAwait(false);
        using var staged = new StagedFile(Files.Staging);
        staged.Stream.Write(bytes);
        staged.Commit(path);
        return bytes;
    }

    private LoadedMeta? TryLoadMeta(Digest root)
    {
        if (!File.Exists(Files.MetaPath(root)))
            return null;
        try
        {
            return Load(Files.MetaPath(root), root);
        }
        catch (Exception e) when (e is FlistFormatException or IOException)
        {
            CacheFiles.Remove(Files.MetaPath(root));
            return null;
        }
    }

    private Task<LoadedMeta> FetchMetaAsync(Digest root, CancellationToken cancellation) => _hubs.TryEachAsync(async (hub, inner) =>
    {
        using var staged = new StagedFile(Files.Staging);
        await FlistSource.GetMetaAsync(hub, root, staged.Stream, _options.Sources.Meta, inner).ConfigureAwait(false);
        await staged.Stream.FlushAsync(inner).ConfigureAwait(false);
        try
        {
            var loaded = Load(staged.Path, root);
            staged.Commit(Files.MetaPath(root));
            return loaded;
        }
        catch (Exception e) when (e is FlistFormatException)
        {
            throw HubClient.WrongBytes(hub, e.Message);
        }
    }, cancellation);

    private static LoadedMeta Load(string path, Digest root)
    {
        if (new FileInfo(path).Length == 0)
            throw new FlistFormatException(FlistFormatCode.BadLength, "The meta file is empty.");
        var memory = new MappedFile(path);
        try
        {
            return new LoadedMeta(MetaFile.Load(memory.Memory, root), memory);
        }
        catch
        {
            ((IDisposable)memory).Dispose();
            throw;
        }
    }
}
