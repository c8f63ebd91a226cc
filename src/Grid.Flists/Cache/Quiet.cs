namespace Grid.Flists.Cache;

/// <summary>Knows whether anybody waits for a fetch, and since when nobody has. What can wait asks it first.</summary>
internal sealed class Quiet(TimeProvider time)
{
    private int _waiting;
    private long _last = time.GetTimestamp();

    /// <summary>Somebody waits until this is disposed.</summary>
    public Waiting Begin()
    {
        Interlocked.Increment(ref _waiting);
        return new Waiting(this);
    }

    /// <summary>Completes when nobody has waited for that long.</summary>
    public async Task ForAsync(TimeSpan length, CancellationToken cancellation)
    {
        while (Left(length) is var left && left > TimeSpan.Zero)
            await Task.Delay(left, time, cancellation).ConfigureAwait(false);
        cancellation.ThrowIfCancellationRequested();
    }

    private TimeSpan Left(TimeSpan length) => Volatile.Read(ref _waiting) > 0 ? length : length - time.GetElapsedTime(Volatile.Read(ref _last));

    public readonly struct Waiting(Quiet owner) : IDisposable
    {
        public void Dispose() => owner.End();
    }

    private void End()
    {
        Volatile.Write(ref _last, time.GetTimestamp());
        Interlocked.Decrement(ref _waiting);
    }
}
