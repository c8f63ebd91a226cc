using System.Collections.Immutable;
using Grid.Log;
using Grid.Statements;
using Grid.World;

namespace Grid.Client;

/// <param name="Checked">entries whose place, signatures and decision were all found right</param>
/// <param name="Resumed">those of them whose signatures an earlier audit had checked</param>
/// <param name="Problem">the first that was not; null when all are</param>
public sealed record AuditReport(Checkpoint Checkpoint, long Checked, long Resumed, Refusal? Problem, GridState State);

/// <summary>
/// Reads the whole log and believes nothing: every leaf, the root, every signature, and every decision made again in order.
/// </summary>
public static class LogAudit
{
    // How many bundles may have to be checked again after an audit that was cut short.
    private const int MarkEvery = 16;

    /// <param name="cache">what was found right before; it is read from there, decided again, and held against the ledger's root</param>
    /// <param name="progress">entries checked so far</param>
    /// <exception cref="IOException">the cache cannot be written</exception>
    public static async Task<Answer<AuditReport>> RunAsync(LedgerClient ledger, AuditCache? cache, IProgress<(long Done, long Of)>? progress, CancellationToken cancellation)
    {
        var newest = await ledger.CheckpointAsync(cancellation).ConfigureAwait(false);
        if (!newest.Try(out var found, out _))
            return newest.As(_ => (AuditReport)null!);
        var (tree, state, checkpoint) = (LogTree.Empty, GridState.Empty, found.Checkpoint);
        var known = cache?.Load() ?? [];
        foreach (var entry in known)
        {
            if (Step(ref state, entry, ledger.Trust, signatures: false) is { } problem)
                return Ended(problem with { Detail = $"Entry {entry.Index}: {problem.Detail}" });
            tree = tree.Append(entry.LeafHash);
        }
        progress?.Report((tree.Size, checkpoint.Size));
        for (var bundle = tree.Size / TilePath.FullWidth; tree.Size < checkpoint.Size; bundle++)
        {
            var answer = await ledger.EntriesAsync(bundle, checkpoint.Size, cancellation).ConfigureAwait(false);
            if (!answer.Try(out var entries, out _))
                return answer.As(_ => (AuditReport)null!);
            foreach (var entry in entries)
            {
                if (Step(ref state, entry, ledger.Trust, signatures: true) is { } problem)
                    return Ended(problem with { Detail = $"Entry {entry.Index}: {problem.Detail}" });
                tree = tree.Append(entry.LeafHash);
            }
            if (entries.Length == TilePath.FullWidth)
                cache?.Keep(bundle, entries);
            if (bundle % MarkEvery == MarkEvery - 1)
                Mark();
            progress?.Report((tree.Size, checkpoint.Size));
        }
        if (tree.Size >= checkpoint.Size && tree.RootAt(checkpoint.Size) == checkpoint.Root)
            return Ended(null);
        return await DifferenceAsync(ledger, known, checkpoint, cancellation).ConfigureAwait(false) is { } other
            ? Ended(other)
            : Ended(new Refusal(RefusalCode.BadProof, $"The entries hash to {tree.Root}, but the checkpoint of {checkpoint.Size} entries says {checkpoint.Root}."), keep: false);

        Answer<AuditReport> Ended(Refusal? problem, bool keep = true)
        {
            if (keep)
                Mark();
            return new AuditReport(checkpoint, tree.Size, known.Length, problem, state);
        }

        void Mark()
        {
            if (tree.Size - (tree.Size % TilePath.FullWidth) is var whole && whole > known.Length)
                cache?.Mark(tree, whole);
        }
    }

    /// <summary>The first entry of which the ledger shows another now than an earlier audit saw.</summary>
    private static async Task<Refusal?> DifferenceAsync(LedgerClient ledger, ImmutableArray<Entry> known, Checkpoint checkpoint, CancellationToken cancellation)
    {
        for (var bundle = 0L; bundle * TilePath.FullWidth < long.Min(known.Length, checkpoint.Size); bundle++)
        {
            if (!(await ledger.EntriesAsync(bundle, checkpoint.Size, cancellation).ConfigureAwait(false)).Try(out var entries, out var refusal))
                return refusal;
            if (entries.FirstOrDefault(e => e.Index < known.Length && e.LeafHash != known[(int)e.Index].LeafHash) is { } other)
                return new Refusal(RefusalCode.Inconsistent, $"Entry {other.Index} is not the one that an earlier audit found there: the log was rewritten.", "Keep what both say, and ask others what they saw. '--from-start' forgets the earlier audit.");
        }
        return null;
    }

    private static Refusal? Step(ref GridState state, Entry entry, LedgerTrust trust, bool signatures)
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
        if (signatures && statement.VerifySignatures() is { } forged)
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
