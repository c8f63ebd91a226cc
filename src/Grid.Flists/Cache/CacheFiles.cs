using Grid.Flists.Interop;
using Grid.Flists.Store;
using Grid.Units;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Cache;

/// <summary>
/// The folders of a cache, which several processes share without locks: names appear by rename, and whoever reads a file proves it first.
/// <code>
/// meta/ROOT   manifests/fl1…   objects/ab/CONTENT   partial/ab/CONTENT{,.map}   proofs/BOOT/ab/CONTENT   pins/ROOT.*   images/grid:fl1…@ROOT   turn   staging/
/// </code>
/// A proof says that an object was hashed in this boot and how the file looked then (<see cref="Seal"/>). A process that dies cannot undo what the
/// kernel holds, so proofs outlive it; a boot makes all of them void, and every object is hashed again at its first use.
/// </summary>
internal sealed class CacheFiles
{
    private readonly string _directory;
    private readonly string _proofs;

    public CacheFiles(string directory)
    {
        _directory = Path.GetFullPath(directory);
        var boot = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
        _proofs = Path.Combine(_directory, "proofs", boot);
        foreach (var part in (ReadOnlySpan<string>)["meta", "manifests", "objects", "partial", "pins", "images", "staging", _proofs])
            Directory.CreateDirectory(Path.Combine(_directory, part));
        foreach (var old in Directory.EnumerateDirectories(Path.Combine(_directory, "proofs")).Where(d => d != _proofs))
            Directory.Delete(old, recursive: true);
        foreach (var aside in Directory.EnumerateFiles(Staging))
            RemoveIfAbandoned(aside);
    }

    public string Staging => Path.Combine(_directory, "staging");

    public string Objects => Path.Combine(_directory, "objects");

    public string Partials => Path.Combine(_directory, "partial");

    public string Pins => Path.Combine(_directory, "pins");

    public string Images => Path.Combine(_directory, "images");

    public string Metas => Path.Combine(_directory, "meta");

    /// <summary>Where an object lies below <see cref="Objects"/>.</summary>
    public static string ObjectName(Digest content)
    {
        var text = content.ToString();
        return Path.Combine(text[..2], text);
    }

    public string ObjectPath(Digest content) => Path.Combine(Objects, ObjectName(content));

    public string PartialPath(Digest content) => Fan("partial", content);

    public string MetaPath(Digest root) => Path.Combine(Metas, root.ToString());

    public string ManifestPath(FlistId id) => ManifestPath(_directory, id);

    public static string ManifestPath(string directory, FlistId id) => Path.Combine(directory, "manifests", id.ToString());

    public string ProofPath(Digest content) => Fan(_proofs, content);

    /// <summary>An object as it was put there, proven or not; null when there is none.</summary>
    public SafeFileHandle? TryOpenObject(Digest content) => TryOpen(ObjectPath(content));

    public bool IsProven(Digest content, Seal seal)
    {
        using var proof = TryOpen(ProofPath(content));
        // Another process may be writing it just now: however much of it is there, it is the whole or none.
        Span<byte> said = stackalloc byte[Seal.ByteSize + 1];
        return proof is not null && said[..RandomAccess.Read(proof, said, 0)].SequenceEqual(seal.Encode());
    }

    /// <summary>Records that the file behind the handle was hashed and right. A torn proof proves nothing.</summary>
    public void Prove(Digest content, SafeFileHandle file)
    {
        var path = ProofPath(content);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, Seal.Of(file).Encode());
    }

    /// <summary>Tells eviction that the object is in use still.</summary>
    public void Touch(Digest content, DateTimeOffset now)
    {
        try
        {
            File.SetLastWriteTimeUtc(ProofPath(content), now.UtcDateTime);
        }
        catch (FileNotFoundException)
        {
            // Evicted by another process this moment.
        }
    }

    /// <summary>Nothing of a tree is evicted until the pin is disposed, or its process ends.</summary>
    public FileStream Pin(Digest root)
    {
        while (true)
        {
            var path = Path.Combine(Pins, $"{root}.{Guid.NewGuid():n}");
            var pin = new FileStream(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
            // Who clears what is abandoned may have come before the lock.
            if (File.Exists(path))
                return pin;
            pin.Dispose();
        }
    }

    /// <summary>Waits until no other process has the turn at what nobody waits for, and has it until it is disposed or the process ends.</summary>
    public async Task<FileStream> TurnAsync(TimeProvider time, CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                return new FileStream(Path.Combine(_directory, "turn"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1);
            }
            catch (IOException e) when (e is not (DirectoryNotFoundException or FileNotFoundException))
            {
                await Task.Delay(TimeSpan.FromSeconds(1), time, cancellation).ConfigureAwait(false);
            }
        }
    }

    /// <summary>What no boot but this one can have shown is of no use.</summary>
    public void RemoveUnprovenImages()
    {
        foreach (var path in Directory.EnumerateFiles(Images))
        {
            using var image = TryOpen(path);
            if (image is not null && (WholeFlist.FlistOf(Path.GetFileName(path)) is not { } id || !IsProven(id.Value, Seal.Of(image))))
                Remove(path);
        }
    }

    public void RemoveObject(Digest content)
    {
        Remove(ObjectPath(content));
        Remove(ProofPath(content));
    }

    public void RemovePartial(Digest content)
    {
        Remove(PartialPath(content));
        Remove(PartialPath(content) + ".map");
    }

    /// <summary>
    /// Puts verified bytes under their content id. Not synced: after a power cut the boot voids the proof, the hash will not match, and the file is fetched again.
    /// </summary>
    public void AddObject(Digest content, ReadOnlySpan<byte> bytes)
    {
        var path = ObjectPath(content);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var (aside, held) = StagedFile.Hold(Staging, p => File.OpenHandle(p, FileMode.CreateNew, FileAccess.ReadWrite));
        using var file = held;
        try
        {
            RandomAccess.Write(file, bytes, 0);
            Publish(file, aside, path, content);
        }
        catch
        {
            Remove(aside);
            throw;
        }
    }

    /// <summary>Makes a complete partial file an object: synced, then renamed, then proven.</summary>
    public void AddObject(Digest content, SafeFileHandle partial)
    {
        var path = ObjectPath(content);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        RandomAccess.FlushToDisk(partial);
        try
        {
            Publish(partial, PartialPath(content), path, content);
        }
        catch (FileNotFoundException)
        {
            // Another process that shares the cache renamed it first.
        }
        Remove(PartialPath(content) + ".map");
    }

    public static SafeFileHandle? TryOpen(string path)
    {
        try
        {
            return File.OpenHandle(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    public static void Remove(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (DirectoryNotFoundException)
        {
            // Then it is not there.
        }
    }

    /// <summary>True when nobody holds the file open any more; it is gone then. FileStream holds an flock, which dies with its process.</summary>
    public static bool RemoveIfAbandoned(string path)
    {
        try
        {
            using var probe = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            File.Delete(path);
            return true;
        }
        catch (FileNotFoundException)
        {
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private void Publish(SafeFileHandle file, string from, string to, Digest content)
    {
        if (SysStat.ChangeMode(file, 0x124) != 0)
            throw new IOException($"The mode of {from} could not be set.");
        File.Move(from, to, overwrite: true);
        // The rename changed the change time: seal it as it lies now.
        Prove(content, file);
    }

    private string Fan(string part, Digest name) => Path.Combine(_directory, part, ObjectName(name));
}
