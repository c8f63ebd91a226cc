using System.Diagnostics;

namespace Grid.Bench.Ledger;

/// <summary>Many callers, each waiting for its own answer.</summary>
/// <param name="Cpu">seconds of all processes that took part</param>
/// <param name="Garbage">bytes that this process allocated</param>
/// <param name="Milliseconds">of each answer, sorted; none when nobody waited for a single one</param>
internal sealed record Load(long Count, double Seconds, Cpu Cpu, double Garbage, double[] Milliseconds)
{
    public double PerSecond => Count / Seconds;

    public double Median => At(0.5);

    public double P99 => At(0.99);

    public static Load Sum(IReadOnlyList<Load> loads) => new(
        loads.Sum(l => l.Count), loads.Sum(l => l.Seconds), new Cpu(loads.Sum(l => l.Cpu.All), loads.Sum(l => l.Cpu.Postgres)), loads.Sum(l => l.Garbage), [.. loads.SelectMany(l => l.Milliseconds).Order()]);

    /// <param name="act">throws when the answer is not what it must be</param>
    public static async Task<Load> RunAsync(int from, int count, int callers, Func<int, Task> act)
    {
        var milliseconds = new double[count];
        var next = -1;
        var spent = Spent.Now();
        await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Run(async () =>
        {
            for (int i; (i = Interlocked.Increment(ref next)) < count;)
            {
                var at = Stopwatch.GetTimestamp();
                await act(from + i);
                milliseconds[i] = Stopwatch.GetElapsedTime(at).TotalMilliseconds;
            }
        })));
        var load = spent.Until(Spent.Now(), count);
        Array.Sort(milliseconds);
        return load with { Milliseconds = milliseconds };
    }

    private double At(double quantile) => Milliseconds.Length == 0 ? double.NaN : Milliseconds[(int)(Milliseconds.Length * quantile)];
}

/// <summary>What had been used up at one moment.</summary>
internal sealed record Spent(long At, Cpu Cpu, long Allocated)
{
    public static Spent Now() => new(Stopwatch.GetTimestamp(), Ledger.Cpu.Now(), GC.GetTotalAllocatedBytes());

    public Load Until(Spent end, long count) => new(count, Stopwatch.GetElapsedTime(At, end.At).TotalSeconds, end.Cpu - Cpu, end.Allocated - Allocated, []);
}
