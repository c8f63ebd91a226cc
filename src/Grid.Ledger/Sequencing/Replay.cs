using System.Collections.Immutable;
using Grid.Ledger.Store;
using Grid.Log;
using Grid.Statements;
using Grid.World;

namespace Grid.Ledger.Sequencing;

/// <summary>Recomputes everything from the stored batches, and believes none of them: bytes, hashes, order, decisions, root and signature must agree.</summary>
public static class Replay
{
    /// <summary>Carries a snapshot forward to the stored head.</summary>
    /// <exception cref="LogDamagedException">anything stored differs from what must have been recorded</exception>
    public static async Task<Snapshot> ForwardAsync(LedgerStore store, Snapshot from, TreeHead head, string origin, PublicKey key, CancellationToken stop)
    {
        if (head.Size < from.Size)
            throw new LogDamagedException(head.Size, $"the log had {from.Size} entries and has {head.Size} now");
        var (at, histories) = (from.ToTentative(), from.Histories);
        if (head.Size > from.Size)
        {
            await foreach (var row in store.BatchesAsync(from.Size, head.Size, stop))
            {
                (at, var happened) = Fold(at, row);
                histories = histories.With(happened, at.State);
            }
        }
        if (at.Tree.Size != head.Size)
            throw new LogDamagedException(at.Tree.Size, $"{head.Size} entries were recorded and {at.Tree.Size} are there");
        if (at.Tree.Root != head.Root)
            throw new LogDamagedException(head.Size, "the root of the entries is not the stored one");
        if (head.Size > 0 && (!Checkpoint.TryVerify(head.Checkpoint, origin, key, out var signed) || signed.Size != head.Size || signed.Root != head.Root))
            throw new LogDamagedException(head.Size, $"the checkpoint is not one of '{origin}' by {key} for this root; is it another ledger's data, or another key?");
        return new Snapshot(at, histories, head.Checkpoint);
    }

    private static (Tentative, List<Happened>) Fold(Tentative at, BatchRow row)
    {
        if (row.First != at.Tree.Size)
            throw new LogDamagedException(at.Tree.Size, $"the next batch begins at {row.First}");
        var happened = new List<Happened>(row.Count);
        foreach (var (entry, statement) in Read(row))
        {
            if (entry.Index != at.Tree.Size)
                throw new LogDamagedException(at.Tree.Size, $"its bytes say that it is entry {entry.Index}");
            if (entry.Time < at.State.Time)
                throw new LogDamagedException(entry.Index, "its time is before that of the entry before");
            if (at.State.Decide(statement, entry.Time) is not Decision.Accepted accepted)
                throw new LogDamagedException(entry.Index, "it could not have been accepted");
            at = at.With(entry, statement.Id, accepted.Events);
            happened.Add(new Happened(entry, accepted.Events));
        }
        return (at, happened);
    }

    // Signatures are not checked again: the signed root covers them, and the audit does.
    private static ImmutableArray<(Entry, Statement)> Read(BatchRow row)
    {
        var bytes = row.Split();
        var read = new (Entry, Statement)[bytes.Length];
        var damage = new LogDamagedException?[bytes.Length];
        Parallel.For(0, bytes.Length, i =>
        {
            try
            {
                var entry = Entry.Decode(bytes[i]);
                if (!row.Leaves.Span.Slice(i * Units.Digest.Size, Units.Digest.Size).SequenceEqual(entry.LeafHash.ToArray()))
                    damage[i] = new LogDamagedException(row.First + i, "its bytes do not give its leaf hash");
                read[i] = (entry, Statement.Decode(entry.StatementBytes));
            }
            catch (StatementFormatException e)
            {
                damage[i] = new LogDamagedException(row.First + i, e.Message, e);
            }
        });
        return damage.FirstOrDefault(d => d is not null) is { } first ? throw first : [.. read];
    }
}
