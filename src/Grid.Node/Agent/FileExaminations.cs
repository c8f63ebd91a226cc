using System.Threading.Channels;
using Grid.Flists.Admission;
using Grid.Flists.Hub;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Agent;

/// <summary>
/// Looks at the files of versions beside whoever asks, who may give up waiting: what was begun goes on, so that a hub which is slow and honest comes to an end.
/// Few at once, for a tree of files is in memory whole; and what took <see cref="Longest"/> gives way when others wait.
/// </summary>
internal sealed class FileExaminations(DescribedFiles files, TimeProvider time)
{
    public static readonly TimeSpan Longest = TimeSpan.FromMinutes(2);

    private const int AtOnce = 2;

    private readonly Channel<bool> _room = Room();
    private readonly Dictionary<StatementId, (Task<Refusal?> Work, CancellationTokenSource End)> _begun = [];
    private int _waiting;

    /// <summary>Completes when all that was begun has ended.</summary>
    public Task Ended => Task.WhenAll(_begun.Values.Select(b => (Task)b.Work.ContinueWith(_ => { }, TaskScheduler.Default)));

    /// <summary>Ends what is looked at for other versions than these.</summary>
    public void Keep(IEnumerable<StatementId> versions)
    {
        foreach (var version in _begun.Keys.Except(versions).ToList())
            Forget(version);
    }

    /// <summary>Begins to look at a version's files, unless that was begun.</summary>
    public void Begin(StatementId version, IReadOnlyList<Workload> workloads, CancellationToken cancel)
    {
        if (_begun.ContainsKey(version))
            return;
        var end = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        _begun[version] = (workloads.OfType<Runnable>().Any() ? ExamineAsync(workloads, end.Token) : Task.FromResult<Refusal?>(null), end);
    }

    /// <summary>What was found against a version's files; null for nothing. After it, they are looked at anew.</summary>
    /// <param name="turn">ends the wait for it, and nothing else</param>
    /// <exception cref="TimeoutException">nothing was found yet</exception>
    /// <exception cref="HubException">no hub could be asked; nothing is said about the version</exception>
    public async Task<Refusal?> ResultAsync(StatementId version, IReadOnlyList<Workload> workloads, CancellationToken turn, CancellationToken cancel)
    {
        Begin(version, workloads, cancel);
        var work = _begun[version].Work;
        try
        {
            return await work.WaitAsync(turn);
        }
        catch (OperationCanceledException e) when (!cancel.IsCancellationRequested)
        {
            throw new TimeoutException("Its files are not looked at yet: a hub is slow, or has much to send.", e);
        }
        finally
        {
            if (work.IsCompleted)
                Forget(version);
        }
    }

    private void Forget(StatementId version)
    {
        if (!_begun.Remove(version, out var begun))
            return;
        begun.End.Cancel();
        begun.End.Dispose();
    }

    private async Task<Refusal?> ExamineAsync(IReadOnlyList<Workload> workloads, CancellationToken end)
    {
        Interlocked.Increment(ref _waiting);
        try
        {
            await _room.Reader.ReadAsync(end);
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
        try
        {
            using var givesWay = CancellationTokenSource.CreateLinkedTokenSource(end);
            await using var longest = time.CreateTimer(_ => GiveWay(givesWay), null, Longest, Longest);
            return (await Task.Run(() => files.CheckAsync(workloads, givesWay.Token), givesWay.Token)).FirstOrDefault();
        }
        finally
        {
            _room.Writer.TryWrite(true);
        }
    }

    // Nobody has to dispose of a channel, as of a semaphore.
    private static Channel<bool> Room()
    {
        var room = Channel.CreateBounded<bool>(AtOnce);
        for (var i = 0; i < AtOnce; i++)
            room.Writer.TryWrite(true);
        return room;
    }

    private void GiveWay(CancellationTokenSource one)
    {
        if (_waiting > 0)
            one.Cancel();
    }
}
