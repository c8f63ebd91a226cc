namespace Grid.Cli.Logs;

/// <summary>
/// A workload's log as the node keeps it, in Kubernetes' CRI log format: <c>TIME stream P|F text</c>, P for a piece of a line. When it is full the
/// shim begins it anew under the same name; a reader goes on in the new file once it has read the old one to its end.
/// </summary>
internal sealed class LogFile(string path) : IDisposable
{
    private readonly LogLines _lines = new();
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
        _lines.Break();
        if (!File.Exists(path))
            yield break;
        _file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        foreach (var line in Drain())
            yield return line;
    }

    public void Dispose()
    {
        _file?.Dispose();
        _lines.Dispose();
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
            foreach (var line in _lines.Read(_buffer.AsMemory(0, count)))
                yield return line;
        }
    }
}
