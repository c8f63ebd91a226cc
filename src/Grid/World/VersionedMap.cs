using System.Collections;
using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;

namespace Grid.World;

/// <summary>
/// A map as a value: writing gives a new version and leaves this one as it was. Versions that grew from one another share their cells, so a
/// write to the newest costs what a write to a hash table does; for maps that only grow, such as which entry carried what.
/// </summary>
/// <remarks>
/// As with <see cref="Log.LogTree"/>, whoever writes to the newest version puts cells where no older version looks; a second write to the same
/// version finds that taken and copies all it sees. What a newer version replaced is kept for the older ones. A version may be read on any thread.
/// An immutable tree would copy a path for each write, which made half of what the ledger's collector had to keep.
/// </remarks>
public sealed class VersionedMap<TKey, TValue> : IEnumerable<KeyValuePair<TKey, TValue>> where TKey : notnull
{
    public static readonly VersionedMap<TKey, TValue> Empty = new(null, 0);

    // Null in the empty version, which everybody shares and nobody may write to.
    private readonly Cells? _cells;
    private readonly long _version;

    private VersionedMap(Cells? cells, long version) => (_cells, _version) = (cells, version);

    public bool ContainsKey(TKey key) => TryGetValue(key, out _);

    public bool TryGetValue(TKey key, [MaybeNullWhen(false)] out TValue value)
    {
        var cell = _cells?.Newest(key, _version);
        value = cell is null ? default : cell.Value;
        return cell is not null;
    }

    public VersionedMap<TKey, TValue> SetItem(TKey key, TValue value)
    {
        var cells = NextCells();
        cells.Put(key, value, _version + 1);
        return new VersionedMap<TKey, TValue>(cells, _version + 1);
    }

    /// <exception cref="KeyNotFoundException"/>
    public TValue this[TKey key] => TryGetValue(key, out var value) ? value : throw new KeyNotFoundException($"{key} is not in the map.");

    /// <summary>One version more, however many they are. Of one key the last counts.</summary>
    public VersionedMap<TKey, TValue> SetItems(IEnumerable<KeyValuePair<TKey, TValue>> items)
    {
        var cells = NextCells();
        foreach (var (key, value) in items)
            cells.Put(key, value, _version + 1);
        return new VersionedMap<TKey, TValue>(cells, _version + 1);
    }

    public IEnumerator<KeyValuePair<TKey, TValue>> GetEnumerator() => (_cells?.At(_version) ?? []).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private Cells NextCells() => _cells is not null && _cells.TryClaim(_version) ? _cells : new Cells(this, _version + 1);

    private sealed class Cells
    {
        private readonly ConcurrentDictionary<TKey, Cell> _newest = new();
        private long _end;

        public Cells(IEnumerable<KeyValuePair<TKey, TValue>> items, long end)
        {
            _end = end;
            foreach (var (key, value) in items)
                Put(key, value, 0);
        }

        public bool TryClaim(long from) => Interlocked.CompareExchange(ref _end, from + 1, from) == from;

        public void Put(TKey key, TValue value, long version) => _newest[key] = new Cell(value, version, _newest.GetValueOrDefault(key));

        public Cell? Newest(TKey key, long version)
        {
            var cell = _newest.GetValueOrDefault(key);
            while (cell is not null && cell.Version > version)
                cell = cell.Older;
            return cell;
        }

        public IEnumerable<KeyValuePair<TKey, TValue>> At(long version) =>
            from key in _newest.Keys
            let cell = Newest(key, version)
            where cell is not null
            select KeyValuePair.Create(key, cell.Value);
    }

    private sealed record Cell(TValue Value, long Version, Cell? Older);
}
