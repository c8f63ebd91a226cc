using Grid.Statements;

namespace Grid.Ledger.Sequencing;

/// <param name="Origin">the ledger's name, which every statement and checkpoint carries</param>
public sealed record SequencerOptions(string Origin)
{
    /// <summary>Entries in one transaction.</summary>
    public const int MaximumBatch = 512;

    /// <summary>Statements whose signatures were checked and that wait to be decided; one more is answered <see cref="Answer.Busy"/>.</summary>
    public int QueueLimit { get; init; } = 8192;

    /// <summary>How long a caller waits before it hears <see cref="Answer.Unknown"/>.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>How long another writer has to let go when this one starts.</summary>
    public TimeSpan TakeOver { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Asked between the signature checks and the decision, on the caller's time: for evidence that is not in the log, such as whether an
    /// flist holds what an agreement says it does. Null lets everything through.
    /// </summary>
    public Func<Statement, CancellationToken, ValueTask<Refusal?>>? Admission { get; init; }
}
