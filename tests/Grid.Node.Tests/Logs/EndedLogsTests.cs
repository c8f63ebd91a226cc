using Grid.Node.Containers;
using Grid.Node.Logs;
using Grid.Reconciliation;
using Grid.Units;

namespace Grid.Node.Tests.Logs;

public sealed class EndedLogsTests : IDisposable
{
    private static readonly WorkloadKey Web = new(new AgreementId(Digest.Of("agreement"u8)), "web");

    private readonly string _directory = Directory.CreateTempSubdirectory("grid-logs-").FullName;
    private readonly Clock _clock = new();
    private readonly HashSet<WorkloadKey> _held = [];
    private FlistId? _mounted;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void The_log_of_what_is_over_is_kept_for_seven_days_and_then_deleted_by_whatever_agent_there_is()
    {
        var log = Written(Web);
        _held.Add(Web);
        Clear();
        // Silent for a year, and then it ends.
        _clock.Now += TimeSpan.FromDays(365);
        Clear();
        _held.Remove(Web);
        Clear();
        for (var day = 1; day < 7; day++)
        {
            _clock.Now += TimeSpan.FromDays(1);
            Clear();
            Assert.Equal("written", File.ReadAllText(log));
        }
        _clock.Now += TimeSpan.FromDays(1);
        Clear();
        Assert.False(File.Exists(log));
    }

    [Fact]
    public void One_agent_looks_once_an_hour()
    {
        var log = Written(Web);
        var logs = new EndedLogs(_directory, _clock);
        void At(TimeSpan time)
        {
            _clock.Now += time;
            logs.Clear(_held.Contains, _ => false);
        }
        At(TimeSpan.Zero);
        At(EndedLogs.Kept - TimeSpan.FromMinutes(30));
        At(TimeSpan.FromMinutes(59));
        Assert.True(File.Exists(log));
        At(TimeSpan.FromMinutes(1));
        Assert.False(File.Exists(log));
    }

    [Fact]
    public void What_is_wanted_again_is_over_again_when_it_ends_again()
    {
        var log = Written(Web);
        Clear();
        _clock.Now += TimeSpan.FromDays(6);
        _held.Add(Web);
        Clear();
        _clock.Now += TimeSpan.FromDays(6);
        _held.Remove(Web);
        Clear();
        _clock.Now += TimeSpan.FromDays(6);
        Clear();
        Assert.True(File.Exists(log));
        _clock.Now += TimeSpan.FromDays(1);
        Clear();
        Assert.False(File.Exists(log));
    }

    [Fact]
    public void What_is_no_workloads_log_is_left_alone()
    {
        var others = new[] { "gateway.log", "notes", $"{ContainerId.Of(Web)}.txt" }.Select(n => Path.Combine(_directory, n)).ToList();
        others.ForEach(o => File.WriteAllText(o, "written"));
        Clear();
        _clock.Now += TimeSpan.FromDays(30);
        Clear();
        Assert.All(others, o => Assert.Equal("written", File.ReadAllText(o)));
    }

    [Fact]
    public void The_log_of_a_mount_goes_as_long_after_it()
    {
        var flist = new FlistId(Digest.Of("flist"u8));
        var log = Path.Combine(_directory, $"{flist}.log");
        File.WriteAllText(log, "written");
        File.SetLastWriteTimeUtc(log, _clock.Now.UtcDateTime);
        _mounted = flist;
        Clear();
        _clock.Now += TimeSpan.FromDays(365);
        Clear();
        _mounted = null;
        Clear();
        _clock.Now += TimeSpan.FromDays(6);
        Clear();
        Assert.True(File.Exists(log));
        _clock.Now += TimeSpan.FromDays(1);
        Clear();
        Assert.False(File.Exists(log));
    }

    // By a new agent each time: what it does not find on disk it does not know.
    private void Clear() => new EndedLogs(_directory, _clock).Clear(_held.Contains, f => f == _mounted);

    private string Written(WorkloadKey key)
    {
        var path = Path.Combine(_directory, $"{ContainerId.Of(key)}.log");
        using (var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }))
            file.Write("written"u8);
        File.SetLastWriteTimeUtc(path, _clock.Now.UtcDateTime);
        return path;
    }

    private sealed class Clock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override DateTimeOffset GetUtcNow() => Now;

        public override long GetTimestamp() => Now.Ticks;
    }
}
