using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using Grid.Node.Containers.Interop;

namespace Grid.Node.Containers;

public enum LogStream
{
    Out,
    Error,
}

public sealed record LogLine(DateTimeOffset At, LogStream Stream, string Text);

/// <summary>
/// What a container wrote, as its shim kept it: <c>TIME stream P|F text</c> per line (Kubernetes' CRI log format), P for a piece of a line.
/// When the file is full the shim begins it anew, so that it never exceeds its size; what was before is gone. It outlives the container.
/// </summary>
public sealed class ContainerLog
{
    // A line longer than this is handed on in parts.
    private const int LongestLine = 256 * 1024;
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(200);

    private readonly string _path;
    private readonly Func<Observation> _observe;
    private readonly TimeProvider _time;

    internal ContainerLog(string path, Func<Observation> observe, TimeProvider time) => (_path, _observe, _time) = (path, observe, time);

    /// <summary>The lines in order of writing.</summary>
    /// <param name="tail">only so many of the last lines that are there now; null for all</param>
    /// <param name="since">only lines written at that time or later</param>
    /// <param name="follow">goes on until the container has ended</param>
    public async IAsyncEnumerable<LogLine> ReadAsync(int? tail, DateTimeOffset? since, bool follow, [EnumeratorCancellation] CancellationToken cancel)
    {
        var reader = new Reader(_path);
        try
        {
            var first = reader.Next().Where(l => since is null || l.At >= since);
            foreach (var line in tail is { } count ? first.TakeLast(count) : first)
                yield return line;
            while (follow)
            {
                // Asked before reading: what is written between the two is then still read.
                var ended = _observe() is Observation.Absent or Observation.Present { Phase: Phase.Exited or Phase.Partial };
                foreach (var line in reader.Next().Where(l => since is null || l.At >= since))
                    yield return line;
                if (ended)
                    yield break;
                await Task.Delay(LookAgain, _time, cancel);
            }
        }
        finally
        {
            reader.Dispose();
        }
    }

    internal static LogLine? Parse(string line, out bool partial)
    {
        partial = false;
        if (line.Split(' ', 4) is not [var time, var stream, ("P" or "F") and var tag, var text]
            || stream is not ("stdout" or "stderr")
            || !DateTimeOffset.TryParse(time, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var at))
            return null;
        partial = tag == "P";
        return new LogLine(at, stream == "stdout" ? LogStream.Out : LogStream.Error, text);
    }

    private sealed class Reader(string path) : IDisposable
    {
        private readonly StringBuilder[] _pieces = [new(), new()];
        private readonly MemoryStream _rest = new();
        private FileStream? _file;
        private FileIdentity? _identity;

        /// <summary>What was written since the last call.</summary>
        public List<LogLine> Next()
        {
            var lines = new List<LogLine>();
            Drain(lines);
            if (SysStat.Identify(path) is { } now && now != _identity)
            {
                // Begun anew since; the old one was drained above.
                _file?.Dispose();
                _file = null;
                _rest.SetLength(0);
                _identity = now;
                _file = Open();
                Drain(lines);
            }
            return lines;
        }

        public void Dispose()
        {
            _file?.Dispose();
            _rest.Dispose();
        }

        private FileStream? Open()
        {
            try
            {
                return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            }
            catch (FileNotFoundException)
            {
                return null;
            }
        }

        private void Drain(List<LogLine> lines)
        {
            if (_file is null)
                return;
            var buffer = new byte[65_536];
            while (_file.Read(buffer) is > 0 and var count)
            {
                var chunk = buffer.AsSpan(0, count);
                while (chunk.IndexOf((byte)'\n') is >= 0 and var end)
                {
                    _rest.Write(chunk[..end]);
                    Add(Encoding.UTF8.GetString(_rest.GetBuffer(), 0, (int)_rest.Length), lines);
                    _rest.SetLength(0);
                    chunk = chunk[(end + 1)..];
                }
                _rest.Write(chunk);
            }
        }

        private void Add(string text, List<LogLine> lines)
        {
            // A line that is not in the shim's form cannot be told apart from the workload's own words, and is not shown as such.
            if (Parse(text, out var partial) is not { } line)
                return;
            var pieces = _pieces[(int)line.Stream].Append(line.Text);
            if (partial && pieces.Length < LongestLine)
                return;
            lines.Add(line with { Text = pieces.ToString() });
            pieces.Clear();
        }
    }
}
