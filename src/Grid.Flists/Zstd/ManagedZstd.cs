using System.Buffers;
using ZstdSharp.Unsafe;

namespace Grid.Flists.Zstd;

/// <summary>The managed port, where the machine has no libzstd.</summary>
public sealed class ManagedZstd : ZstdCodec
{
    public override ZstdCompressor CreateCompressor(int level = BuildLevel) => new Compressor(level);

    public override ZstdDecompressor CreateDecompressor(int maximumWindowLog = StreamWindowLog) => new Decompressor(maximumWindowLog);

    private sealed class Compressor(int level) : ZstdCompressor
    {
        private readonly ZstdSharp.Compressor _port = new(level);

        public override bool TryCompress(ReadOnlySpan<byte> source, Span<byte> destination, out int written)
        {
            if (_port.TryWrap(source, destination, out written))
                return true;
            _port.ResetStream();
            return false;
        }

        public override bool Continue(ReadOnlySpan<byte> source, Span<byte> destination, bool end, out int read, out int written)
        {
            var status = _port.WrapStream(source, destination, out read, out written, end);
            return read == source.Length && (!end || status == OperationStatus.Done);
        }

        public override void Dispose() => _port.Dispose();
    }

    private sealed class Decompressor : ZstdDecompressor
    {
        private readonly ZstdSharp.Decompressor _port = new();

        public Decompressor(int maximumWindowLog) => _port.SetParameter(ZSTD_dParameter.ZSTD_d_windowLogMax, maximumWindowLog);

        public override bool Continue(ReadOnlySpan<byte> source, Span<byte> destination, out int read, out int written)
        {
            try
            {
                var status = _port.UnwrapStream(source, destination, out read, out written);
                if (status == OperationStatus.InvalidData)
                    throw new ZstdFormatException("The frame does not decompress.");
                return status == OperationStatus.Done;
            }
            catch (ZstdSharp.ZstdException e)
            {
                throw new ZstdFormatException($"The frame does not decompress: {e.Message}.", e);
            }
        }

        public override void Dispose() => _port.Dispose();

        protected override void DecompressFrame(ReadOnlySpan<byte> source, Span<byte> destination)
        {
            if (FrameLength(source) != (nuint)source.Length)
                throw new ZstdFormatException("The bytes are not exactly one frame.");
            try
            {
                var written = _port.Unwrap(source, destination);
                if (written != destination.Length)
                    throw new ZstdFormatException($"The frame holds {written} bytes, not {destination.Length}.");
            }
            catch (ZstdSharp.ZstdException e)
            {
                throw new ZstdFormatException($"The frame does not decompress: {e.Message}.", e);
            }
        }

        private static unsafe nuint FrameLength(ReadOnlySpan<byte> source)
        {
            // Safe: the port reads within the length it is given, while the span is pinned.
            fixed (byte* start = source)
                return Methods.ZSTD_findFrameCompressedSize(start, (nuint)source.Length);
        }
    }
}
