using System.Collections.Concurrent;
using System.Threading.RateLimiting;
using Grid.Statements;
using Grid.Units;

namespace Grid.Api;

/// <summary>
/// How many statements a second one key may sign, whatever addresses they come from. Only signatures that verified are counted, and each statement once:
/// who sends another's again uses up nothing of that key's.
/// </summary>
internal sealed class KeyLimit(int rate) : IDisposable
{
    private const int Remembered = 10_000;

    private readonly ConcurrentDictionary<StatementId, bool> _counted = [];
    private readonly PartitionedRateLimiter<PublicKey> _keys = PartitionedRateLimiter.Create<PublicKey, PublicKey>(key => RateLimitPartition.GetTokenBucketLimiter(key, _ => Bucket(rate)));

    /// <summary>A bucket that holds twice the rate.</summary>
    public static TokenBucketRateLimiterOptions Bucket(int rate) => new()
    {
        TokenLimit = 2 * rate,
        TokensPerPeriod = int.Max(1, rate / 10),
        ReplenishmentPeriod = TimeSpan.FromMilliseconds(rate < 10 ? 1000.0 / rate : 100),
        QueueLimit = 0,
    };

    public Refusal? Count(Statement statement)
    {
        if (rate == 0 || _counted.ContainsKey(statement.Id))
            return null;
        // All are looked at before any is taken from: what one of them may not sign now costs the others nothing.
        foreach (var key in statement.Signers)
        {
            if (_keys.GetStatistics(key) is { CurrentAvailablePermits: 0 })
                return TooMany(key);
        }
        foreach (var key in statement.Signers)
        {
            using var lease = _keys.AttemptAcquire(key);
            if (!lease.IsAcquired)
                return TooMany(key);
        }
        if (_counted.Count >= Remembered)
            _counted.Clear();
        _counted[statement.Id] = true;
        return null;
    }

    public void Dispose() => _keys.Dispose();

    private Refusal TooMany(PublicKey key) => new(ApiCode.TooManyRequests, $"Of one key, {key} here, {rate} statements a second are taken.", "Send fewer, or wait.");
}
