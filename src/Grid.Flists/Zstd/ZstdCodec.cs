namespace Grid.Flists.Zstd;

/// <summary>The bytes are not the zstd frame (RFC 8878) that was promised.</summary>
public sealed class ZstdFormatException(string message, Exception? inner = null) : FormatException(message, inner);

/// <summary>
/// Where compression is done: libzstd when the machine has it, the managed port otherwise. Both read what the other wrote;
/// the compressed bytes may differ, and nothing is named by them but packs.
/// </summary>
public abstract class ZstdCodec
{
    /// <summary>
    /// The level at which builds compress frames. On frames of 256 KiB level 2 takes a quarter less of the processor than level 3 and leaves 3 % more
    /// (measured on a Debian library directory); level 3 of libzstd is tuned for longer inputs.
    /// </summary>
    public const int BuildLevel = 2;

    /// <summary>The level of streams that travel.</summary>
    public const int StreamLevel = 3;

    /// <summary>Frames of packs have windows of at most 1 MiB.</summary>
    public const int FrameWindowLog = 20;

    /// <summary>Streams that travel (meta files) have windows of at most 8 MiB, which RFC 8878 §3.1.1.1.2 asks every decoder to support.</summary>
    public const int StreamWindowLog = 23;

    /// <summary>The quickest that works on this machine.</summary>
    public static ZstdCodec Best { get; } = NativeZstd.IsAvailable ? new NativeZstd() : new ManagedZstd();

    /// <summary>A compressor for one thread.</summary>
    public abstract ZstdCompressor CreateCompressor(int level = BuildLevel);

    /// <summary>A decompressor for one thread; streams with a larger window are refused.</summary>
    public abstract ZstdDecompressor CreateDecompressor(int maximumWindowLog = StreamWindowLog);
}

public abstract class ZstdCompressor : IDisposable
{
    /// <summary>Compresses into one frame that states its content size; false when the frame would not fit.</summary>
    public abstract bool TryCompress(ReadOnlySpan<byte> source, Span<byte> destination, out int written);

    /// <summary>Compresses on; true when all input is taken and, if <paramref name="end"/>, the frame is complete in the output so far.</summary>
    public abstract bool Continue(ReadOnlySpan<byte> source, Span<byte> destination, bool end, out int read, out int written);

    public abstract void Dispose();
}

public abstract class ZstdDecompressor : IDisposable
{
    /// <summary>
    /// Decompresses exactly one frame that fills the destination exactly. No memory is taken beyond the destination, whatever the frame says.
    /// </summary>
    /// <exception cref="ZstdFormatException">the source is anything else</exception>
    public void Decompress(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        var header = ZstdFrameHeader.Read(source);
        if (header.ContentSize != destination.Length)
            throw new ZstdFormatException($"The frame says it holds {header.ContentSize?.ToString() ?? "an unstated number of"} bytes, not {destination.Length}.");
        if (header.WindowSize > 1 << ZstdCodec.FrameWindowLog)
            throw new ZstdFormatException($"The frame wants a window of {header.WindowSize} bytes; {1 << ZstdCodec.FrameWindowLog} are allowed.");
        DecompressFrame(source, destination);
    }

    /// <summary>Decompresses on; true when a frame ended with the output so far.</summary>
    /// <exception cref="ZstdFormatException"/>
    public abstract bool Continue(ReadOnlySpan<byte> source, Span<byte> destination, out int read, out int written);

    public abstract void Dispose();

    protected abstract void DecompressFrame(ReadOnlySpan<byte> source, Span<byte> destination);
}
