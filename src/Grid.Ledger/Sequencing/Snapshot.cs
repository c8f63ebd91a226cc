using System.Collections.Immutable;
using Grid.Log;
using Grid.Units;
using Grid.World;

namespace Grid.Ledger.Sequencing;

/// <summary>All of the ledger at one size, durable and signed. Readers take one and answer from it alone, so an answer is true at one index.</summary>
public sealed class Snapshot
{
    private readonly TaskCompletionSource<Snapshot> _next = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal Snapshot(Tentative tentative, Histories histories, string checkpoint) =>
        (State, Tree, Histories, Checkpoint) = (tentative.State, tentative.Tree, histories, checkpoint);

    public static Snapshot Empty => new(Tentative.Empty, Histories.Empty, "");

    public GridState State { get; }

    public LogTree Tree { get; }

    public Histories Histories { get; }

    /// <summary>The signed note (C2SP tlog-checkpoint) for <see cref="Tree"/>.</summary>
    public string Checkpoint { get; }

    public long Size => Tree.Size;

    /// <summary>Completes with the next durable size.</summary>
    public Task<Snapshot> Next => _next.Task;

    internal Tentative ToTentative() => new(State, Tree);

    internal void FollowedBy(Snapshot next) => _next.TrySetResult(next);
}

/// <summary>What would be true if what was decided so far became durable. Dropped as it stands when it does not.</summary>
internal sealed record Tentative(GridState State, LogTree Tree)
{
    public static readonly Tentative Empty = new(GridState.Empty, LogTree.Empty);

    public Tentative With(Entry entry, StatementId statement, ImmutableArray<Event> events) =>
        new(State.Evolve(entry.Index, entry.Time, statement, events), Tree.Append(entry.LeafHash));
}
