using Grid.Node.Agent;

namespace Grid.Node.Tests.Agent;

public sealed class LedgerContactTests : IDisposable
{
    private static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly string _path = Path.GetTempFileName();
    private readonly Time _time = new();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void Silence_is_counted_by_a_clock_that_does_not_jump()
    {
        var contact = new LedgerContact(_path, _time);
        Assert.Equal(TimeSpan.MaxValue, contact.Silence);
        contact.Hear();
        _time.Pass(TimeSpan.FromSeconds(7));
        _time.Jump(TimeSpan.FromDays(3650));
        Assert.Equal(TimeSpan.FromSeconds(7), contact.Silence);
    }

    [Fact]
    public void A_restart_of_the_agent_is_no_silence()
    {
        var before = new LedgerContact(_path, _time);
        before.Hear();
        _time.Pass(TimeSpan.FromMinutes(2));
        var after = new LedgerContact(_path, _time);
        after.Restore();
        Assert.Equal((TimeSpan.FromMinutes(2), before.Heard), (after.Silence, after.Heard));
        // And it goes on while the ledger stays away.
        _time.Pass(TimeSpan.FromMinutes(3));
        Assert.Equal(TimeSpan.FromMinutes(5), after.Silence);
        after.Hear();
        Assert.Equal(TimeSpan.Zero, after.Silence);
        File.WriteAllText(_path, "nonsense");
        var torn = new LedgerContact(_path, _time);
        torn.Restore();
        Assert.Equal((TimeSpan.MaxValue, null), (torn.Silence, torn.Heard));
    }

    [Fact]
    public void A_moment_is_certain_when_both_clocks_say_that_it_has_come()
    {
        var contact = new LedgerContact(_path, _time);
        Assert.Null(contact.Certain);
        contact.Hear(Epoch.AddMinutes(-1));
        Assert.Equal(Epoch.AddMinutes(-1), contact.Certain);
        _time.Pass(TimeSpan.FromMinutes(5));
        Assert.Equal(Epoch.AddMinutes(4), contact.Certain);
        // What was recorded earlier says nothing new.
        contact.Hear(Epoch.AddHours(-1));
        Assert.Equal(Epoch.AddMinutes(4), contact.Certain);
        _time.Jump(TimeSpan.FromDays(3650));
        Assert.Equal(Epoch.AddMinutes(4), contact.Certain);
        contact.Hear(Epoch.AddDays(7300));
        Assert.Equal(Epoch.AddMinutes(5).AddDays(3650), contact.Certain);
    }

    [Fact]
    public void The_last_second_there_is_does_not_overflow()
    {
        var contact = new LedgerContact(_path, _time);
        // What a ledger may write into an entry.
        contact.Hear(DateTimeOffset.FromUnixTimeSeconds(253_402_300_799));
        _time.Pass(TimeSpan.FromMinutes(5));
        contact.Hear(Epoch);
        Assert.Equal(Epoch.AddMinutes(5), contact.Certain);
    }

    /// <summary>A clock on the wall that can be set, and one that only runs.</summary>
    private sealed class Time : TimeProvider
    {
        private TimeSpan _passed, _set;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override DateTimeOffset GetUtcNow() => Epoch + _passed + _set;

        public override long GetTimestamp() => _passed.Ticks;

        public void Pass(TimeSpan time) => _passed += time;

        public void Jump(TimeSpan by) => _set += by;
    }
}
