using System.Buffers;
using System.IO.Pipelines;

namespace Grid.Node.Gateways.Front;

/// <summary>A client's connection whose bytes are counted for its route: what is taken from it, and what is given to it.</summary>
internal sealed class CountedTransport(IDuplexPipe inner, ServedRoute route) : IDuplexPipe
{
    public PipeReader Input { get; } = new Reader(inner.Input, route);

    public PipeWriter Output { get; } = new Writer(inner.Output, route);

    private sealed class Reader(PipeReader inner, ServedRoute route) : PipeReader
    {
        private ReadOnlySequence<byte> _shown;

        public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
        {
            var result = await inner.ReadAsync(cancellationToken);
            _shown = result.Buffer;
            return result;
        }

        public override bool TryRead(out ReadResult result)
        {
            var any = inner.TryRead(out result);
            if (any)
                _shown = result.Buffer;
            return any;
        }

        public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
        {
            route.CountReceived(_shown.Slice(0, consumed).Length);
            _shown = default;
            inner.AdvanceTo(consumed, examined);
        }

        public override void CancelPendingRead() => inner.CancelPendingRead();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);

        public override ValueTask CompleteAsync(Exception? exception = null) => inner.CompleteAsync(exception);
    }

    private sealed class Writer(PipeWriter inner, ServedRoute route) : PipeWriter
    {
        public override bool CanGetUnflushedBytes => inner.CanGetUnflushedBytes;

        public override long UnflushedBytes => inner.UnflushedBytes;

        public override Memory<byte> GetMemory(int sizeHint = 0) => inner.GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => inner.GetSpan(sizeHint);

        public override void Advance(int bytes)
        {
            route.CountSent(bytes);
            inner.Advance(bytes);
        }

        public override ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
        {
            route.CountSent(source.Length);
            return inner.WriteAsync(source, cancellationToken);
        }

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) => inner.FlushAsync(cancellationToken);

        public override void CancelPendingFlush() => inner.CancelPendingFlush();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);

        public override ValueTask CompleteAsync(Exception? exception = null) => inner.CompleteAsync(exception);
    }
}
