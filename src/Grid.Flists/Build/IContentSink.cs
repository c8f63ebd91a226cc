using System.Buffers;
using Grid.Units;

namespace Grid.Flists.Build;

/// <summary>
/// Takes the bytes of a tree while it is built: every distinct chunk once, in canonical order of the files that first use it, so chunks of
/// neighbouring paths arrive together. Calls come one after another; waiting in one holds the build back.
/// </summary>
public interface IContentSink
{
    /// <summary>The sink owns the chunk from here and disposes it when it is done with its bytes, which may be after the call.</summary>
    ValueTask AddAsync(ChunkBytes chunk, CancellationToken cancellation);
}

/// <summary>The bytes of one chunk in a rented buffer, and their hash.</summary>
public sealed class ChunkBytes(Digest hash, byte[] rented, int length) : IDisposable
{
    private byte[]? _rented = rented;

    public Digest Hash { get; } = hash;

    public ReadOnlyMemory<byte> Bytes => (_rented ?? throw new ObjectDisposedException(nameof(ChunkBytes))).AsMemory(0, length);

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _rented, null) is { } buffer)
            ArrayPool<byte>.Shared.Return(buffer);
    }
}

/// <summary>For a build that only wants the root hash.</summary>
public sealed class NoContent : IContentSink
{
    public static readonly NoContent Instance = new();

    private NoContent()
    {
    }

    public ValueTask AddAsync(ChunkBytes chunk, CancellationToken cancellation)
    {
        chunk.Dispose();
        return ValueTask.CompletedTask;
    }
}
