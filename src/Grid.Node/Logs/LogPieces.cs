using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Grid.Logs;
using Grid.Node.Containers.Interop;

namespace Grid.Node.Logs;

/// <summary>
/// Reads a container's log piece by piece, each beginning where the last one ended: <c>inode (8) ‖ offset (8)</c>. The shim begins a full log anew
/// under the same name, so another inode says that what was left of the old one is gone.
/// </summary>
internal static class LogPieces
{
    private const int PlaceSize = 16;

    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(200);

    /// <param name="from">empty, or where the piece before ended</param>
    /// <param name="tail">only for the first piece: so many of the last lines</param>
    /// <param name="since">only for the first piece: what was written then or later</param>
    /// <returns>null when there is no log</returns>
    public static LogPiece? Read(string path, ReadOnlySpan<byte> from, long? tail, DateTimeOffset? since) =>
        from.Length == PlaceSize ? Look(path, from, null, null) : Look(path, from, tail, since);

    /// <summary>The same, and without a line it waits for one.</summary>
    /// <returns>without text when none came; no log at all is an empty one</returns>
    public static async Task<LogPiece> ReadAsync(string path, ReadOnlyMemory<byte> from, long? tail, DateTimeOffset? since, TimeSpan wait, TimeProvider time, CancellationToken cancel)
    {
        if (from.Length == PlaceSize)
            (tail, since) = (null, null);
        var (began, gap) = (time.GetTimestamp(), false);
        while (true)
        {
            var piece = Look(path, from.Span, tail, since) ?? new LogPiece(default, from, More: false, Gap: false);
            gap |= piece.Gap;
            if (!piece.Text.IsEmpty || time.GetElapsedTime(began) >= wait)
                return piece with { Gap = gap };
            // Where it begins is looked for once: all that was there may be long, and what comes from now on is new.
            (from, tail) = (piece.Next, null);
            await Task.Delay(LookAgain, time, cancel);
        }
    }

    // Of what is behind the place, so many of the last lines and none from before that time.
    private static LogPiece? Look(string path, ReadOnlySpan<byte> from, long? tail, DateTimeOffset? since)
    {
        FileStream file;
        try
        {
            file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 64 << 10);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        using (file)
        {
            var inode = SysStat.Identify($"/proc/self/fd/{file.SafeFileHandle.DangerousGetHandle()}")?.Inode ?? 0;
            var known = from.Length == PlaceSize;
            var offset = known ? BinaryPrimitives.ReadInt64BigEndian(from[8..]) : 0;
            var gap = known && (BinaryPrimitives.ReadUInt64BigEndian(from) != inode || offset < 0 || offset > file.Length);
            if (gap)
                offset = 0;
            else
                offset = Begin(file, offset, tail, since);
            return Read(file, inode, offset, gap);
        }
    }

    private static LogPiece Read(FileStream file, ulong inode, long offset, bool gap)
    {
        var length = file.Length;
        var text = new byte[(int)long.Clamp(length - offset, 0, LogAnswer.MaximumText)];
        file.Position = offset;
        var read = file.ReadAtLeast(text, text.Length, throwOnEndOfStream: false);
        // A line that is still being written waits for its end; one that no shim writes goes as it is.
        var whole = text.AsSpan(0, read).LastIndexOf((byte)'\n') + 1;
        var count = whole > 0 || read < LogAnswer.MaximumText ? whole : read;
        var next = new byte[PlaceSize];
        BinaryPrimitives.WriteUInt64BigEndian(next, inode);
        BinaryPrimitives.WriteInt64BigEndian(next.AsSpan(8), offset + count);
        return new LogPiece(text.AsMemory(0, count), next, More: count > 0 && length - offset > LogAnswer.MaximumText, gap);
    }

    // Where the first line stands that is wanted, from here on. A line in pieces (P … F) begins after the line before it.
    private static long Begin(FileStream file, long from, long? tail, DateTimeOffset? since)
    {
        if (tail is null && since is null)
            return from;
        var starts = new Queue<long>();
        var (at, start) = (from, from);
        file.Position = from;
        var wanted = since is null;
        using var reader = new LineReader(file);
        while (reader.Next() is { } line)
        {
            at += line.Length;
            if (!TryRead(line.Span, out var time, out var ends))
            {
                start = at;
                continue;
            }
            wanted = wanted || time >= since;
            if (!ends)
                continue;
            if (wanted)
            {
                if (tail is null)
                    return start;
                starts.Enqueue(start);
                if (starts.Count > tail)
                    starts.Dequeue();
            }
            start = at;
        }
        return starts.TryPeek(out var first) ? first : start;
    }

    // TIME stream P|F text
    private static bool TryRead(ReadOnlySpan<byte> line, out DateTimeOffset time, out bool ends)
    {
        (time, ends) = (default, false);
        var first = line.IndexOf((byte)' ');
        if (first is < 1 or > 40)
            return false;
        var rest = line[(first + 1)..];
        var second = rest.IndexOf((byte)' ');
        if (second < 0 || rest.Length < second + 2)
            return false;
        ends = rest[second + 1] == 'F';
        return DateTimeOffset.TryParse(Encoding.ASCII.GetString(line[..first]), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out time);
    }

    /// <summary>Lines with their ends; the last is not handed out before it has one.</summary>
    private sealed class LineReader(FileStream file) : IDisposable
    {
        private readonly MemoryStream _line = new();
        private readonly byte[] _buffer = new byte[64 << 10];
        private int _at, _end;

        public ReadOnlyMemory<byte>? Next()
        {
            _line.SetLength(0);
            while (true)
            {
                if (_at == _end)
                {
                    (_at, _end) = (0, file.Read(_buffer));
                    if (_end == 0)
                        return null;
                }
                var newline = _buffer.AsSpan(_at, _end - _at).IndexOf((byte)'\n');
                var take = newline < 0 ? _end - _at : newline + 1;
                _line.Write(_buffer, _at, take);
                _at += take;
                if (newline >= 0)
                    return _line.GetBuffer().AsMemory(0, (int)_line.Length);
            }
        }

        public void Dispose() => _line.Dispose();
    }
}
