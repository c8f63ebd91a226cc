using System.Globalization;
using System.Text;

namespace Grid.Cli.Logs;

internal sealed record LogLine(DateTimeOffset At, string Stream, string Text);

/// <summary>
/// A workload's log as the node keeps it, in Kubernetes' CRI log format: <c>TIME stream P|F text</c>, P for a piece of a line. When it is full the
/// shim begins it anew under the same name; a reader goes on in the new file once it has read the old one to its end.
/// </summary>
internal sealed class LogFile(string path) : IDisposable
{
    /// <summary>A line longer than this, in bytes, is handed on in parts.</summary>
    public const int LongestLine = 256 << 10;

    private readonly Dictionary<string, StringBuilder> _pieces = [];
    private readonly MemoryStream _rest = new();
    private readonly byte[] _buffer = new byte[64 << 10];
    private FileStream? _file;

    /// <summary>What was written since the last call, oldest first; nothing while there is no file.</summary>
    /// <exception cref="IOException">the file cannot be read</exception>
    /// <exception cref="UnauthorizedAccessException">it may not be</exception>
    public IEnumerable<LogLine> Next()
    {
        // Asked before reading: what is still written into a file that was replaced is read below.
        var replaced = _file is not null && IsReplaced(_file);
        foreach (var line in Drain())
            yield return line;
        if (_file is not null && !replaced)
            yield break;
        _file?.Dispose();
        _file = null;
        _rest.SetLength(0);
        if (!File.Exists(path))
            yield break;
        _file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        foreach (var line in Drain())
            yield return line;
    }

    public void Dispose()
    {
        _file?.Dispose();
        _rest.Dispose();
    }

    // proc(5): a descriptor whose name was taken away or given to another file reads "… (deleted)".
    private static bool IsReplaced(FileStream file) =>
        new FileInfo($"/proc/self/fd/{file.SafeFileHandle.DangerousGetHandle()}").LinkTarget?.EndsWith(" (deleted)", StringComparison.Ordinal) ?? true;

    private IEnumerable<LogLine> Drain()
    {
        if (_file is null)
            yield break;
        if (_file.Length < _file.Position)
            _file.Position = 0;
        for (int count; (count = _file.Read(_buffer)) > 0;)
        {
            for (int at = 0, end; at < count; at = end + 1)
            {
                end = Array.IndexOf(_buffer, (byte)'\n', at, count - at);
                // What no shim writes is not gathered without end.
                if (_rest.Length < 2 * LongestLine)
                    _rest.Write(_buffer, at, (end < 0 ? count : end) - at);
                if (end < 0)
                    break;
                var text = Encoding.UTF8.GetString(_rest.GetBuffer(), 0, (int)_rest.Length);
                _rest.SetLength(0);
                if (Whole(text) is { } line)
                    yield return line;
            }
        }
    }

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
