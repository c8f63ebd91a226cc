namespace Grid.Flists.Cache;

/// <summary>How far to fetch ahead of each file that is read in order: doubling from one chunk to 8 MiB, nothing for reads that jump.</summary>
internal sealed class ReadAhead
{
    private const int MaximumWindow = (8 << 20) / Chunk.Size;
    private const int MaximumFiles = 256;

    private readonly Lock _lock = new();
    private readonly Dictionary<int, State> _files = [];

    /// <summary>Notes a read of chunks <paramref name="first"/> to <paramref name="last"/>; returns those to fetch besides, from and up to but not with.</summary>
    public (long From, long To) Next(int inode, long first, long last, long chunkCount)
    {
        lock (_lock)
        {
            if (!_files.TryGetValue(inode, out var state))
            {
                // Losing a window costs one slow start; keeping all would cost memory for ever.
                if (_files.Count >= MaximumFiles)
                    _files.Clear();
                state = new State(-1, first == 0 ? 2 : 0, 0);
            }
            var inOrder = first == state.Last || first == state.Last + 1;
            var window = !inOrder ? 0 : last == state.Last ? state.Window : int.Clamp(state.Window * 2, 1, MaximumWindow);
            var from = long.Max(inOrder ? state.Ahead : 0, last + 1);
            var to = long.Min(last + 1 + window, chunkCount);
            // Asked in halves of the window, so that requests stay large.
            if (to - from < window / 2 && to < chunkCount || to <= from)
                to = from;
            _files[inode] = new State(last, window, long.Max(to, from));
            return (from, to);
        }
    }

    private readonly record struct State(long Last, int Window, long Ahead);
}
