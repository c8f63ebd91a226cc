using System.Collections.Immutable;
using Grid.Logs;
using Grid.Units;
using Grid.World;

namespace Grid.Api;

/// <summary>
/// Brings a user's request for a log to a node that takes no calls, and its answer back. Kept in memory, bounded, and believed by neither: the node
/// looks at the user's signatures itself, and what it answers is sealed to the user.
/// </summary>
public sealed class LogRelay(TimeProvider clock)
{
    public const int MaximumWaiting = 256, MaximumOfNode = 16;

    /// <summary>What a node has, besides the wait that was asked for, to hear of it and to answer.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    // Nodes ask for news at least so often.
    private static readonly TimeSpan Away = TimeSpan.FromSeconds(90);

    private readonly Lock _gate = new();
    private readonly Dictionary<Digest, Waiting> _waiting = [];
    private readonly Dictionary<NodeId, TaskCompletionSource> _bells = [];
    private readonly Dictionary<NodeId, long> _heard = [];

    // Beginning with the time, so that a node's number of yesterday is below those of a ledger that was started today.
    private long _number = clock.GetUtcNow().ToUnixTimeMilliseconds();

    /// <returns>the node's answer as it came, or why there is none</returns>
    public async Task<(ReadOnlyMemory<byte> Answer, Refusal? Refusal)> AskAsync(SignedLogRequest request, ReadOnlyMemory<byte> bytes, GridState state, CancellationToken stop)
    {
        if (request.Check(state, clock.GetUtcNow()) is { } refusal)
            return (default, refusal);
        var waiting = new Waiting(request, bytes);
        lock (_gate)
        {
            if (_waiting.ContainsKey(request.Id))
                return (default, new Refusal(RefusalCode.AlreadySo, "This request waits for its answer already."));
            if (_waiting.Count >= MaximumWaiting || _waiting.Values.Count(w => w.Request.Request.Node == request.Request.Node) >= MaximumOfNode)
                return (default, new Refusal(ApiCode.TooManyRequests, "Too many wait for this node's logs.", "Ask again in a moment."));
            if (!_heard.TryGetValue(request.Request.Node, out var heard) || clock.GetElapsedTime(heard) > Away)
                return (default, Silent(request.Request.Node));
            waiting.Number = ++_number;
            _waiting[request.Id] = waiting;
            if (_bells.Remove(request.Request.Node, out var bell))
                bell.SetResult();
        }
        try
        {
            return (await waiting.Answer.Task.WaitAsync(request.Request.Wait + Patience, clock, stop), null);
        }
        catch (TimeoutException)
        {
            return (default, Silent(request.Request.Node));
        }
        finally
        {
            lock (_gate)
                _waiting.Remove(request.Id);
        }
    }

    /// <summary>What waits for a node and came after this number, oldest first. Anybody may ask for it and nobody but the node can answer it.</summary>
    public (long Last, ImmutableArray<ReadOnlyMemory<byte>> Requests) For(NodeId node, long after)
    {
        lock (_gate)
        {
            var mine = _waiting.Values.Where(w => w.Request.Request.Node == node && w.Number > after).OrderBy(w => w.Number).ToList();
            return (mine.Count == 0 ? after : mine[^1].Number, [.. mine.Select(w => w.Bytes)]);
        }
    }

    /// <summary>Completes when something comes for the node; at once when there is something after this number.</summary>
    public Task NextAsync(NodeId node, long after)
    {
        lock (_gate)
        {
            _heard[node] = clock.GetTimestamp();
            if (_waiting.Values.Any(w => w.Request.Request.Node == node && w.Number > after))
                return Task.CompletedTask;
            if (!_bells.TryGetValue(node, out var bell))
                _bells[node] = bell = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return bell.Task;
        }
    }

    /// <summary>Hands an answer to whoever waits for it.</summary>
    public Refusal? Answer(Digest request, ReadOnlyMemory<byte> answer, GridState state)
    {
        Waiting? waiting;
        lock (_gate)
            _waiting.TryGetValue(request, out waiting);
        if (waiting is null)
            return new Refusal(RefusalCode.NotFound, "Nobody waits for this answer.");
        if (!state.Nodes.TryGetValue(waiting.Request.Request.Node, out var node) || !LogAnswer.IsBy(answer, request, node.Key))
            return new Refusal(RefusalCode.BadSignature, "The node that was asked did not sign this answer.");
        waiting.Answer.TrySetResult(answer);
        return null;
    }

    private static Refusal Silent(NodeId node) => new(ApiCode.NodeSilent, $"{node} does not answer.", "It may be away: 'grid explain' shows what it said last.");

    private sealed class Waiting(SignedLogRequest request, ReadOnlyMemory<byte> bytes)
    {
        public SignedLogRequest Request => request;

        public ReadOnlyMemory<byte> Bytes => bytes;

        public long Number { get; set; }

        public TaskCompletionSource<ReadOnlyMemory<byte>> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
