using System.Collections.Concurrent;
using Grid.Machines;
using Grid.Reconciliation;

namespace Grid.Node.Agent;

/// <summary>
/// The effects that are under way: one at a time for each thing, and of each kind no more at once than it has places. What is slow, or fails, holds up
/// nothing but its own.
/// </summary>
/// <param name="failed">told what an effect threw</param>
/// <param name="landed">told after each that is over</param>
internal sealed class SingleFlight(Action<Step, Exception> failed, Action landed) : IDisposable
{
    public const int Mounts = 4, Machines = 4, Runs = 4, Endings = 16;

    /// <summary>To be ended is mostly to be waited for: everything that was cancelled has its time at once.</summary>
    public const int Stops = 256;

    private readonly ConcurrentDictionary<object, Task> _flights = new();

    // Apart, so that slow downloads never hold up what could run, and nothing that is made holds up what is taken away.
    private readonly SemaphoreSlim _mounts = new(Mounts), _machines = new(Machines), _runs = new(Runs), _endings = new(Endings), _stops = new(Stops);

    /// <summary>What something is being done to.</summary>
    public IReadOnlySet<object> Moving => _flights.Keys.ToHashSet();

    /// <summary>When all that are under way now are over.</summary>
    public Task Landed => Task.WhenAll(_flights.Values);

    /// <returns>false, and it is not begun, while another lasts that is done to the same thing</returns>
    public bool TryBegin(Step step, Func<Task> effect, CancellationToken cancel)
    {
        // Known before it begins: what is over at once must not be taken for busy ever after.
        var flight = new Task<Task>(() => FlyAsync(step, effect, cancel), CancellationToken.None);
        if (!_flights.TryAdd(step.Subject, flight.Unwrap()))
            return false;
        flight.Start(TaskScheduler.Default);
        return true;
    }

    public void Dispose()
    {
        _mounts.Dispose();
        _machines.Dispose();
        _runs.Dispose();
        _endings.Dispose();
        _stops.Dispose();
    }

    private async Task FlyAsync(Step step, Func<Task> effect, CancellationToken cancel)
    {
        var pool = step switch
        {
            Step.MountFlist => _mounts,
            Step.Stop => _stops,
            Step.Withdraw or Step.UnmountFlist or Step.Disconnect or Step.EndStranger => _endings,
            // The image of its root is made first, at the pace of whatever hub has its files.
            Step.Start { Wish.Workload: Machine } => _machines,
            _ => _runs,
        };
        try
        {
            await pool.WaitAsync(cancel);
            try
            {
                await effect();
            }
            finally
            {
                pool.Release();
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // The agent stops; what is half done is found at its next start.
        }
        // Of one thing on a node of many: it is told and tried again, and the others are kept meanwhile.
        catch (Exception e)
        {
            failed(step, e);
        }
        finally
        {
            _flights.TryRemove(step.Subject, out _);
            landed();
        }
    }
}
