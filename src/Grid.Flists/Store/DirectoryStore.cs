using System.Collections.Immutable;
using Grid.Flists.Packs;
using Grid.Flists.Zstd;
using Grid.Units;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Store;

/// <param name="MaximumBytes">what all packs together may take</param>
/// <param name="MaximumMeta">how large one meta file may be, uncompressed</param>
public sealed record StoreOptions(long MaximumBytes = long.MaxValue, int MaximumMeta = FlistLimits.MetaLength);

/// <summary>The store holds as much as it may.</summary>
public sealed class StoreFullException(string message) : IOException(message);

/// <summary>
/// Packs, meta files, manifests and indexes in a directory, each under the hash of what it is. Everything is checked to the last byte before it gets its
/// name, appears whole or not at all, and may be put any number of times by any number of threads.
/// <code>packs/ab/HASH   meta/ab/ROOT.zst   flists/fl1….manifest   flists/fl1….index   staging/   damaged/</code>
/// </summary>
public sealed partial class DirectoryStore : IDisposable
{
    private readonly string _directory;
    private readonly StoreOptions _options;
    private readonly ChunkLookup _lookup = new();

    private DirectoryStore(string directory, StoreOptions options)
    {
        (_directory, _options) = (directory, options);
        Codec = new FrameCodec(ZstdCodec.Best);
    }

    public FrameCodec Codec { get; }

    /// <summary>What all packs take.</summary>
    public long PackBytes => _lookup.Bytes;

    private string Staging => Path.Combine(_directory, "staging");

    /// <summary>Opens or makes a store. What an interrupted run left aside is removed; a pack whose table is not one is set apart.</summary>
    public static DirectoryStore Open(string directory, StoreOptions? options = null)
    {
        var store = new DirectoryStore(Path.GetFullPath(directory), options ?? new StoreOptions());
        foreach (var part in (ReadOnlySpan<string>)["packs", "meta", "flists", "staging", "damaged"])
            Directory.CreateDirectory(Path.Combine(store._directory, part));
        store.RemoveAbandoned();
        foreach (var path in Directory.EnumerateFiles(Path.Combine(store._directory, "packs"), "*", SearchOption.AllDirectories))
            store.Find(path);
        store.FindFlists();
        return store;
    }

    public bool HasPack(Digest pack) => _lookup.Contains(pack);

    public bool TryFind(Digest chunk, out ChunkLocation location) => _lookup.TryFind(chunk, out location);

    /// <summary>Which of these chunks are in no pack, in the order asked; the chunk of zeros is never missing.</summary>
    public ImmutableArray<Digest> Missing(ReadOnlySpan<Digest> chunks) => _lookup.Missing(chunks);

    public SafeFileHandle? TryOpenPack(Digest pack) => _lookup.Contains(pack) ? TryOpen(PackPath(pack)) : null;

    /// <summary>The length of a pack that a chunk was found in.</summary>
    public int PackLength(Digest pack) => _lookup.LengthOf(pack);

    /// <summary>Stores a pack if every byte of it is right; false when it was there already, and then nothing is read.</summary>
    /// <exception cref="PackFormatException">it is not the pack of that name, or a chunk in it is wrong</exception>
    /// <exception cref="StoreFullException"/>
    public async Task<bool> PutPackAsync(Digest name, Stream body, CancellationToken cancellation)
    {
        if (_lookup.Contains(name))
            return false;
        using var staged = new StagedFile(Staging);
        await CopyAsync(body, staged.Stream, PackLimits.PackLength, cancellation).ConfigureAwait(false);
        if (_lookup.Bytes + staged.Stream.Length > _options.MaximumBytes)
            throw new StoreFullException($"The store may hold {_options.MaximumBytes} bytes of packs and holds {_lookup.Bytes}.");
        using var pack = new PackFile(File.OpenHandle(staged.Path));
        pack.Verify(name, Codec, cancellation);
        staged.Commit(PackPath(name));
        _lookup.Add(name, pack.Length, pack.Table, proven: true);
        return true;
    }

    /// <summary>A file to write a pack into that <see cref="CommitPack"/> takes over.</summary>
    internal StagedFile Stage() => new(Staging);

