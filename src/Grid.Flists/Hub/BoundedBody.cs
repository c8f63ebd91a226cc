using Grid.Flists.Zstd;

namespace Grid.Flists.Hub;

/// <summary>More bytes came than may.</summary>
internal sealed class BodyTooLongException(long maximum) : IOException($"The answer is longer than {maximum} bytes.");

/// <summary>
/// The body of an answer: at most so many bytes. Each read sets the deadline anew, to the idle time or to what is left of the time
/// that the bytes may take at the minimum rate, whichever is sooner.
/// </summary>
internal sealed class BoundedBody(Stream body, long maximum, HubClientOptions options, TimeProvider time, ITimer deadline) : ReadOnlyStream
{
    private readonly long _started = time.GetTimestamp();
    private long _total;

    public bool AtEnd { get; private set; }

    public override int Read(Span<byte> buffer)
    {
        Arm();
        return Count(body.Read(buffer), buffer.Length);
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Arm();
        return Count(await body.ReadAsync(buffer, cancellationToken).ConfigureAwait(false), buffer.Length);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            body.Dispose();
        base.Dispose(disposing);
    }

    private void Arm()
    {
        var allowed = options.IdleTimeout + TimeSpan.FromSeconds(_total / (double)options.MinimumRate) - time.GetElapsedTime(_started);
        var wait = allowed < options.IdleTimeout ? allowed : options.IdleTimeout;
        deadline.Change(wait > TimeSpan.Zero ? wait : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }

    private int Count(int read, int wanted)
    {
        AtEnd |= read == 0 && wanted > 0;
        _total += read;
        return _total <= maximum ? read : throw new BodyTooLongException(maximum);
    }
}
