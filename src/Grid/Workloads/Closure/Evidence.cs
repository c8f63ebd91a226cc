using Grid.Flists;
using Grid.Units;

namespace Grid.Workloads;

/// <summary>
/// What one pass of an examination has to look at, and how much it may still take. A pass does not stop where bytes are missing: it goes on as far as
/// it can, to ask for as much as it can at once. Its result is then only what it asks for.
/// </summary>
internal sealed class Evidence(MetaFile meta, IReadOnlyDictionary<Digest, ReadOnlyMemory<byte>> chunks, ClosureLimits limits)
{
    private readonly HashSet<Digest> _used = [];
    private long _bytes;
    private int _files;
    private int _steps;

    public MetaFile Meta => meta;

    public HashSet<Digest> Missing { get; } = [];

    /// <summary>Why there is no verdict on the rules; null when there is one.</summary>
    public Refusal? Fault { get; private set; }

    /// <summary>True when this pass has taken all that it may: what it finds from then on means nothing.</summary>
    public bool Ended { get; private set; }

    /// <summary>Bytes of a file, or false when some of them are missing; they are then asked for. The range lies within the file.</summary>
    public bool TryRead(int inode, long offset, int length, out ReadOnlyMemory<byte> bytes)
    {
        bytes = default;
        if (length == 0)
            return true;
        if (offset < 0 || length < 0 || offset > meta[inode].Size - length)
            throw new ArgumentOutOfRangeException(nameof(offset), $"{length} bytes at {offset} do not lie in the file.");
        var (first, last) = (offset >> Chunk.SizeLog2, (offset + length - 1) >> Chunk.SizeLog2);
        var parts = new List<ReadOnlyMemory<byte>>(1);
        for (var n = first; n <= last; n++)
        {
            if (TryChunk(inode, n, out var chunk))
                parts.Add(chunk);
        }
        if (parts.Count != last - first + 1)
            return false;
        var start = (int)(offset & (Chunk.Size - 1));
        if (parts.Count == 1)
        {
            bytes = parts[0].Slice(start, length);
            return true;
        }
        var joined = new byte[parts.Sum(p => p.Length)];
        var at = 0;
        foreach (var part in parts)
        {
            part.CopyTo(joined.AsMemory(at));
            at += part.Length;
        }
        bytes = joined.AsMemory(start, length);
        return true;
    }

    /// <summary>Counts names that are looked up; false when there were too many.</summary>
    public bool Step(int count = 1) => !Ended && ((_steps += count) <= limits.Steps || TooLarge($"more than {limits.Steps} names are looked up"));

    /// <summary>Counts a program or a library; false when there were too many, or too many in a row.</summary>
    public bool Load(int depth) => !Ended
        && (++_files <= limits.Files || TooLarge($"more than {limits.Files} files are loaded"))
        && (depth <= limits.Depth || TooLarge($"more than {limits.Depth} libraries want one another in a row"));

    public bool TooLarge(string what) => Stop(new Refusal(RefusalCode.TooLarge, $"The entry cannot be examined: {what}."));

    private bool TryChunk(int inode, long n, out ReadOnlyMemory<byte> chunk)
    {
        chunk = default;
        if (Ended)
            return false;
        var hash = meta.Chunk(inode, n);
        var length = (int)long.Min(Chunk.Size, meta[inode].Size - (n << Chunk.SizeLog2));
        if (!_used.Contains(hash))
        {
            if (_used.Count == limits.Chunks || _bytes + length > limits.Bytes)
                return TooLarge($"more than {limits.Chunks} chunks or {limits.Bytes} bytes would be read");
            _used.Add(hash);
            _bytes += length;
        }
        if (!chunks.TryGetValue(hash, out chunk))
        {
            Missing.Add(hash);
            return false;
        }
        // The hash says what the bytes are, the metadata how many: a tree in which they differ cannot be served.
        return chunk.Length == length
            || Stop(new Refusal(RefusalCode.FlistInvalid, $"The chunk {hash} has {chunk.Length} bytes, where its file has {length}."));
    }

    // Past the first missing byte the pass only guesses what it will need; a guess that goes too far is no fault of the tree.
    private bool Stop(Refusal why)
    {
        if (Missing.Count == 0)
            Fault ??= why;
        Ended = true;
        return false;
    }
}
