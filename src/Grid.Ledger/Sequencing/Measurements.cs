using System.Collections.Concurrent;

namespace Grid.Ledger.Sequencing;

/// <summary>What the sequencer did so far, for whoever watches it.</summary>
public sealed class Measurements
{
    private long _accepted;
    private long _known;
    private long _busy;
    private long _unknown;
    private long _failedCommits;

    /// <summary>Entries a transaction.</summary>
    public Histogram BatchEntries { get; } = new(1, 2, 4, 8, 16, 32, 64, 128, 256, 512);

    /// <summary>Seconds a transaction took, sync to disk included.</summary>
    public Histogram CommitSeconds { get; } = new(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5);

    /// <summary>Seconds from a statement's arrival to its durable answer.</summary>
    public Histogram AnswerSeconds { get; } = new(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 20);

    public ConcurrentDictionary<string, long> Refusals { get; } = new();

    public long Accepted => Interlocked.Read(ref _accepted);

    public long Known => Interlocked.Read(ref _known);

    public long Busy => Interlocked.Read(ref _busy);

    public long Unknown => Interlocked.Read(ref _unknown);

    public long FailedCommits => Interlocked.Read(ref _failedCommits);

    internal void Count(Answer answer, TimeSpan took)
    {
        switch (answer)
        {
            case Answer.Recorded { Known: false }:
                Interlocked.Increment(ref _accepted);
                AnswerSeconds.Record(took.TotalSeconds);
                break;
            case Answer.Recorded:
                Interlocked.Increment(ref _known);
                break;
            case Answer.Refused refused:
                Refusals.AddOrUpdate(refused.Refusal.Code, 1, (_, n) => n + 1);
                break;
            case Answer.Busy:
                Interlocked.Increment(ref _busy);
                break;
            case Answer.Unknown:
                Interlocked.Increment(ref _unknown);
                break;
        }
    }

    internal void CountFailedCommit() => Interlocked.Increment(ref _failedCommits);
}

/// <summary>Counts of values at or below each bound, as Prometheus has them.</summary>
/// <param name="bounds">rising</param>
public sealed class Histogram(params double[] bounds)
{
    private readonly Lock _gate = new();
    private readonly long[] _counts = new long[bounds.Length + 1];
    private double _sum;

    public void Record(double value)
    {
        var index = Array.BinarySearch(bounds, value);
        lock (_gate)
        {
            _counts[index < 0 ? ~index : index]++;
            _sum += value;
        }
    }

    /// <summary>Bounds with the count of all values up to each, the count of all, and their sum.</summary>
    public (IReadOnlyList<(double Bound, long Count)> Buckets, long Count, double Sum) Read()
    {
        lock (_gate)
        {
            var running = 0L;
            var buckets = bounds.Select((bound, i) => (bound, running += _counts[i])).ToArray();
            return (buckets, running + _counts[^1], _sum);
        }
    }
}
