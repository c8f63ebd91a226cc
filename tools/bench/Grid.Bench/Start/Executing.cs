using System.Diagnostics;

namespace Grid.Bench.Start;

/// <summary>
/// When a container's first process executes its own program: until then it is the runtime's, waiting to be let go. Asked of /proc every
/// half a millisecond.
/// </summary>
internal static class Executing
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <param name="pidFile">where whoever makes the container writes down its first process</param>
    /// <returns>timestamps: the process is known, and its program is executed</returns>
    public static (long Made, long Executed) Watch(string pidFile)
    {
        string? program = null;
        long made = 0;
        for (var began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began) < Patience; Thread.Sleep(TimeSpan.FromMicroseconds(500)))
        {
            if (made == 0 && File.Exists(pidFile) && File.ReadAllText(pidFile) is { Length: > 0 } pid)
                (made, program) = (Stopwatch.GetTimestamp(), $"/proc/{pid.Trim()}/exe");
            // The runtime executes a copy of itself, in memory or from its own file.
            if (program is not null && File.ResolveLinkTarget(program, returnFinalTarget: false)?.FullName is { } target && target.EndsWith("/busybox", StringComparison.Ordinal))
                return (made, Stopwatch.GetTimestamp());
        }
        throw new TimeoutException($"Nothing was executed by {pidFile}.");
    }
}
