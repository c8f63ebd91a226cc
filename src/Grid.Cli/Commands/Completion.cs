using System.CommandLine;
using System.CommandLine.Completions;
using Grid.Cli.Keys;
using Grid.Cli.Settings;
using Grid.Client;

namespace Grid.Cli.Commands;

/// <summary>
/// Words that live: names from this machine at once, ids from the ledger when it answers within a moment. A shell that waits for completion
/// must never hang or show an error, so here alone silence is an answer. A ledger's words are nobody's proof, and a shell's line is no place for any but names and ids.
/// </summary>
internal static class Completion
{
    private const int Most = 1000;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1.5);

    public static IEnumerable<CompletionItem> Keys(Frame frame, ParseResult parsed) => Local(frame, parsed, (session, _) => session.Keys.List().Select(k => k.Name));

    public static IEnumerable<CompletionItem> Accounts(Frame frame, ParseResult parsed) => Local(frame, parsed, (_, book) => book.Accounts.Keys);

    public static IEnumerable<CompletionItem> Agreements(Frame frame, ParseResult parsed) =>
        Local(frame, parsed, (_, book) => book.Agreements.Keys.Union(book.Drafts.Keys)).Concat(Live(frame, parsed, (ledger, c) => ledger.AgreementsAsync(new AgreementQuery(Limit: Most), c), "id"));

    public static IEnumerable<CompletionItem> Flists(Frame frame, ParseResult parsed) => Local(frame, parsed, (session, _) =>
        Directory.Exists(Path.Combine(session.Context.Home, "flists")) ? FlistCommands.StoredIds(session) : []);

    public static IEnumerable<CompletionItem> Farms(Frame frame, ParseResult parsed) => Live(frame, parsed, (ledger, c) => ledger.FarmsAsync(Most, c), "name");

    public static IEnumerable<CompletionItem> Nodes(Frame frame, ParseResult parsed) =>
        Local(frame, parsed, (_, book) => book.Nodes.Keys).Concat(Live(frame, parsed, (ledger, c) => ledger.NodesAsync(Most, c), "id"));

    public static IEnumerable<CompletionItem> Offers(Frame frame, ParseResult parsed) =>
        Local(frame, parsed, (_, book) => book.Offers.Keys).Concat(Live(frame, parsed, (ledger, c) => ledger.OffersAsync(Most, c), "id"));

    /// <summary>Those of the account that is set.</summary>
    public static IEnumerable<CompletionItem> Drafts(Frame frame, ParseResult parsed) => Live(frame, parsed, async (session, ledger, c) =>
        session.Speaker().Try(out var speaker, out _) && (await ledger.DraftsAsync(speaker.Id, c).ConfigureAwait(false)).Try(out var drafts, out _) ? [.. drafts.Select(d => d.Id.ToString())] : []);

    private static IEnumerable<CompletionItem> Local(Frame frame, ParseResult parsed, Func<Session, Book, IEnumerable<string>> words)
    {
        using var session = Session(frame, parsed);
        return session is not null && session.Book().Try(out var book, out _) ? [.. Items(words(session, book))] : [];
    }

    private static IEnumerable<CompletionItem> Live(Frame frame, ParseResult parsed, Func<LedgerClient, CancellationToken, Task<Answer<LedgerView>>> ask, string field) => Live(frame, parsed, async (session, ledger, c) =>
        (await ask(ledger, c).ConfigureAwait(false)).Try(out var view, out _) ? [.. Render.Items(view).Select(i => Render.Text(i, field)).OfType<string>()] : []);

    private static IEnumerable<CompletionItem> Live(Frame frame, ParseResult parsed, Func<Session, LedgerClient, CancellationToken, Task<string[]>> ask)
    {
        using var session = Session(frame, parsed);
        if (session is null)
            return [];
        using var patience = new CancellationTokenSource(Patience, frame.Shell.Time);
        try
        {
            // Completion sources are not asynchronous; there is no context here to come back to.
            var found = Task.Run(async () =>
            {
                var ledger = await session.LedgerAsync(patience.Token).ConfigureAwait(false);
                return ledger.Try(out var client, out _) ? await ask(session, client, patience.Token).ConfigureAwait(false) : [];
            }, patience.Token).GetAwaiter().GetResult();
            return Items(found);
        }
        catch (Exception e) when (e is LedgerUnreachableException or OperationCanceledException)
        {
            return [];
        }
    }

    internal static IEnumerable<CompletionItem> Items(IEnumerable<string> words) =>
        words.Where(w => w.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.') && !w.StartsWith('-')).Select(w => new CompletionItem(w));

    private static Session? Session(Frame frame, ParseResult parsed)
    {
        var home = Context.HomeOf(frame.Shell.Environment, parsed.GetValue(frame.Options.Home));
        return Context.Read(home, frame.Shell.Environment, frame.Options.Flags(parsed), out _) is { } context
            ? new Session(frame.Shell, parsed, context, Output.Format.Json, quiet: true)
            : null;
    }
}
