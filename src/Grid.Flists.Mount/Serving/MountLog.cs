using System.Globalization;

namespace Grid.Flists.Mount.Serving;

/// <summary>One line per event and its time in UTC, bounded in all: a hub that answers nothing but rubbish cannot fill the disk.</summary>
internal sealed class MountLog(TextWriter writer, TimeProvider time)
{
    public const string Time = "yyyy-MM-ddTHH:mm:ss.fffZ";

    private const int Limit = 1 << 20;

    private readonly Lock _lock = new();
    private int _written;

    public void Write(string message)
    {
        lock (_lock)
        {
            if (_written >= Limit)
                return;
            var line = $"{time.GetUtcNow().ToString(Time, CultureInfo.InvariantCulture)} {Environment.ProcessId} {message}";
            _written += line.Length;
            writer.WriteLine(_written < Limit ? line : $"{line} (the last line: {Limit} bytes are written)");
        }
    }
}
