using System.IO.Pipelines;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Grid.Node.Gateways.Front;

/// <summary>
/// An answer by HTTP/2, which goes on only by the client's leave (flow control, RFC 9113 §5.2). That is waited for <see cref="FrontLimits.Unread"/> and no longer:
/// Kestrel's own rate is of what was written to the socket, and of what was never let out it says nothing. What fits into the buffer that Kestrel keeps for a stream
/// is not waited for.
/// </summary>
internal sealed class ImpatientBody : IHttpResponseBodyFeature
{
    private readonly IHttpResponseBodyFeature _inner;
    private readonly HttpContext _context;
    private readonly TimeProvider _time;

    private ImpatientBody(IHttpResponseBodyFeature inner, HttpContext context, TimeProvider time)
    {
        (_inner, _context, _time) = (inner, context, time);
        Stream = new Body(this);
    }

    public Stream Stream { get; }

    public PipeWriter Writer => _inner.Writer;

    public static void Put(HttpContext context, TimeProvider time) =>
        context.Features.Set<IHttpResponseBodyFeature>(new ImpatientBody(context.Features.GetRequiredFeature<IHttpResponseBodyFeature>(), context, time));

    public void DisableBuffering() => _inner.DisableBuffering();

    public Task StartAsync(CancellationToken cancellationToken = default) => _inner.StartAsync(cancellationToken);

    public Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default) => _inner.SendFileAsync(path, offset, count, cancellationToken);

    public Task CompleteAsync() => _inner.CompleteAsync();

    private async Task WithinAsync(Task write)
    {
        try
        {
            await write.WaitAsync(FrontLimits.Unread, _time);
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

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            new(of.WithinAsync(Inner.WriteAsync(buffer, cancellationToken).AsTask()));

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override Task FlushAsync(CancellationToken cancellationToken) => of.WithinAsync(Inner.FlushAsync(cancellationToken));

        public override void Flush() => throw new NotSupportedException();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
