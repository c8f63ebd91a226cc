using Grid.Flists.Store;
using Grid.Units;

namespace Grid.Flists.Cache;

/// <summary>
/// Keeps a cache within its size by removing what was not used for longest, down to nine tenths. What any living process has pinned stays, and what is mounted.
/// Removing what another process reads is harmless: its open files keep their bytes, and what it opens next it fetches again.
/// </summary>
internal sealed class Eviction(CacheFiles files, long maximumBytes) : IDisposable
{
    private readonly Lock _lock = new();
    private long _bytes = maximumBytes == long.MaxValue ? 0 : Candidates(files).Sum(c => c.Bytes);
    private long _sinceLook;
    private bool _running;
    private bool _disposed;

    public void Added(long bytes)
    {
        lock (_lock)
        {
            _bytes += bytes;
            _sinceLook += bytes;
            if (_bytes <= maximumBytes || _running || _disposed)
                return;
            _running = true;
        }
        _ = Task.Run(Run);
    }

    public void Dispose()
    {
        lock (_lock)
            _disposed = true;
    }

    // Until what came while it looked fits as well.
    private void Run()
    {
        while (Look())
        {
        }
    }

    /// <returns>true when bytes came meanwhile that do not fit</returns>
    private bool Look()
    {
        lock (_lock)
            _sinceLook = 0;
        long total;
        try
        {
            var kept = Pinned();
            var candidates = Candidates(files).ToList();
            total = candidates.Sum(c => c.Bytes);
            foreach (var candidate in candidates.Where(c => !kept.Contains(c.Name)).OrderBy(c => c.Used))
            {
                if (total <= maximumBytes / 10 * 9)
                    break;
                candidate.Remove();
                total -= candidate.Bytes;
            }
        }
        catch (IOException)
        {
            // Another process evicts at the same time; the next write looks again.
            total = maximumBytes;
        }
        lock (_lock)
        {
            // What came while we looked may be counted already: too much rather than too little, and the next look counts anew.
            _bytes = total + _sinceLook;
            return _running = !_disposed && _sinceLook > 0 && _bytes > maximumBytes;
        }
    }

    // Content ids and roots that living processes and mounts hold; a pin whose process died is removed.
    private HashSet<Digest> Pinned()
    {
        var pins = Directory.EnumerateFiles(files.Pins).Where(pin => !CacheFiles.RemoveIfAbandoned(pin)).Select(pin => Digest.ParseHex(Path.GetFileName(pin).AsSpan(0, 2 * Digest.Size)));
        var pinned = new HashSet<Digest>();
        foreach (var root in pins.Concat(MountedRoots.Read()))
        {
            if (!pinned.Add(root) || !File.Exists(files.MetaPath(root)))
                continue;
            using var memory = new MappedFile(files.MetaPath(root));
            var meta = MetaFile.Load(memory.Memory, root);
            for (var inode = 0; inode < meta.Count; inode++)
            {
                if (meta[inode].Type == EntryType.File)
                    pinned.Add(meta.Content(inode));
            }
        }
        return pinned;
    }

    private static IEnumerable<(Digest Name, long Bytes, DateTime Used, Action Remove)> Candidates(CacheFiles files)
    {
        foreach (var file in Present(files.Objects))
        {
            var name = Digest.ParseHex(file.Name);
            var proof = new FileInfo(files.ProofPath(name));
            yield return (name, file.Length, proof.Exists ? proof.LastWriteTimeUtc : file.LastWriteTimeUtc, () => files.RemoveObject(name));
        }
        foreach (var file in Present(files.Partials))
        {
            if (file.Extension == ".map")
                continue;
            var name = Digest.ParseHex(file.Name);
            yield return (name, file.Length, file.LastWriteTimeUtc, () => files.RemovePartial(name));
        }
        foreach (var file in Present(files.Images))
        {
            // Made again of what is here, and of no use without: it goes first.
            if (WholeFlist.RootOf(file.Name) is { } root)
                yield return (root, file.Length, default, () => CacheFiles.Remove(file.FullName));
        }
        foreach (var file in Present(files.Metas))
            yield return (Digest.ParseHex(file.Name), file.Length, file.LastAccessTimeUtc, () => CacheFiles.Remove(file.FullName));
    }

    // Files are renamed and removed while we look. Exists takes a file's whole state at once, and what is asked afterwards is that state.
    private static IEnumerable<FileInfo> Present(string directory) =>
        new DirectoryInfo(directory).EnumerateFiles("*", SearchOption.AllDirectories).Where(file => file.Exists);
}
