using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Cli.Commands;
using Grid.Cli.Settings;
using Grid.Client;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Drafts;

/// <summary>
/// What was laid down half-signed from this machine, by the names in its files. Recorded, it is the agreement of its name; over, it lets go of the name.
/// </summary>
/// <param name="Book">the address book with what was recorded meanwhile, and without what is over</param>
/// <param name="Waiting">by name, what waits for more signatures</param>
internal sealed record LaidDown(Book Book, ImmutableSortedDictionary<string, Statement> Waiting)
{
    /// <summary>Asks the ledger what became of them; of nothing when nothing was laid down.</summary>
    /// <param name="name">null: of every name</param>
    public static async Task<Answer<LaidDown>> LookAsync(Session session, LedgerClient ledger, string? name, CancellationToken cancellation)
    {
        if (!session.Book().Try(out var known, out var refusal))
            return refusal;
        var (book, waiting) = (known, ImmutableSortedDictionary.CreateBuilder<string, Statement>(StringComparer.Ordinal));
        foreach (var (called, draft) in known.Drafts.Where(d => name is null || d.Key == name))
        {
            if (!Id.TryParse<StatementId>(draft.Id, out var id) || !Id.TryParse<AccountId>(draft.Account, out var account))
                return new Refusal(CliCode.ConfigInvalid, $"The address book's draft '{called}' has no right id.", "Take it out of the file.");
            if (!(await RecordedAsync(ledger, id, cancellation).ConfigureAwait(false)).Try(out var agreement, out refusal)
                || !(await ledger.DraftsAsync(account, cancellation).ConfigureAwait(false)).Try(out var drafts, out refusal))
                return refusal;
            if (agreement is null && drafts.FirstOrDefault(d => d.Id == id && d.Payload.Until > session.Now) is { } found)
            {
                waiting[called] = found;
                continue;
            }
            // Recorded between the two answers, perhaps.
            if (agreement is null && !(await RecordedAsync(ledger, id, cancellation).ConfigureAwait(false)).Try(out agreement, out refusal))
                return refusal;
            if (agreement is { } made)
                book = book with { Agreements = book.Agreements.SetItem(called, made.ToString()) };
            // A ledger that forgot it, or is another, may be told of it again for as long as it is good.
            if (agreement is not null || draft.Until <= session.Now)
                book = book with { Drafts = book.Drafts.Remove(called) };
        }
        return book != known && book.Save(session.Context.BookFile) is { } unsaved ? unsaved : new LaidDown(book, waiting.ToImmutable());
    }

    /// <summary>Said where an agreement is needed and its draft is all there is.</summary>
    public static Refusal NotYet(string name, Statement draft) =>
        new(CliCode.DraftWaits, $"'{name}' is no agreement yet: its draft {draft.Id} waits for signatures until {Render.Time(draft.Payload.Until)}.", Go(draft));

    /// <summary>Said where a file and the draft of its name differ.</summary>
    public static Refusal SaysOther(string name, Statement draft) => new(CliCode.DraftWaits,
        $"A draft of '{name}' waits for signatures until {Render.Time(draft.Payload.Until)}, and says something else than the file and the offers do now: {draft.Id}.",
        $"{Go(draft)} Or let it lapse, and run this again.");

    /// <summary>Said where another plan was wanted than the one that waits already.</summary>
    public static Refusal Already(Statement draft) => new(CliCode.DraftWaits, $"Just this was laid down as {draft.Id} and waits for signatures until {Render.Time(draft.Payload.Until)}.", Go(draft));

    public static string Go(Statement draft) => $"Who has the other keys signs it with 'grid agreement sign {draft.Id}'.";

    // Which agreement it made or amends; null when it is not in the log.
    private static async Task<Answer<AgreementId?>> RecordedAsync(LedgerClient ledger, StatementId id, CancellationToken cancellation)
    {
        var answer = await ledger.StatementAsync(id, cancellation).ConfigureAwait(false);
        if (answer.Try(out var recorded, out var refusal))
            return recorded.Statement.Agreement();
        return refusal.Code == RefusalCode.NotFound ? (AgreementId?)null : refusal;
    }
}