    /// <summary>Takes a pack from a writer that hashed what it wrote.</summary>
    internal void CommitPack(StagedFile staged, Digest name, PackTable table)
    {
        var length = (int)staged.Stream.Length;
        if (_lookup.Bytes + length > _options.MaximumBytes)
            throw new StoreFullException($"The store may hold {_options.MaximumBytes} bytes of packs and holds {_lookup.Bytes}.");
        staged.Commit(PackPath(name));
        _lookup.Add(name, length, table, proven: true);
    }

    /// <summary>Reads a chunk and checks it.</summary>
    /// <exception cref="PackFormatException">the store has been damaged</exception>
    public byte[]? TryReadChunk(Digest chunk)
    {
        if (chunk == PackLimits.ZeroChunk)
            return new byte[Chunk.Size];
        if (!_lookup.TryFind(chunk, out var at) || TryOpen(PackPath(at.Pack)) is not { } file)
            return null;
        using (file)
        {
            var stored = new byte[at.StoredLength];
            var frame = new byte[at.FrameLength];
            if (RandomAccess.Read(file, stored, at.FrameOffset) != stored.Length)
                throw new PackFormatException($"The pack {at.Pack} is shorter than its table says.");
            Codec.Decode(stored, frame);
            var bytes = frame.AsSpan(at.Offset, at.Length).ToArray();
            return Chunk.Hash(bytes) == chunk ? bytes : throw new PackFormatException($"The chunk {chunk} in pack {at.Pack} is damaged.");
        }
    }

    public void Dispose() => Codec.Dispose();

    // True when the pack is whole; a damaged one is set apart so that its chunks count as missing.
    private bool Prove(Digest name, CancellationToken cancellation)
    {
        if (_lookup.IsProven(name))
            return _lookup.Contains(name);
        try
        {
            using var pack = new PackFile(File.OpenHandle(PackPath(name)));
            pack.Verify(name, Codec, cancellation);
            _lookup.Prove(name);
            return true;
        }
        catch (Exception e) when (e is PackFormatException or FileNotFoundException)
        {
            _lookup.Remove(name);
            SetApart(PackPath(name));
            return false;
        }
    }

    private void Find(string path)
    {
        try
        {
            var name = Digest.ParseHex(Path.GetFileName(path));
            using var pack = new PackFile(File.OpenHandle(path));
            _lookup.Add(name, pack.Length, pack.Table, proven: false);
        }
        catch (FormatException)
        {
            SetApart(path);
        }
    }

    private void SetApart(string path)
    {
        if (File.Exists(path))
            File.Move(path, Path.Combine(_directory, "damaged", Path.GetFileName(path)), overwrite: true);
    }

    // A file aside that nobody holds open is an interrupted run's; FileStream takes an flock that its owner's death releases.
    private void RemoveAbandoned()
    {
        foreach (var path in Directory.EnumerateFiles(Staging))
        {
            try
            {
                using var probe = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
                File.Delete(path);
            }
            catch (IOException)
            {
                // Another process is writing it.
            }
        }
    }

    private string PackPath(Digest pack) => HashPath("packs", pack, "");

    private string HashPath(string part, Digest hash, string suffix)
    {
        var name = hash.ToString();
        return Path.Combine(_directory, part, name[..2], name + suffix);
    }

    private static SafeFileHandle? TryOpen(string path)
    {
        try
        {
            return File.OpenHandle(path, options: FileOptions.Asynchronous);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private static async Task CopyAsync(Stream from, FileStream to, long maximum, CancellationToken cancellation)
    {
        var buffer = new byte[1 << 16];
        long total = 0;
        int read;
        while ((read = await from.ReadAsync(buffer, cancellation).ConfigureAwait(false)) > 0)
        {
            total += read;
            if (total > maximum)
                throw new PackFormatException($"More than {maximum} bytes came.");
            await to.WriteAsync(buffer.AsMemory(0, read), cancellation).ConfigureAwait(false);
        }
        await to.FlushAsync(cancellation).ConfigureAwait(false);
    }
}
