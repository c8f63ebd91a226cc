using System.Collections.Immutable;
using Grid.Log;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Agreements;

/// <summary>
/// One agreement with everything that proves it: the entries it rests on, each with its inclusion path, and the checkpoint they are in.
/// A third party verifies it offline with nothing but the ledger's public key. A node acts on nothing else.
/// </summary>
/// <remarks>
/// The entries that only report (<see cref="Event.OnlyReport"/>: receipts that changed nothing) may be left out: what is left proves the same
/// agreement, and its size does not grow with the time the agreement runs.
/// </remarks>
public sealed record Bundle(string Origin, AgreementId Agreement, string Checkpoint, ImmutableArray<BundleEntry> Entries)
{
    public const int MaximumEntries = 200_000;

    /// <summary>
    /// Checks the checkpoint's signature, each entry's place in the log and each signature, and decides every statement again in its order.
    /// What it cannot show is that nothing was left out, a cancel at the end for instance: for completeness the ledger is believed, and everybody who
    /// had the bundle in hand (design: README.md, The order of trust).
    /// </summary>
    public Refusal? Verify(string origin, PublicKey ledgerKey, out VerifiedAgreement? verified)
    {
        verified = null;
        if (Origin != origin)
            return new Refusal(RefusalCode.WrongLedger, $"The bundle is from the ledger '{Origin}'; '{origin}' is trusted.");
        if (Entries.Length > MaximumEntries)
            return new Refusal(RefusalCode.TooLarge, $"A bundle has at most {MaximumEntries} entries.");
        if (!Log.Checkpoint.TryVerify(Checkpoint, origin, ledgerKey, out var checkpoint))
            return new Refusal(RefusalCode.BadCheckpoint, $"The checkpoint is not signed by {ledgerKey} for '{origin}'.");

        var (state, last) = (GridState.Empty, -1L);
        var history = ImmutableArray.CreateBuilder<VerifiedEntry>(Entries.Length);
        foreach (var item in Entries)
        {
            if (item.Index <= last)
                return new Refusal(RefusalCode.Malformed, $"Entry {item.Index} follows entry {last}.");
            if (Check(item, checkpoint, state, ledgerKey, out var entry) is { } refusal)
                return refusal;
            state = state.Evolve(item.Index, entry!.Time, entry.Statement.Id, entry.Events);
            history.Add(entry);
            last = item.Index;
        }
        if (!state.Agreements.TryGetValue(Agreement, out var agreement))
            return new Refusal(RefusalCode.NotFound, $"The entries do not make the agreement {Agreement}.");
        verified = new VerifiedAgreement(agreement, state, checkpoint, history.MoveToImmutable());
        return null;
    }

    private static Refusal? Check(BundleEntry item, Checkpoint checkpoint, GridState state, PublicKey ledgerKey, out VerifiedEntry? verified)
    {
        verified = null;
        Entry entry;
        Statement statement;
        try
        {
            entry = Entry.Decode(item.Entry);
            statement = Statement.Decode(entry.StatementBytes);
        }
        catch (StatementFormatException e)
        {
            return new Refusal(e.Code, $"Entry {item.Index}: {e.Message}");
        }
        if (entry.Index != item.Index || !MerkleTree.VerifyInclusion(entry.LeafHash, item.Index, checkpoint.Size, item.Path.AsSpan(), checkpoint.Root))
            return new Refusal(RefusalCode.BadProof, $"Entry {item.Index} is not in the log of {checkpoint.Size} entries at the place it claims.");
        if (entry.Time < state.Time)
            return new Refusal(RefusalCode.Inconsistent, $"Entry {item.Index} is older than the one before it.");
        if (statement.VerifySignatures() is { } forged)
            return forged with { Detail = $"Entry {item.Index}: {forged.Detail}" };
        if (statement.Payload.Body is OpenLedger open && open.Key != ledgerKey)
            return new Refusal(RefusalCode.WrongLedger, $"The log was opened by {open.Key}; {ledgerKey} is trusted.");
        switch (state.Decide(statement, entry.Time))
        {
            case Decision.Accepted accepted:
                verified = new VerifiedEntry(item.Index, entry.Time, statement, accepted.Events);
                return null;
            case Decision.Refused(var refusal):
                return refusal with { Detail = $"The ledger recorded entry {item.Index} against its rules: {refusal.Detail}" };
            default:
                return new Refusal(RefusalCode.Inconsistent, $"Entry {item.Index} repeats an earlier one.");
        }
    }
}

public sealed record BundleEntry(long Index, ReadOnlyMemory<byte> Entry, ImmutableArray<Digest> Path);

/// <param name="State">the fold of the bundle's entries: everything that was needed to decide this agreement, and nothing else</param>
public sealed record VerifiedAgreement(Agreement Agreement, GridState State, Checkpoint Checkpoint, ImmutableArray<VerifiedEntry> History)
{
    /// <summary>The index of the newest entry that changed something; the same with receipts and without.</summary>
    public long Changed => History.Last(e => !Event.OnlyReport(e.Events)).Index;

    /// <summary>The terms of every version that was proposed, in force or not.</summary>
    public IEnumerable<AgreementTerms> EveryTerms => History.Select(e => e.Statement.Payload.Body).OfType<AgreementTerms>();
}

public sealed record VerifiedEntry(long Index, DateTimeOffset Time, Statement Statement, ImmutableArray<Event> Events);
