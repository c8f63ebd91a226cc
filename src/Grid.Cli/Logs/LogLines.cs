using System.Globalization;
using System.Text;

namespace Grid.Cli.Logs;

internal sealed record LogLine(DateTimeOffset At, string Stream, string Text);

/// <summary>Makes lines of a log's bytes as they come, in pieces of any size (see <see cref="LogFile"/> for their form).</summary>
internal sealed class LogLines : IDisposable
{
    /// <summary>A line longer than this, in bytes, is handed on in parts.</summary>
    public const int LongestLine = 256 << 10;

    private readonly Dictionary<string, StringBuilder> _pieces = [];
    private readonly MemoryStream _rest = new();

    public IEnumerable<LogLine> Read(ReadOnlyMemory<byte> bytes)
    {
        for (int at = 0, end; at < bytes.Length; at = end + 1)
        {
            end = bytes.Span[at..].IndexOf((byte)'\n') is var found and >= 0 ? at + found : -1;
            // What no shim writes is not gathered without end.
            if (_rest.Length < 2 * LongestLine)
                _rest.Write(bytes.Span[at..(end < 0 ? bytes.Length : end)]);
            if (end < 0)
                break;
            var text = Encoding.UTF8.GetString(_rest.GetBuffer(), 0, (int)_rest.Length);
            _rest.SetLength(0);
            if (Whole(text) is { } line)
                yield return line;
        }
    }

    /// <summary>What comes next does not go on with what came last.</summary>
    public void Break() => _rest.SetLength(0);

    public void Dispose() => _rest.Dispose();

    // A line that is not in the shim's form cannot be told from the workload's own words, and is not shown as such.
    private LogLine? Whole(string text)
    {
        if (text.Split(' ', 4) is not [var time, ("stdout" or "stderr") and var stream, ("P" or "F") and var tag, var piece]
            || !DateTimeOffset.TryParse(time, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var at))
            return null;
        if (!_pieces.TryGetValue(stream, out var pieces))
            _pieces[stream] = pieces = new StringBuilder();
        pieces.Append(piece);
        if (tag == "P" && pieces.Length < LongestLine)
            return null;
        var line = new LogLine(at, stream, pieces.ToString());
        pieces.Clear();
        return line;
    }
}
