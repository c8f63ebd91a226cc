using System.Collections.Immutable;
using Grid.Flists.Packs;
using Grid.Units;

namespace Grid.Flists.Store;

/// <summary>
/// Chunk → pack for all packs of a store, in memory (about 100 bytes a chunk) and rebuilt from the packs' own tables, so there is no second truth to repair.
/// </summary>
internal sealed class ChunkLookup
{
    private readonly record struct Place(int Pack, int FrameOffset, int StoredLength, int FrameLength, int Offset, int Length);

    private readonly Lock _lock = new();
    private readonly Dictionary<Digest, Place> _chunks = [];
    private readonly List<(Digest Name, int Length)> _packs = [];
    private readonly Dictionary<Digest, int> _numbers = [];
    private readonly HashSet<Digest> _unproven = [];

    public long Bytes { get; private set; }

    public bool Contains(Digest pack)
    {
        lock (_lock)
            return _numbers.ContainsKey(pack);
    }

    /// <summary>A pack that was found rather than verified now counts as unproven until <see cref="Prove"/>.</summary>
    public void Add(Digest name, int length, PackTable table, bool proven)
    {
        lock (_lock)
        {
            if (!_numbers.TryAdd(name, _packs.Count))
                return;
            if (!proven)
                _unproven.Add(name);
            foreach (var frame in table.Frames)
            {
                foreach (var chunk in frame.Chunks)
                    _chunks.TryAdd(chunk.Hash, new Place(_packs.Count, frame.Offset, frame.StoredLength, frame.Length, chunk.Offset, chunk.Length));
            }
            _packs.Add((name, length));
            Bytes += length;
        }
    }

    public void Prove(Digest pack)
    {
        lock (_lock)
            _unproven.Remove(pack);
    }

    public bool IsProven(Digest pack)
    {
        lock (_lock)
            return !_unproven.Contains(pack);
    }

    /// <summary>Forgets a damaged pack with all its chunks, even those that another pack may hold too: they can be uploaded again.</summary>
    public void Remove(Digest pack)
    {
        lock (_lock)
        {
            if (!_numbers.Remove(pack, out var number))
                return;
            foreach (var chunk in _chunks.Where(c => c.Value.Pack == number).Select(c => c.Key).ToList())
                _chunks.Remove(chunk);
            _unproven.Remove(pack);
            Bytes -= _packs[number].Length;
        }
    }

    public bool TryFind(Digest chunk, out ChunkLocation location)
    {
        lock (_lock)
        {
            if (!_chunks.TryGetValue(chunk, out var at))
            {
                location = default;
                return false;
            }
            location = new ChunkLocation(_packs[at.Pack].Name, at.FrameOffset, at.StoredLength, at.FrameLength, at.Offset, at.Length);
            return true;
        }
    }

    public int LengthOf(Digest pack)
    {
        lock (_lock)
            return _packs[_numbers[pack]].Length;
    }

    public ImmutableArray<Digest> Missing(ReadOnlySpan<Digest> chunks)
    {
        var missing = ImmutableArray.CreateBuilder<Digest>();
        lock (_lock)
        {
            foreach (var chunk in chunks)
            {
                if (chunk != PackLimits.ZeroChunk && !_chunks.ContainsKey(chunk))
                    missing.Add(chunk);
            }
        }
        return missing.ToImmutable();
    }
}
