namespace Grid.Ledger.Tests;

/// <summary>A clock that a test sets; its timers fire when it is moved past them.</summary>
internal sealed class TestClock(DateTimeOffset now) : TimeProvider
{
    private readonly Lock _gate = new();
    private readonly List<Alarm> _alarms = [];
    private DateTimeOffset _now = now;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override DateTimeOffset GetUtcNow() => _now;

    public override long GetTimestamp() => _now.UtcTicks;

    public void Set(DateTimeOffset time)
    {
        Alarm[] due;
        lock (_gate)
        {
            _now = time;
            due = [.. _alarms.Where(a => a.At <= time)];
        }
        foreach (var alarm in due)
            alarm.Fire();
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var alarm = new Alarm(this, () => callback(state));
        lock (_gate)
            _alarms.Add(alarm);
        alarm.Change(dueTime, period);
        return alarm;
    }

    private sealed class Alarm(TestClock clock, Action ring) : ITimer
    {
        public DateTimeOffset At { get; private set; } = DateTimeOffset.MaxValue;

        public void Fire()
        {
            At = DateTimeOffset.MaxValue;
            ring();
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            At = dueTime < TimeSpan.Zero ? DateTimeOffset.MaxValue : clock._now + dueTime;
            if (At <= clock._now)
                Fire();
            return true;
        }

        public void Dispose() => At = DateTimeOffset.MaxValue;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
