using System.CommandLine;
using Grid.Cli.Keys;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Client;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli;

/// <summary>One run of one command: what was asked, what is set, and the ledger once it is needed.</summary>
internal sealed class Session(Shell shell, ParseResult parsed, Context context, Format format, bool quiet) : IDisposable
{
    private LedgerClient? _ledger;

    public Shell Shell => shell;

    public Context Context => context;

    public Format Format => format;

    public bool Quiet => quiet;

    /// <summary>False when NO_COLOR or --no-color asks for none.</summary>
    public bool Colour { get; init; }

    public KeyRing Keys { get; } = new(context.KeysDirectory);

    /// <summary>Now, in whole seconds: what is signed has no finer time.</summary>
    public DateTimeOffset Now => DateTimeOffset.FromUnixTimeSeconds(shell.Time.GetUtcNow().ToUnixTimeSeconds());

    public T Value<T>(Argument<T> argument) => parsed.GetValue(argument)!;

    public T? Value<T>(Option<T> option) => parsed.GetValue(option);

    public Answer<Book> Book() => Settings.Book.Load(context.BookFile);

    /// <summary>A line for the person who waits; never part of the result.</summary>
    public void Say(string text)
    {
        if (!quiet && format == Format.Table)
            shell.Error.WriteLine(Page.Printable(text));
    }

    /// <summary>A no where a form of output is asked for, and the result is a file's bytes.</summary>
    public Refusal? Unformed(string what) => format == Format.Table ? null
        : new Refusal(CliCode.Usage, $"{what} is written as it is, and has no other form.", "Leave '-o' out.");

    /// <summary>Asks for a yes where a person is there to give it.</summary>
    public Refusal? Confirm(string question, bool yes)
    {
        if (yes)
            return null;
        if (!shell.Terminal.In)
            return new Refusal(CliCode.NotConfirmed, "This signs something, and nobody is here to say yes.", "Add --yes.");
        shell.Error.Write($"{question} [y/N] ");
        return shell.In.ReadLine()?.Trim().ToLowerInvariant() is "y" or "yes" ? null : new Refusal(CliCode.NotConfirmed, "Nothing was signed.", "Run it again and answer y, or add --yes.");
    }

    /// <summary>The ledger that is set, with its key pinned and its last checkpoint remembered.</summary>
    public async Task<Answer<LedgerClient>> LedgerAsync(CancellationToken cancellation)
    {
        if (_ledger is not null)
            return _ledger;
        if (LedgerAddress().Try(out var server, out var refusal) is false)
            return refusal;
        if (context.LedgerKey is not { } text)
            return new Refusal(CliCode.LedgerNotPinned, $"No public key is pinned for {server}, so nothing it says could be checked.", $"Run 'grid ledger trust {server}' with the key its operator gave you.");
        if (!Id.TryParse<PublicKey>(text, out var key))
            return new Refusal(CliCode.ConfigInvalid, $"'{text}' is not a public key of the form key1….", $"Pin the right one with 'grid ledger trust {server}'.");
        var http = shell.Http(server);
        if (context.Origin is not { } origin)
        {
            // The name may come from the server: a checkpoint of another name will not verify under the pinned key.
            var found = await LedgerClient.DiscoverAsync(http, shell.Time, cancellation).ConfigureAwait(false);
            if (!found.Try(out var info, out refusal))
                return refusal;
            origin = info.Origin;
        }
        return _ledger = new LedgerClient(http, new LedgerTrust(origin, key), new FileCheckpointStore(context.SeenFile(key)), shell.Time);
    }

    public Answer<Uri> LedgerAddress(string? address = null) => Address(address ?? context.Ledger, "ledger", "Set GRID_LEDGER, give --ledger URL, or run 'grid ledger trust URL'.");

    public Answer<Uri> HubAddress() => Address(context.Hub, "hub", "Set GRID_HUB, give --hub URL, or write 'hub:' into the configuration.");

    public void Dispose() => _ledger?.Dispose();

    private static Answer<Uri> Address(string? text, string what, string next)
    {
        if (text is null)
            return new Refusal(CliCode.LedgerNotSet, $"No {what} is set.", next);
        return Uri.TryCreate(text.EndsWith('/') ? text : text + "/", UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https"
            ? uri
            : new Refusal(CliCode.ConfigInvalid, $"'{text}' is not the address of a {what}.", "Write it as http://HOST:PORT or https://HOST.");
    }
}
