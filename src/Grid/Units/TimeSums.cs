namespace Grid.Units;

/// <summary>Sums of times that somebody else said: a ledger may record an entry at the last second there is.</summary>
public static class TimeSums
{
    /// <summary>So much later; the last moment there is, when that would be after it.</summary>
    /// <param name="by">zero or more</param>
    public static DateTimeOffset Later(this DateTimeOffset at, TimeSpan by) => by < DateTimeOffset.MaxValue - at ? at + by : DateTimeOffset.MaxValue;
}
