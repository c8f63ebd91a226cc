using System.Diagnostics;

namespace Grid.Bench.Ledger;

/// <summary>Many callers, each waiting for its own answer.</summary>
/// <param name="CpuMicroseconds">of ours and of PostgreSQL's for each</param>
internal sealed record Load(double PerSecond, double Median, double P99, double CpuMicroseconds)
{
    public Load Times(int each) => this with { PerSecond = PerSecond * each, CpuMicroseconds = CpuMicroseconds / each };

    /// <param name="act">throws when the answer is not what it must be</param>
    public static async Task<Load> RunAsync(int count, int callers, Func<int, Task> act)
    {
        var milliseconds = new double[count];
        var next = -1;
        var cpu = Cpu.Seconds();
        var started = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Run(async () =>
        {
            for (int i; (i = Interlocked.Increment(ref next)) < count;)
            {
                var at = Stopwatch.GetTimestamp();
                await act(i);
                milliseconds[i] = Stopwatch.GetElapsedTime(at).TotalMilliseconds;
            }
        })));
        var took = Stopwatch.GetElapsedTime(started).TotalSeconds;
        cpu = Cpu.Seconds() - cpu;
        Array.Sort(milliseconds);
        return new Load(count / took, milliseconds[count / 2], milliseconds[(int)(count * 0.99)], 1e6 * cpu / count);
    }
}
