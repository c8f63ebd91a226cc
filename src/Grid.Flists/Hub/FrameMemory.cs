using Grid.Units;

namespace Grid.Flists.Hub;

/// <summary>
/// Decoded frames of small files, kept because their neighbours are likely to be read next. What is in it is not verified: whoever takes a chunk out hashes it.
/// Keyed by hub too, so what a liar sent never stands for what another hub has.
/// </summary>
internal sealed class FrameMemory(int maximumBytes)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<Key, LinkedListNode<(Key Key, byte[] Content)>> _frames = [];
    private readonly LinkedList<(Key Key, byte[] Content)> _order = [];
    private int _bytes;

    public readonly record struct Key(Uri Hub, Digest Pack, int Offset, int StoredLength, int Length);

    public byte[]? TryGet(Key key)
    {
        lock (_lock)
        {
            if (!_frames.TryGetValue(key, out var node))
                return null;
            _order.Remove(node);
            _order.AddFirst(node);
            return node.Value.Content;
        }
    }

    public void Put(Key key, byte[] content)
    {
        lock (_lock)
        {
            if (_frames.ContainsKey(key))
                return;
            _frames.Add(key, _order.AddFirst((key, content)));
            _bytes += content.Length;
            while (_bytes > maximumBytes && _order.Last is { } oldest)
            {
                _order.RemoveLast();
                _frames.Remove(oldest.Value.Key);
                _bytes -= oldest.Value.Content.Length;
            }
        }
    }
}
