using System.Globalization;
using Grid.Units;

namespace Grid.Node.Agent;

/// <summary>
/// How long the ledger has been silent and what time it says it is, by a clock that does not jump. The node's own may: set by hand, set by a
/// network, or 1970 after a boot.
/// </summary>
/// <param name="path">keeps the last contact over a restart of the agent; losing it counts as never</param>
internal sealed class LedgerContact(string path, TimeProvider time)
{
    // A restart may think the silence so much longer than it was.
    private static readonly TimeSpan WriteEvery = TimeSpan.FromSeconds(5);

    private readonly Lock _one = new();
    private (TimeSpan Silence, long At)? _before;
    private long? _heardAt, _writtenAt;
    private (DateTimeOffset Time, long At)? _said;

    /// <summary>When it last proved that it stands on what it said before, by the node's clock; null for never.</summary>
    public DateTimeOffset? Heard { get; private set; }

    /// <summary>The time since then; the largest there is for never.</summary>
    public TimeSpan Silence
    {
        get
        {
            lock (_one)
                return _heardAt is { } at ? time.GetElapsedTime(at) : _before is { } before ? before.Silence + time.GetElapsedTime(before.At) : TimeSpan.MaxValue;
        }
    }

    /// <summary>
    /// A moment that has come by the node's clock and by the ledger's: the earlier of both. Null until the ledger said what time it is. What cannot be
    /// undone waits for it.
    /// </summary>
    public DateTimeOffset? Certain
    {
        get
        {
            lock (_one)
                return _said is { } said && said.Time.Later(time.GetElapsedTime(said.At)) is var ledger ? Earlier(ledger, time.GetUtcNow()) : null;
        }
    }

    /// <summary>Reads what the agent before this one knew. Only here the node's clock has to do.</summary>
    public void Restore()
    {
        if (File.Exists(path) && DateTimeOffset.TryParseExact(File.ReadAllText(path), "O", CultureInfo.InvariantCulture, DateTimeStyles.None, out var heard)
            && time.GetUtcNow() - heard is var silence && silence >= TimeSpan.Zero)
            (Heard, _before) = (heard, (silence, time.GetTimestamp()));
    }

    public void Hear()
    {
        lock (_one)
        {
            (_heardAt, Heard) = (time.GetTimestamp(), time.GetUtcNow());
            if (_writtenAt is { } written && time.GetElapsedTime(written) < WriteEvery)
                return;
            _writtenAt = _heardAt;
            File.WriteAllText(path + ".new", Heard.Value.ToString("O", CultureInfo.InvariantCulture));
            File.Move(path + ".new", path, overwrite: true);
        }
    }

    /// <param name="entry">the time of an entry that the ledger proved to have: it is at least so late there</param>
    public void Hear(DateTimeOffset entry)
    {
        lock (_one)
        {
            if (_said is not { } said || entry > said.Time.Later(time.GetElapsedTime(said.At)))
                _said = (entry, time.GetTimestamp());
        }
    }

    private static DateTimeOffset Earlier(DateTimeOffset a, DateTimeOffset b) => a < b ? a : b;
}
