using System.Diagnostics;
using System.Globalization;

namespace Grid.Bench.Start;

/// <summary>
/// When a container's first process executes its own program: until then it is the runtime's, waiting to be let go. Asked of /proc every
/// half a millisecond.
/// </summary>
internal static class Executing
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <param name="pidFile">where whoever makes the container writes down its first process</param>
    /// <param name="before">a first process that it had and that is not meant</param>
    /// <returns>timestamps: the process is known, and its program is executed</returns>
    public static (long Made, long Executed) Watch(string pidFile, int before = 0)
    {
        long made = 0;
        for (var began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began) < Patience; Thread.Sleep(TimeSpan.FromMicroseconds(500)))
        {
            if (Pid(pidFile) is not { } pid || pid == before)
                continue;
            if (made == 0)
                made = Stopwatch.GetTimestamp();
            if (IsExecuted(pid))
                return (made, Stopwatch.GetTimestamp());
        }
        throw new TimeoutException($"Nothing was executed by {pidFile}.");
    }

    /// <summary>Kills the first process of a container.</summary>
    /// <returns>milliseconds until the next executes its program</returns>
    public static async Task<double> KillAsync(string pidFile)
    {
        var pid = Pid(pidFile) ?? throw new InvalidOperationException($"{pidFile} names no process.");
        var back = Task.Factory.StartNew(() => Watch(pidFile, pid), TaskCreationOptions.LongRunning);
        var killed = Stopwatch.GetTimestamp();
        using (var process = Process.GetProcessById(pid))
            process.Kill();
        return Stopwatch.GetElapsedTime(killed, (await back).Executed).TotalMilliseconds;
    }

    /// <returns>the timestamp at which all of them execute their programs</returns>
    public static long WatchAll(IEnumerable<string> pidFiles)
    {
        var waiting = pidFiles.ToList();
        for (var began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began) < Patience; Thread.Sleep(5))
        {
            waiting.RemoveAll(f => Pid(f) is { } pid && IsExecuted(pid));
            if (waiting.Count == 0)
                return Stopwatch.GetTimestamp();
        }
        throw new TimeoutException($"Nothing was executed by {waiting.Count} containers.");
    }

    /// <returns>null while it is not written down</returns>
    public static int? Pid(string pidFile)
    {
        try
        {
            return int.TryParse(File.ReadAllText(pidFile).AsSpan().Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var pid) ? pid : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    // The runtime executes a copy of itself, in memory or from its own file.
    private static bool IsExecuted(int pid)
    {
        try
        {
            return File.ResolveLinkTarget($"/proc/{pid}/exe", returnFinalTarget: false)?.FullName.EndsWith("/busybox", StringComparison.Ordinal) is true;
        }
        catch (IOException)
        {
            // It has ended.
            return false;
        }
    }
}
