using System.Globalization;
using System.Text;
using Grid.Logs;
using Grid.Node.Logs;

namespace Grid.Node.Tests.Logs;

/// <summary>A log read in pieces is the log, however it is cut.</summary>
public sealed class LogPiecesTests : IDisposable
{
    private static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly string _path = Path.Combine(Directory.CreateTempSubdirectory("grid-log-").FullName, "log");

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(_path)!, recursive: true);

    [Fact]
    public void It_begins_where_it_is_wanted()
    {
        Assert.Null(LogPieces.Read(_path, default, null, null));
        File.WriteAllText(_path, Line(0, "one") + Line(1, "two, ", 'P') + Line(1, "in pieces") + Line(2, "three") + "half a li");
        Assert.Equal(Line(0, "one") + Line(1, "two, ", 'P') + Line(1, "in pieces") + Line(2, "three"), Text(LogPieces.Read(_path, default, null, null)));
        Assert.Equal(Line(2, "three"), Text(LogPieces.Read(_path, default, 1, null)));
        Assert.Equal(Line(1, "two, ", 'P') + Line(1, "in pieces") + Line(2, "three"), Text(LogPieces.Read(_path, default, 2, null)));
        Assert.Equal(Line(2, "three"), Text(LogPieces.Read(_path, default, null, Epoch.AddSeconds(2))));
        Assert.Equal(Line(2, "three"), Text(LogPieces.Read(_path, default, 9, Epoch.AddSeconds(2))));
        Assert.Equal("", Text(LogPieces.Read(_path, default, 0, null)));
        Assert.Equal("", Text(LogPieces.Read(_path, default, null, Epoch.AddSeconds(9))));
    }

    [Fact]
    public void It_goes_on_where_it_ended_and_says_when_something_is_gone()
    {
        File.WriteAllText(_path, Line(0, "one"));
        var first = LogPieces.Read(_path, default, null, null)!;
        Assert.Equal("", Text(LogPieces.Read(_path, first.Next.Span, null, null)));
        File.AppendAllText(_path, Line(1, "two"));
        var second = LogPieces.Read(_path, first.Next.Span, 0, Epoch.AddDays(1))!;
        Assert.Equal((Line(1, "two"), false), (Text(second), second.Gap));

        // As the shim does when it is full.
        File.WriteAllText(_path + ".new", Line(2, "three"));
        File.Move(_path + ".new", _path, overwrite: true);
        var third = LogPieces.Read(_path, second.Next.Span, null, null)!;
        Assert.Equal((Line(2, "three"), true), (Text(third), third.Gap));
    }

    [Fact]
    public void A_long_log_comes_in_pieces_of_whole_lines_that_make_it_up()
    {
        var log = string.Concat(Enumerable.Range(0, 20_000).Select(i => Line(i, $"line {i} {new string('x', i % 97)}")));
        File.WriteAllText(_path, log);
        var read = new StringBuilder();
        for (ReadOnlyMemory<byte> from = default; LogPieces.Read(_path, from.Span, null, null) is { } piece; from = piece.Next)
        {
            Assert.InRange(piece.Text.Length, 1, LogAnswer.MaximumText);
            Assert.EndsWith("\n", Text(piece), StringComparison.Ordinal);
            read.Append(Text(piece));
            if (!piece.More)
                break;
        }
        Assert.Equal(log, read.ToString());
    }

    private static string Text(LogPiece? piece) => Encoding.UTF8.GetString(piece!.Text.Span);

    private static string Line(int second, string text, char tag = 'F') => string.Create(CultureInfo.InvariantCulture, $"{Epoch.AddSeconds(second):yyyy-MM-ddTHH:mm:ss.000000000+00:00} stdout {tag} {text}\n");
}
