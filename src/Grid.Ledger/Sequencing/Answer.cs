using System.Collections.Immutable;
using Grid.Units;

namespace Grid.Ledger.Sequencing;

/// <summary>What a caller hears about a statement.</summary>
public abstract record Answer
{
    private Answer()
    {
    }

    /// <summary>It is in the log, durable, and this proves it.</summary>
    /// <param name="Known">it was there before this call</param>
    public sealed record Recorded(Recording Recording, bool Known) : Answer;

    /// <summary>It is not in the log and was not put there.</summary>
    public sealed record Refused(Refusal Refusal) : Answer;

    /// <summary>More is waiting than the ledger takes on. Nothing was done.</summary>
    public sealed record Busy : Answer;

    /// <summary>
    /// The ledger cannot say whether it was recorded: the store failed meanwhile, or took too long. Asking again with the same bytes is safe and
    /// gives the answer.
    /// </summary>
    public sealed record Unknown(string Detail) : Answer;
}

/// <summary>An entry with its proof against one checkpoint.</summary>
/// <param name="Id">of the statement</param>
/// <param name="Entry">the exact bytes of the leaf</param>
/// <param name="Size">of the tree the path leads into; the checkpoint's</param>
/// <param name="Events">the names of what it made happen</param>
public sealed record Recording(
    StatementId Id, long Index, DateTimeOffset Time, ReadOnlyMemory<byte> Entry, long Size, ImmutableArray<Digest> Path, string Checkpoint, ImmutableArray<string> Events);
