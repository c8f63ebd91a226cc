using Grid.Units;

namespace Grid.Flists.Cache;

/// <summary>The partial files this process has open: at most so many that nobody uses, the least recently used closed first.</summary>
internal sealed class PartialFiles(CacheFiles files) : IDisposable
{
    private const int MaximumIdle = 128;

    private readonly Lock _lock = new();
    private readonly Dictionary<Digest, Entry> _open = [];
    private readonly LinkedList<Entry> _idle = [];

    public Lease Open(Digest content, long size)
    {
        lock (_lock)
        {
            if (!_open.TryGetValue(content, out var entry))
                _open.Add(content, entry = new Entry(new PartialFile(files, content, size)));
            else if (entry.Users == 0 && entry.Idle is { } idle)
                _idle.Remove(idle);
            entry.Users++;
            return new Lease(this, entry);
        }
    }

    /// <summary>Forgets a file that became an object; it closes when its last user is done.</summary>
    public void Forget(Digest content)
    {
        lock (_lock)
        {
            if (!_open.Remove(content, out var entry))
                return;
            entry.Forgotten = true;
            if (entry.Users == 0)
                Close(entry);
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            foreach (var entry in _open.Values)
                entry.File.Dispose();
            _open.Clear();
        }
    }

    private void Release(Entry entry)
    {
        lock (_lock)
        {
            if (--entry.Users > 0)
                return;
            if (entry.Forgotten)
            {
                Close(entry);
                return;
            }
            entry.Idle = _idle.AddLast(entry);
            if (_idle.Count <= MaximumIdle)
                return;
            var oldest = _idle.First!.Value;
            _open.Remove(oldest.File.Content);
            Close(oldest);
        }
    }

    private void Close(Entry entry)
    {
        if (entry.Idle is { List: not null } idle)
            _idle.Remove(idle);
        entry.File.Dispose();
    }

    internal sealed class Entry(PartialFile file)
    {
        public PartialFile File { get; } = file;
        public int Users { get; set; }
        public bool Forgotten { get; set; }
        public LinkedListNode<Entry>? Idle { get; set; }
    }

    public readonly struct Lease(PartialFiles owner, Entry entry) : IDisposable
    {
        public PartialFile File => entry.File;

        public void Dispose() => owner.Release(entry);
    }
}
