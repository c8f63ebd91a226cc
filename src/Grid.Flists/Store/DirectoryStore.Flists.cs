using System.Collections.Immutable;
using Grid.Flists.Packs;
using Grid.Flists.Zstd;
using Grid.Units;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Store;

/// <summary>A meta file that was verified up to its root, in memory while this lives.</summary>
public sealed class LoadedMeta(MetaFile meta, IDisposable memory) : IDisposable
{
    public MetaFile Meta { get; } = meta;

    public void Dispose() => memory.Dispose();
}

public sealed partial class DirectoryStore
{
    private readonly Lock _listLock = new();
    private readonly SortedSet<string> _flists = new(StringComparer.Ordinal);

    public bool HasMeta(Digest root) => File.Exists(MetaPath(root));

    /// <summary>The meta file as it travels: one zstd stream.</summary>
    public SafeFileHandle? TryOpenMeta(Digest root) => TryOpen(MetaPath(root));

    /// <summary>Stores a compressed meta file if it loads to that root; false when it was there already.</summary>
    /// <exception cref="FormatException">it does not decompress, or is not the meta file of that root</exception>
    public async Task<bool> PutMetaAsync(Digest root, Stream compressed, CancellationToken cancellation)
    {
        if (HasMeta(root))
            return false;
        using var staged = new StagedFile(Staging);
        await CopyAsync(compressed, staged.Stream, _options.MaximumMeta, cancellation).ConfigureAwait(false);
        using (Load(staged.Path, root))
            staged.Commit(MetaPath(root));
        return true;
    }

    public void PutMeta(MetaFile meta)
    {
        if (HasMeta(meta.Root))
            return;
        using var staged = new StagedFile(Staging);
        using (var zstd = new ZstdWriteStream(staged.Stream, ZstdCodec.Best))
            zstd.Write(meta.Bytes.Span);
        staged.Commit(MetaPath(meta.Root));
    }

    /// <summary>Loads a meta file and verifies it; null when it is not there.</summary>
    /// <exception cref="FormatException">the store has been damaged</exception>
    public LoadedMeta? TryLoadMeta(Digest root) => HasMeta(root) ? Load(MetaPath(root), root) : null;

    public byte[]? TryReadManifest(FlistId id) => File.Exists(ManifestPath(id)) ? File.ReadAllBytes(ManifestPath(id)) : null;

    public SafeFileHandle? TryOpenIndex(FlistId id) => TryOpen(IndexPath(id));

    /// <summary>The published flists after one, in the order of their ids.</summary>
    public ImmutableArray<FlistId> List(FlistId? after, int limit)
    {
        lock (_listLock)
        {
            IEnumerable<string> view = _flists;
            if (after is { } last && _flists.Count > 0)
                view = string.CompareOrdinal(last.ToString(), _flists.Max) >= 0 ? [] : _flists.GetViewBetween(last.ToString(), _flists.Max);
            return [.. view.Where(t => t != after?.ToString()).Take(limit).Select(Id.Parse<FlistId>)];
        }
    }

    /// <summary>
    /// Publishes an flist: its meta file must load to the root, agree with the manifest, and every chunk must lie in a pack that was verified by this
    /// process. Null when it is published now or was before.
    /// </summary>
    public Refusal? Publish(FlistId id, ReadOnlyMemory<byte> manifestBytes, CancellationToken cancellation)
    {
        if (Manifest.IdOf(manifestBytes.Span) != id)
            return new Refusal(RefusalCode.FlistInvalid, $"The manifest does not hash to {id}.");
        LoadedMeta? loaded;
        Manifest manifest;
        try
        {
            manifest = Manifest.Decode(manifestBytes);
            loaded = TryLoadMeta(manifest.Root);
        }
        catch (FormatException e)
        {
            return new Refusal(RefusalCode.FlistInvalid, e.Message);
        }
        if (loaded is null)
            return new Refusal(RefusalCode.FlistIncomplete, $"The meta file {manifest.Root} is not here.", "Upload it to /v1/meta first.");
        using (loaded)
        {
            var counted = Manifest.Of(loaded.Meta, manifest.Platform, manifest.Start, manifest.Source);
            if (counted.Counts != manifest.Counts || counted.Size != manifest.Size || counted.Chunks != manifest.Chunks)
                return new Refusal(RefusalCode.FlistInvalid, "The counts of the manifest are not those of its tree.");
            if (Locate(loaded.Meta, cancellation, out var locations, out var lengths) is { } refusal)
                return refusal;
            using var index = new StagedFile(Staging);
            index.Stream.Write(PackIndex.Encode(lengths, locations));
            index.Commit(IndexPath(id));
        }
        // The manifest is what publishes: it comes last.
        using var staged = new StagedFile(Staging);
        staged.Stream.Write(manifestBytes.Span);
        staged.Commit(ManifestPath(id));
        lock (_listLock)
            _flists.Add(id.ToString());
        return null;
    }

    // Every distinct chunk with its place, or why not. Packs are proven here, so a location names bytes that were hashed.
    private Refusal? Locate(MetaFile meta, CancellationToken cancellation, out List<KeyValuePair<Digest, ChunkLocation>> locations, out Dictionary<Digest, int> lengths)
    {
        locations = new(meta.DistinctChunkCount);
        lengths = [];
        var missing = 0;
        var first = default(Digest);
        for (var i = 0; i < meta.DistinctChunkCount; i++)
        {
            var chunk = meta.DistinctChunk(i);
            if (chunk == PackLimits.ZeroChunk)
                continue;
            if (!_lookup.TryFind(chunk, out var location) || (!lengths.ContainsKey(location.Pack) && !Prove(location.Pack, cancellation)))
            {
                if (missing++ == 0)
                    first = chunk;
                continue;
            }
            lengths.TryAdd(location.Pack, _lookup.LengthOf(location.Pack));
            locations.Add(new(chunk, location));
        }
        return missing == 0 ? null : new Refusal(
            RefusalCode.FlistIncomplete, $"{missing} of {meta.DistinctChunkCount} chunks are not here; the first is {first}.",
            "Ask /v1/missing which they are and upload packs that hold them.");
    }

    private LoadedMeta Load(string compressedPath, Digest root)
    {
        // The expanded file has no name from the start on: only the mapping keeps it.
        using var expanded = new StagedFile(Staging);
        using (var zstd = new ZstdReadStream(File.OpenRead(compressedPath), _options.MaximumMeta, ZstdCodec.Best))
            zstd.CopyTo(expanded.Stream);
        expanded.Stream.Flush();
        if (expanded.Stream.Length == 0)
            throw new ZstdFormatException("The meta file is empty.");
        var memory = new MappedFile(expanded.Path);
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

    private void FindFlists()
    {
        foreach (var path in Directory.EnumerateFiles(Path.Combine(_directory, "flists"), "*.manifest"))
        {
            var text = Path.GetFileNameWithoutExtension(path);
            if (Id.TryParse<FlistId>(text, out _))
                _flists.Add(text);
        }
    }

    private string MetaPath(Digest root) => HashPath("meta", root, ".zst");

    private string ManifestPath(FlistId id) => Path.Combine(_directory, "flists", $"{id}.manifest");

    private string IndexPath(FlistId id) => Path.Combine(_directory, "flists", $"{id}.index");
}
