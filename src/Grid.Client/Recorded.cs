using System.Collections.Immutable;
using System.Text.Json;
using Grid.Log;
using Grid.Statements;
using Grid.Units;

namespace Grid.Client;

/// <summary>A statement that is in the log: its entry's inclusion in the checkpoint was proven, and the checkpoint is consistent with all seen before.</summary>
/// <param name="Known">true when it had been accepted before and nothing new was recorded</param>
/// <param name="Events">what it made happen, as the ledger names it</param>
public sealed record Recorded(Statement Statement, long Index, DateTimeOffset Time, bool Known, ImmutableArray<string> Events, Checkpoint Checkpoint);

/// <param name="Index">how many entries the ledger has</param>
public sealed record LedgerInfo(string Origin, PublicKey Key, long Index, string? Version);

/// <summary>
/// What the ledger shows of its state. It carries no proof: use it to find things, and their founding statements or a bundle to believe them.
/// </summary>
/// <param name="Index">the number of entries at which it is true, as the ledger says</param>
public sealed record LedgerView(long Index, JsonElement Body);

/// <summary>Agreements of a node that changed; hints of where to look, proven by each one's bundle.</summary>
public sealed record NodeNews(long Index, ImmutableArray<(AgreementId Agreement, long Changed, string Status)> Items)
{
    /// <summary>The number of the newest request, to be given when asking next.</summary>
    public long Asked { get; init; }

    /// <summary>Requests for logs that came since; anybody may have made them.</summary>
    public ImmutableArray<ReadOnlyMemory<byte>> Asks { get; init; } = [];
}

/// <summary>What to list; null means any, and all of them.</summary>
public sealed record AgreementQuery(AccountId? User = null, FarmId? Farm = null, NodeId? Node = null, string? Status = null, int? Limit = null);
