using System.Collections.Concurrent;
using Grid.Flists.Zstd;

namespace Grid.Flists.Packs;

/// <summary>
/// Encodes and decodes frames from any thread; each thread borrows a context of its own. A frame whose stored length equals its content length
/// is stored raw, any shorter one is exactly one zstd frame that states its content size.
/// </summary>
public sealed class FrameCodec(ZstdCodec codec) : IDisposable
{
    private readonly ConcurrentBag<ZstdCompressor> _compressors = [];
    private readonly ConcurrentBag<ZstdDecompressor> _decompressors = [];

    /// <summary>Writes the frame to the destination, which holds at least the content; returns the stored length.</summary>
    public int Encode(ReadOnlySpan<byte> content, Span<byte> destination)
    {
        if (!_compressors.TryTake(out var compressor))
            compressor = codec.CreateCompressor();
        // Less than 3 % saved is not worth a decompression at every read.
        var worthwhile = (int)(content.Length * 97L / 100);
        var compressed = compressor.TryCompress(content, destination[..worthwhile], out var written);
        _compressors.Add(compressor);
        if (compressed)
            return written;
        content.CopyTo(destination);
        return content.Length;
    }

    /// <summary>Fills the content exactly.</summary>
    /// <exception cref="PackFormatException">the stored bytes do not decode to that length</exception>
    public void Decode(ReadOnlySpan<byte> stored, Span<byte> content)
    {
        if (stored.Length == content.Length)
        {
            stored.CopyTo(content);
            return;
        }
        if (!_decompressors.TryTake(out var decompressor))
            decompressor = codec.CreateDecompressor();
        try
        {
            decompressor.Decompress(stored, content);
        }
        catch (ZstdFormatException e)
        {
            throw new PackFormatException($"A frame is damaged: {e.Message}", e);
        }
        finally
        {
            _decompressors.Add(decompressor);
        }
    }

    public void Dispose()
    {
        foreach (var compressor in _compressors)
            compressor.Dispose();
        foreach (var decompressor in _decompressors)
            decompressor.Dispose();
    }
}
