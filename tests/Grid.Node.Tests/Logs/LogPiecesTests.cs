using System.Globalization;
using System.Text;
using System.Threading.Channels;
using Grid.Logs;
using Grid.Node.Logs;

namespace Grid.Node.Tests.Logs;

/// <summary>A log read in pieces is the log, however it is cut.</summary>
public sealed class LogPiecesTests : IDisposable
{
    private static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly string _path = Path.Combine(Directory.CreateTempSubdirectory("grid-log-").FullName, "log");
    private readonly StepClock _clock = new();

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

    [Theory]
    [InlineData(0, null)]
    [InlineData(null, 9)]
    [InlineData(5, 9)]
    public async Task Who_waits_is_told_what_comes_and_not_what_was_there(int? tail, int? since)
    {
        File.WriteAllText(_path, Line(0, "one"));
        var read = ReadAsync(tail, since is { } s ? Epoch.AddSeconds(s) : null);
        await _clock.StepAsync();
        // Not yet of its time, where a time was asked for.
        await _clock.StepAsync(() => File.AppendAllText(_path, since is null ? "" : Line(8, "two")));
        await _clock.StepAsync(() => File.AppendAllText(_path, Line(9, "three")));
        Assert.Equal(Line(9, "three"), Text(await read));
    }

    [Fact]
    public async Task Who_waits_for_nothing_hears_that_when_the_time_is_over()
    {
        var read = ReadAsync(0, null);
        for (var i = 0; i < 100; i++)
            await _clock.StepAsync(() => Assert.False(read.IsCompleted));
        var piece = await read;
        Assert.Equal(("", false, true), (Text(piece), piece.Gap, piece.Next.IsEmpty));
    }

    [Fact]
    public async Task Who_waits_hears_that_the_log_began_anew()
    {
        File.WriteAllText(_path, Line(0, "one"));
        var read = ReadAsync(0, null);
        await _clock.StepAsync(() =>
        {
            File.WriteAllText(_path + ".new", "");
            File.Move(_path + ".new", _path, overwrite: true);
        });
        await _clock.StepAsync(() => File.AppendAllText(_path, Line(1, "two")));
        var piece = await read;
        Assert.Equal((Line(1, "two"), true), (Text(piece), piece.Gap));
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

    private Task<LogPiece> ReadAsync(int? tail, DateTimeOffset? since) =>
        LogPieces.ReadAsync(_path, default, tail, since, TimeSpan.FromSeconds(20), _clock, TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);

    private static string Text(LogPiece? piece) => Encoding.UTF8.GetString(piece!.Text.Span);

    private static string Line(int second, string text, char tag = 'F') => string.Create(CultureInfo.InvariantCulture, $"{Epoch.AddSeconds(second):yyyy-MM-ddTHH:mm:ss.000000000+00:00} stdout {tag} {text}\n");

    /// <summary>A wait is over when it is stepped.</summary>
    private sealed class StepClock : TimeProvider
    {
        private readonly Channel<(TimerCallback Call, object? State, TimeSpan Due)> _waits = Channel.CreateUnbounded<(TimerCallback, object?, TimeSpan)>();
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Interlocked.Read(ref _ticks);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            Assert.True(_waits.Writer.TryWrite((callback, state, dueTime)));
            return new Timer();
        }

        /// <param name="meanwhile">what happens in the wait</param>
        public async Task StepAsync(Action? meanwhile = null)
        {
            var (call, state, due) = await _waits.Reader.ReadAsync(TestContext.Current.CancellationToken);
            meanwhile?.Invoke();
            Interlocked.Add(ref _ticks, due.Ticks);
            call(state);
        }

        private sealed class Timer : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period) => true;

            public void Dispose()
            {
            }

            public ValueTask DisposeAsync() => default;
        }
    }
}
