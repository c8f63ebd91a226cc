using System.Buffers;

namespace Grid.Flists.Zstd;

/// <summary>
/// Reads the content of zstd frames, one after the other, up to a limit: a stream that holds more, is cut short, or wants a larger window is refused.
/// Reading more than the limit fails however small the input was.
/// </summary>
public sealed class ZstdReadStream(Stream source, long maximum, ZstdCodec codec, int maximumWindowLog = ZstdCodec.StreamWindowLog) : ReadOnlyStream
{
    private readonly ZstdDecompressor _decompressor = codec.CreateDecompressor(maximumWindowLog);
    private byte[]? _input = ArrayPool<byte>.Shared.Rent(1 << 16);
    private int _start, _end;
    private long _total;
    private bool _betweenFrames = true;

    public override int Read(Span<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            if (TryTake(buffer, out var written))
                return written;
            _start = 0;
            _end = source.Read(_input);
            if (AtEnd())
                return 0;
        }
        return 0;
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (buffer.Length > 0)
        {
            if (TryTake(buffer.Span, out var written))
                return written;
            _start = 0;
            _end = await source.ReadAsync(_input, cancellationToken).ConfigureAwait(false);
            if (AtEnd())
                return 0;
        }
        return 0;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref _input, null) is { } input)
        {
            ArrayPool<byte>.Shared.Return(input);
            _decompressor.Dispose();
            source.Dispose();
        }
        base.Dispose(disposing);
    }

    // False when the decompressor has nothing to give without more input.
    private bool TryTake(Span<byte> buffer, out int written)
    {
        ObjectDisposedException.ThrowIf(_input is null, this);
        written = 0;
        if (_betweenFrames && _start == _end)
            return false;
        while (true)
        {
            var ended = _decompressor.Continue(_input.AsSpan(_start, _end - _start), buffer, out var read, out written);
            _start += read;
            _betweenFrames = ended;
            if (written > 0)
                break;
            if (_start == _end)
                return false;
            if (read == 0 && !ended)
                throw new ZstdFormatException("The frame does not decompress.");
        }
        _total += written;
        return _total <= maximum ? true : throw new ZstdFormatException($"The stream holds more than {maximum} bytes.");
    }

    private bool AtEnd()
    {
        if (_end > 0)
            return false;
        return _betweenFrames ? true : throw new ZstdFormatException("The stream ends within a frame.");
    }
}

/// <summary>Writes one zstd frame; the frame ends when the stream is disposed. The destination stays open.</summary>
public sealed class ZstdWriteStream(Stream destination, ZstdCodec codec, int level = ZstdCodec.StreamLevel) : Stream
{
    private readonly ZstdCompressor _compressor = codec.CreateCompressor(level);
    private byte[]? _output = ArrayPool<byte>.Shared.Rent(1 << 17);

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override void Write(ReadOnlySpan<byte> buffer) => Push(buffer, end: false);

    public override void Write(byte[] buffer, int offset, int count) => Push(buffer.AsSpan(offset, count), end: false);

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing && _output is { } output)
        {
            Push([], end: true);
            _output = null;
            ArrayPool<byte>.Shared.Return(output);
            _compressor.Dispose();
        }
        base.Dispose(disposing);
    }

    private void Push(ReadOnlySpan<byte> data, bool end)
    {
        ObjectDisposedException.ThrowIf(_output is null, this);
        bool done;
        do
        {
            done = _compressor.Continue(data, _output, end, out var read, out var written);
            data = data[read..];
            destination.Write(_output, 0, written);
        }
        while (!done);
    }
}

/// <summary>A stream that is only read, forward.</summary>
public abstract class ReadOnlyStream : Stream
{
    public sealed override bool CanRead => true;

    public sealed override bool CanSeek => false;

    public sealed override bool CanWrite => false;

    public sealed override long Length => throw new NotSupportedException();

    public sealed override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public abstract override int Read(Span<byte> buffer);

    public abstract override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default);

    public sealed override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public sealed override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public sealed override void Flush()
    {
    }

    public sealed override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public sealed override void SetLength(long value) => throw new NotSupportedException();

    public sealed override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
