using System.Diagnostics;

namespace Grid.Bench.Ledger;

/// <summary>Many callers, each waiting for its own answer.</summary>
/// <param name="CpuMicroseconds">of ours and of PostgreSQL's for each</param>
/// <param name="OthersMicroseconds">of PostgreSQL's alone</param>
/// <param name="Garbage">bytes that this process allocated for each</param>
internal sealed record Load(double PerSecond, double Median, double P99, double CpuMicroseconds, double OthersMicroseconds, double Garbage)
{
    public Load Times(int each) => this with
    {
        PerSecond = PerSecond * each,
        CpuMicroseconds = CpuMicroseconds / each,
        OthersMicroseconds = OthersMicroseconds / each,
        Garbage = Garbage / each,
    };

    /// <param name="act">throws when the answer is not what it must be</param>
    public static async Task<Load> RunAsync(int count, int callers, Func<int, Task> act)
    {
        var milliseconds = new double[count];
        var next = -1;
        var spent = Spent.Now();
        await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Run(async () =>
        {
            for (int i; (i = Interlocked.Increment(ref next)) < count;)
            {
                var at = Stopwatch.GetTimestamp();
                await act(i);
                milliseconds[i] = Stopwatch.GetElapsedTime(at).TotalMilliseconds;
            }
        })));
        var load = spent.Until(Spent.Now(), count);
        Array.Sort(milliseconds);
        return load with { Median = milliseconds[count / 2], P99 = milliseconds[(int)(count * 0.99)] };
    }
}

/// <summary>What had been used up at one moment.</summary>
/// <param name="Cpu">seconds of this process and of its descendants</param>
/// <param name="Own">seconds of this process</param>
internal sealed record Spent(long At, double Cpu, double Own, long Allocated)
{
    public static Spent Now() => new(Stopwatch.GetTimestamp(), Ledger.Cpu.Seconds(), Environment.CpuUsage.TotalTime.TotalSeconds, GC.GetTotalAllocatedBytes());

    public Load Until(Spent end, int count) => new(count / Stopwatch.GetElapsedTime(At, end.At).TotalSeconds, 0, 0, 1e6 * (end.Cpu - Cpu) / count,
        double.Max(0, 1e6 * (end.Cpu - Cpu - (end.Own - Own)) / count), (double)(end.Allocated - Allocated) / count);
}
