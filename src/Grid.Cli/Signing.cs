using System.Collections.Immutable;
using Grid.Cli.Keys;
using Grid.Cli.Settings;
using Grid.Client;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli;

/// <param name="Name">what it is called here</param>
/// <param name="Keys">names of the keys that sign for it on this machine</param>
internal sealed record Speaker(string Name, AccountId Id, ImmutableArray<string> Keys);

/// <summary>Who speaks, with which keys, and how a statement gets into the log.</summary>
internal static class Signing
{
    /// <summary>How long the ledger may take to accept what is signed here and now.</summary>
    public static readonly TimeSpan Validity = TimeSpan.FromMinutes(10);

    private const int Attempts = 4;

    /// <param name="named">a name or id; null: the account that is set, or the only one there is</param>
    public static Answer<Speaker> Speaker(this Session session, string? named = null)
    {
        if (!session.Book().Try(out var book, out var refusal))
            return refusal;
        named ??= session.Context.Account;
        if (named is null && book.Accounts.Count != 1)
        {
            return new Refusal(CliCode.AccountNotSet, book.Accounts.IsEmpty ? "No account is known on this machine." : $"Several accounts are known: {string.Join(", ", book.Accounts.Keys)}.",
                book.Accounts.IsEmpty ? "Open one with 'grid account open NAME'." : "Say which with --account, or set GRID_ACCOUNT.");
        }
        var (name, account) = named is null
            ? book.Accounts.First()
            : book.Accounts.FirstOrDefault(a => a.Key == named || a.Value.Id == named);
        if (account is null)
        {
            if (!Id.TryParse<AccountId>(named, out var foreign))
                return NoAccount(named!);
            return session.Context.Key is { } only ? new Speaker(named!, foreign, [only]) : new Refusal(CliCode.KeyUnknown, $"No key of {foreign} is known on this machine.", "Say which key signs with --key.");
        }
        return Id.TryParse<AccountId>(account.Id, out var id)
            ? new Speaker(name, id, session.Context.Key is { } key ? [key] : account.Keys)
            : new Refusal(CliCode.ConfigInvalid, $"The address book's account '{name}' has no right id.", $"Give the account's acct1… id with --account, and its key with --key.");
    }

    /// <summary>Also where nobody speaks: what is typed and means nothing is a mistake, whether or not the command needs it.</summary>
    public static Refusal? Unknown(this Session session, string named) =>
        session.Book().Try(out var book, out _) && !book.Accounts.ContainsKey(named) && !Id.TryParse<AccountId>(named, out _) ? NoAccount(named) : null;

    private static Refusal NoAccount(string named) => new(RefusalCode.NotFound, $"No account is called '{named}' on this machine.", "See 'grid account list', or give its acct1… id.");

    /// <summary>Opens keys by name, asking for passphrases where they are sealed.</summary>
    public static Answer<SigningKey> Open(this Session session, string name)
    {
        if (!session.Keys.Load(name).Try(out var file, out var refusal))
            return refusal;
        string? passphrase = null;
        if (file.IsSealed && !new Passphrases(session.Shell).ForOpening(name).Try(out passphrase, out refusal))
            return refusal;
        if (file.Open(passphrase) is not { } seed)
            return new Refusal(CliCode.PassphraseWrong, $"That passphrase does not open the key '{name}'.", "Try again; there is no other way in.");
        var key = SigningKey.FromSeed(seed);
        System.Security.Cryptography.CryptographicOperations.ZeroMemory(seed);
        if (key.Public == file.Public)
            return key;
        key.Dispose();
        return new Refusal(CliCode.KeyFileInvalid, $"The key file '{name}' holds another key than it names.", "Bring the file back from a copy: 'grid key import'.");
    }

    public static Answer<Statement> Sign(this Session session, byte[] payload, IEnumerable<string> keys)
    {
        var opened = new List<SigningKey>();
        try
        {
            foreach (var name in keys.Distinct())
            {
                if (!session.Open(name).Try(out var key, out var refusal))
                    return refusal;
                opened.Add(key);
            }
            return Statement.Sign(payload, opened.ToArray());
        }
        finally
        {
            opened.ForEach(k => k.Dispose());
        }
    }

    public static Payload Payload(this Session session, LedgerClient ledger, Digest? by, Body body) => new(ledger.Trust.Origin, by, session.Now, session.Now + Validity, body);

    /// <summary>Signs as an account and submits.</summary>
    public static async Task<Answer<Recorded>> SubmitAsync(this Session session, LedgerClient ledger, Speaker speaker, Body body, CancellationToken cancellation)
    {
        var signed = session.Sign(session.Payload(ledger, speaker.Id.Value, body).Encode(), speaker.Keys);
        return signed.Try(out var statement, out var refusal) ? await session.SubmitAsync(ledger, statement, cancellation).ConfigureAwait(false) : refusal;
    }

    /// <summary>Submits, and again when nobody answered: the same statement is recorded once however often it arrives.</summary>
    public static async Task<Answer<Recorded>> SubmitAsync(this Session session, LedgerClient ledger, Statement statement, CancellationToken cancellation)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await ledger.SubmitAsync(statement, cancellation).ConfigureAwait(false);
            }
            catch (LedgerUnreachableException e) when (attempt < Attempts)
            {
                session.Say($"{e.Message} Trying again.");
                await Task.Delay(TimeSpan.FromSeconds(1 << (attempt - 1)), session.Shell.Time, cancellation).ConfigureAwait(false);
            }
            catch (LedgerUnreachableException e)
            {
                return new Refusal(CliCode.LedgerUnreachable, $"{e.Message} Whether {statement.Id} was recorded is not known.", $"Ask later with 'grid ledger proof {statement.Id}' before signing anew.");
            }
        }
    }
}
