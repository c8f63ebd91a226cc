using System.IO.Pipelines;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Grid.Node.Gateways.Front;

/// <summary>
/// An answer by HTTP/2, which goes on only by the client's leave (flow control, RFC 9113 §5.2): each piece has the time that <see cref="FrontLimits.SlowestBody"/> gives it.
/// Kestrel counts its own rate of a stream that waits for leave, and leaves off when anything more is written to it meanwhile. What fits into the buffer that Kestrel keeps for a
/// stream is not waited for.
/// </summary>
internal sealed class ImpatientBody : IHttpResponseBodyFeature
{
    // What a frame of data may hold, unless the client lets it hold more: a smaller piece would cost a frame.
    private const int LargestPiece = 16_384;

    private readonly IHttpResponseBodyFeature _inner;
    private readonly HttpContext _context;

    private ImpatientBody(IHttpResponseBodyFeature inner, HttpContext context)
    {
        (_inner, _context) = (inner, context);
        Stream = new Body(this);
    }

    public Stream Stream { get; }

    public PipeWriter Writer => _inner.Writer;

    public static void Put(HttpContext context) =>
        context.Features.Set<IHttpResponseBodyFeature>(new ImpatientBody(context.Features.GetRequiredFeature<IHttpResponseBodyFeature>(), context));

    public void DisableBuffering() => _inner.DisableBuffering();

    public Task StartAsync(CancellationToken cancellationToken = default) => _inner.StartAsync(cancellationToken);

    public Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default) => _inner.SendFileAsync(path, offset, count, cancellationToken);

    public Task CompleteAsync() => _inner.CompleteAsync();

    private async ValueTask WithinAsync(Task write, int length = LargestPiece)
    {
        try
        {
            await write.WaitAsync(FrontLimits.Grace + TimeSpan.FromSeconds(length / FrontLimits.SlowestBody));
        }
        catch (TimeoutException e)
        {
            _context.Abort();
            throw new OperationCanceledException("The client does not let the answer on.", e);
        }
    }

    private sealed class Body(ImpatientBody of) : Stream
    {
        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        private Stream Inner => of._inner.Stream;

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            do
            {
                var piece = buffer[..int.Min(buffer.Length, LargestPiece)];
                buffer = buffer[piece.Length..];
                var write = Inner.WriteAsync(piece, cancellationToken);
                if (write.IsCompletedSuccessfully)
                    await write;
                else
                    await of.WithinAsync(write.AsTask(), piece.Length);
            }
            while (!buffer.IsEmpty);
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override Task FlushAsync(CancellationToken cancellationToken) => of.WithinAsync(Inner.FlushAsync(cancellationToken)).AsTask();

        public override void Flush() => throw new NotSupportedException();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
