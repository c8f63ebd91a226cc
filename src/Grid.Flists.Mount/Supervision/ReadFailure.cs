using System.Globalization;
using System.Text;
using Grid.Flists.Mount.Serving;

namespace Grid.Flists.Mount;

/// <summary>A read that was answered with EIO: when, and why. Whoever read is told the number alone; the rest stands in the mount's log.</summary>
public sealed record ReadFailure(DateTimeOffset At, MountFailure Failure, string Reason)
{
    private const int Looked = 8 << 10;

    /// <summary>The last of a mount; null when the end of its log tells of none.</summary>
    /// <param name="log">as in its <see cref="MountSpec"/></param>
    public static ReadFailure? Last(string log)
    {
        if (!File.Exists(log))
            return null;
        using var file = File.OpenHandle(log, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var tail = new byte[Looked];
        var read = RandomAccess.Read(file, tail, long.Max(0, RandomAccess.GetLength(file) - Looked));
        return Encoding.UTF8.GetString(tail, 0, read).Split('\n').Reverse().Select(TryParse).FirstOrDefault(f => f is not null);
    }

    // "2026-01-31T12:00:00.000Z 4711 FlistInvalid: why"
    private static ReadFailure? TryParse(string line) =>
        line.Split(' ', 3) is [var time, _, var said]
        && said.Split(": ", 2) is [var failure, var reason] && Enum.TryParse<MountFailure>(failure, out var known)
        && DateTimeOffset.TryParseExact(time, MountLog.Time, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var at)
            ? new ReadFailure(at, known, reason.TrimEnd())
            : null;
}
