using Grid.Log;
using Grid.Statements;
using Grid.World;

namespace Grid.Client;

/// <param name="Checked">entries whose place, signatures and decision were all found right</param>
/// <param name="Problem">the first that was not; null when all are</param>
public sealed record AuditReport(Checkpoint Checkpoint, long Checked, Refusal? Problem, GridState State);

/// <summary>
/// Reads the whole log and believes nothing: every leaf, the root, every signature, and every decision made again in order.
/// </summary>
public static class LogAudit
{
    /// <param name="progress">entries checked so far</param>
    public static async Task<Answer<AuditReport>> RunAsync(LedgerClient ledger, IProgress<(long Done, long Of)>? progress, CancellationToken cancellation)
    {
        var newest = await ledger.CheckpointAsync(cancellation).ConfigureAwait(false);
        if (!newest.Try(out var found, out _))
            return newest.As(_ => (AuditReport)null!);
        var (tree, state, checkpoint) = (LogTree.Empty, GridState.Empty, found.Checkpoint);
        for (var bundle = 0L; tree.Size < checkpoint.Size; bundle++)
        {
            var answer = await ledger.EntriesAsync(bundle, checkpoint.Size, cancellation).ConfigureAwait(false);
            if (!answer.Try(out var entries, out _))
                return answer.As(_ => (AuditReport)null!);
            foreach (var entry in entries)
            {
                if (Step(ref state, entry, ledger.Trust) is { } problem)
                    return new AuditReport(checkpoint, entry.Index, problem with { Detail = $"Entry {entry.Index}: {problem.Detail}" }, state);
                tree = tree.Append(entry.LeafHash);
            }
            progress?.Report((tree.Size, checkpoint.Size));
        }
        var root = tree.Root == checkpoint.Root
            ? null
            : new Refusal(RefusalCode.BadProof, $"The entries hash to {tree.Root}, but the checkpoint of {checkpoint.Size} entries says {checkpoint.Root}.");
        return new AuditReport(checkpoint, tree.Size, root, state);
    }

    private static Refusal? Step(ref GridState state, Entry entry, LedgerTrust trust)
    {
        Statement statement;
        try
        {
            statement = Statement.Decode(entry.StatementBytes);
        }
        catch (StatementFormatException e)
        {
            return e.ToRefusal();
        }
        if (entry.Time < state.Time)
            return new Refusal(RefusalCode.Inconsistent, "It is older than the one before it.");
        if (statement.Payload.Body is OpenLedger open && (open.Key != trust.Key || statement.Payload.Ledger != trust.Origin))
            return new Refusal(RefusalCode.WrongLedger, $"The log was opened by {open.Key} as '{statement.Payload.Ledger}'.");
        if (statement.VerifySignatures() is { } forged)
            return forged;
        switch (state.Decide(statement, entry.Time))
        {
            case Decision.Accepted accepted:
                state = state.Evolve(entry.Index, entry.Time, statement.Id, accepted.Events);
                return null;
            case Decision.Refused(var refusal):
                return refusal with { Detail = $"It was recorded against the rules. {refusal.Detail}" };
            default:
                return new Refusal(RefusalCode.Inconsistent, "It repeats an earlier one.");
        }
    }
}
