using System.Collections.Immutable;
using Grid.Node.Containers;
using Grid.Reconciliation;
using Microsoft.Extensions.Logging;

namespace Grid.Node.Agent;

/// <summary>Takes the census once a sweep, says who does not belong, and remembers the last that were found.</summary>
internal sealed partial class Strangers(WorkloadSight sight, TimeProvider time, ILogger log)
{
    private const int Remembered = 16;

    private ImmutableArray<StrangerSeen> _there = [];
    private ImmutableArray<(StrangerSeen Stranger, DateTimeOffset At)> _found = [];
    private long? _looked;

    /// <summary>When the next census is due.</summary>
    public TimeSpan Next => _looked is { } at && NodeAgent.Sweep - time.GetElapsedTime(at) is { Ticks: > 0 } left ? left : TimeSpan.Zero;

    /// <summary>For the node's status, the newest last.</summary>
    public ImmutableArray<StrangerStatus> Known =>
        [.. _found.Select(f => new StrangerStatus(f.Stranger.Workload.Agreement.ToString(), f.Stranger.Workload.Name, f.Stranger.Pid, f.Stranger.Path, f.At, _there.Contains(f.Stranger)))];

    /// <summary>Those of the last census that are still there.</summary>
    public ImmutableArray<StrangerSeen> Look()
    {
        if (Next > TimeSpan.Zero)
            return _there = _there.RemoveAll(s => Processes.Identify(s.Pid)?.StartTicks != s.Started);
        _looked = time.GetTimestamp();
        var before = _there;
        _there = [.. sight.Strangers()];
        foreach (var stranger in _there.Except(before))
        {
            Found(stranger);
            _found = [.. _found.TakeLast(Remembered - 1), (stranger, time.GetUtcNow())];
        }
        return _there;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A stranger runs in {Stranger}, which is none of its files")]
    private partial void Found(StrangerSeen stranger);
}
