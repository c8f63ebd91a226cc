using System.Collections.Concurrent;

namespace Grid.Flists.Mount.Serving;

/// <summary>Pinned buffers for answers to READ: a header and up to 1 MiB. A few are kept; more are made when more reads wait at once.</summary>
internal sealed class ReadBuffers
{
    public const int MaxRead = 1 << 20;

    private const int Kept = 16;

    private readonly ConcurrentBag<byte[]> _free = [];

    // Small reads are the most and should not hold a megabyte each while they wait.
    public byte[] Rent(int length) => length <= 128 * 1024
        ? System.Buffers.ArrayPool<byte>.Shared.Rent(length)
        : _free.TryTake(out var buffer) ? buffer : GC.AllocateUninitializedArray<byte>(Fuse.OutHeader.Size + MaxRead, pinned: true);

    public void Return(byte[] buffer)
    {
        if (buffer.Length < Fuse.OutHeader.Size + MaxRead)
            System.Buffers.ArrayPool<byte>.Shared.Return(buffer);
        else if (_free.Count < Kept)
            _free.Add(buffer);
    }
}
