using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Accounts;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Commands;

internal static class AccountCommands
{
    public static Command Build(Frame frame) => Frame.Noun("account", "Accounts: sets of keys and how many must sign", Open(frame), Rekey(frame), Show(frame), List(frame));

    private static Command Open(Frame frame)
    {
        var name = new Argument<string>("NAME") { Description = "What the account is called on this machine" };
        var (keys, threshold) = Policy(frame);
        return frame.Verb("open", "Found an account; every one of its keys signs", [name, keys, threshold], async (session, cancellation) =>
        {
            var called = session.Value(name);
            if (!Names.IsValid(called, 1, 40))
                return new Refusal(RefusalCode.NameInvalid, $"'{called}' cannot be an account's name.", "Names have 1–40 lower-case letters, digits and hyphens.");
            if (!session.Book().Try(out var book, out var refusal))
                return refusal;
            if (book.Accounts.ContainsKey(called))
                return new Refusal(RefusalCode.NameTaken, $"An account is called '{called}' already.", "Choose another name; names are local to this machine.");
            var names = session.Value(keys) is { Length: > 0 } given ? given : [session.Context.Key ?? called];
            if (!ReadPolicy(session, names, session.Value(threshold)).Try(out var policy, out refusal)
                || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
                || !session.Sign(session.Payload(ledger, null, new OpenAccount(policy)).Encode(), names).Try(out var signed, out refusal)
                || !(await session.SubmitAsync(ledger, signed, cancellation).ConfigureAwait(false)).Try(out var recorded, out refusal))
                return refusal;
            var id = new AccountId(recorded.Statement.Id.Value);
            book = book with { Accounts = book.Accounts.SetItem(called, new BookAccount(id.ToString(), [.. names])) };
            return book.Save(session.Context.BookFile) is { } failed
                ? failed
                : Outcome.Of(
                    new JsonObject { ["name"] = called, ["id"] = id.ToString(), ["threshold"] = policy.Threshold, ["keys"] = Render.Texts(policy.Keys.Select(k => k.ToString())), ["index"] = recorded.Index },
                    new Block.Fields([("name", called), ("account", id.ToString()), ("threshold", $"{policy.Threshold} of {policy.Keys.Length}"), ("entry", $"{recorded.Index}")]));
        });
    }

    private static Command Rekey(Frame frame)
    {
        var (keys, threshold) = Policy(frame);
        keys.Required = true;
        return frame.Verb("rekey", "Replace the account's keys; the old ones and every new one sign", [keys, threshold], async (session, cancellation) =>
        {
            var names = session.Value(keys)!;
            if (!session.Speaker().Try(out var speaker, out var refusal)
                || !ReadPolicy(session, names, session.Value(threshold)).Try(out var policy, out refusal)
                || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
                || !session.Sign(session.Payload(ledger, speaker.Id.Value, new RekeyAccount(policy)).Encode(), speaker.Keys.Concat(names)).Try(out var signed, out refusal)
                || !(await session.SubmitAsync(ledger, signed, cancellation).ConfigureAwait(false)).Try(out var recorded, out refusal)
                || !session.Book().Try(out var book, out refusal))
                return refusal;
            if (book.Accounts.ContainsKey(speaker.Name))
                refusal = (book with { Accounts = book.Accounts.SetItem(speaker.Name, new BookAccount(speaker.Id.ToString(), [.. names])) }).Save(session.Context.BookFile);
            return refusal is not null ? refusal : Outcome.Of(
                new JsonObject { ["id"] = speaker.Id.ToString(), ["threshold"] = policy.Threshold, ["keys"] = Render.Texts(policy.Keys.Select(k => k.ToString())), ["index"] = recorded.Index },
                new Block.Fields([("account", speaker.Id.ToString()), ("threshold", $"{policy.Threshold} of {policy.Keys.Length}"), ("entry", $"{recorded.Index}")]));
        });
    }

    private static Command Show(Frame frame)
    {
        var account = new Argument<string?>("ACCOUNT") { Description = "A name or acct1… id; without it, the account that is set", Arity = ArgumentArity.ZeroOrOne };
        account.CompletionSources.Add(context => Completion.Accounts(frame, context.ParseResult));
        return frame.Reading("show", "An account as the ledger shows it", [account], async (session, cancellation) =>
        {
            if (!session.Book().Try(out var book, out var refusal) || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal))
                return refusal;
            AccountId id;
            if (session.Value(account) is { } text)
            {
                if (!new Catalogue(ledger, book, cancellation).Account(text).Try(out id, out refusal))
                    return refusal;
            }
            else if (session.Speaker().Try(out var speaker, out refusal))
            {
                id = speaker.Id;
            }
            else
            {
                return refusal;
            }
            return (await ledger.AccountAsync(id, cancellation).ConfigureAwait(false)).Try(out var view, out refusal)
                ? Outcome.Of(Render.Node(view.Body), Render.Fields(view.Body))
                : refusal;
        });
    }

    private static Command List(Frame frame) => frame.Reading("list", "The accounts known on this machine", [], (session, _) => Task.FromResult(
        session.Book().Try(out var book, out var refusal)
            ? Outcome.Of(
                new JsonObject { ["items"] = Render.Array(book.Accounts.Select(a => new JsonObject { ["name"] = a.Key, ["id"] = a.Value.Id, ["keys"] = Render.Texts(a.Value.Keys) })) },
                new Block.Table(["name", "account", "keys"], [.. book.Accounts.Select(a => ImmutableArray.Create<Cell>(a.Key, a.Value.Id, string.Join(", ", a.Value.Keys)))], "no accounts; open one with 'grid account open NAME'"))
            : refusal));

    private static (Option<string[]> Keys, Option<int> Threshold) Policy(Frame frame)
    {
        var keys = new Option<string[]>("--keys") { Description = "Names of its keys; without it, the key of the account's name", HelpName = "KEY…", AllowMultipleArgumentsPerToken = true };
        keys.CompletionSources.Add(context => Completion.Keys(frame, context.ParseResult));
        var threshold = new Option<int>("--threshold") { Description = "How many of them must sign", DefaultValueFactory = _ => 1, HelpName = "N" };
        return (keys, threshold);
    }

    private static Client.Answer<KeyPolicy> ReadPolicy(Session session, IReadOnlyCollection<string> names, int threshold)
    {
        var keys = new SortedSet<PublicKey>();
        foreach (var name in names)
        {
            if (!session.Keys.Load(name).Try(out var key, out var refusal))
                return refusal;
            // Else a threshold of all of them would be one that fewer people meet.
            if (!keys.Add(key.Public))
                return new Refusal(CliCode.Usage, $"'{name}' is a key that is named before it already; it counts once.", "Name each key once.");
        }
        return threshold >= 1 && threshold <= keys.Count
            ? new KeyPolicy([.. keys], threshold)
            : new Refusal(RefusalCode.Malformed, $"A threshold of {threshold} cannot be met by {keys.Count} keys.", $"Choose 1 to {keys.Count}.");
    }
}
