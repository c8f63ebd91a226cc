using System.Runtime.CompilerServices;

namespace Grid.Ledger.Store;

/// <summary>Entries by index, read from their batches. Keeps what was read last, within a bound, because entries never change.</summary>
public sealed class EntryReader(LedgerStore store)
{
    private const long Bound = 64 << 20;

    private readonly Lock _gate = new();
    private readonly Dictionary<long, BatchRow> _rows = [];
    private readonly Queue<long> _order = new();
    private long _held;

    /// <summary>The bytes of the entries from the first index to before the second; the caller knows that they are there.</summary>
    public async IAsyncEnumerable<ReadOnlyMemory<byte>> RangeAsync(long from, long to, [EnumeratorCancellation] CancellationToken stop)
    {
        var next = from;
        while (next < to && Kept(next) is { } row)
        {
            foreach (var entry in Slice(row, next, to))
                yield return entry;
            next = row.First + row.Count;
        }
        if (next >= to)
            yield break;
        await foreach (var row in store.BatchesAsync(next, to, stop))
        {
            Keep(row);
            foreach (var entry in Slice(row, next, to))
                yield return entry;
        }
    }

    public async ValueTask<ReadOnlyMemory<byte>> EntryAsync(long index, CancellationToken stop)
    {
        await foreach (var entry in RangeAsync(index, index + 1, stop))
            return entry;
        throw new LogDamagedException(index, "it is missing");
    }

    /// <summary>Keeps a batch that was just written, for its entries are asked for first.</summary>
    internal void Keep(BatchRow row)
    {
        lock (_gate)
        {
            if (!_rows.TryAdd(row.First, row))
                return;
            _order.Enqueue(row.First);
            _held += row.Entries.Length;
            while (_held > Bound && _order.TryDequeue(out var oldest) && _rows.Remove(oldest, out var gone))
                _held -= gone.Entries.Length;
        }
    }

    private BatchRow? Kept(long index)
    {
        lock (_gate)
        {
            // Batches hold at most a few hundred entries, so the one that holds the index begins little before it.
            for (var first = index; first >= 0 && first > index - Sequencing.SequencerOptions.MaximumBatch; first--)
            {
                if (_rows.TryGetValue(first, out var row))
                    return index < row.First + row.Count ? row : null;
            }
            return null;
        }
    }

    private static IEnumerable<ReadOnlyMemory<byte>> Slice(BatchRow row, long from, long to) =>
        row.Split().Where((_, i) => row.First + i >= from && row.First + i < to);
}
