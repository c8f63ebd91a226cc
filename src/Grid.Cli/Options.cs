using System.CommandLine;
using Grid.Cli.Output;

namespace Grid.Cli;

/// <summary>The options that every command has.</summary>
internal sealed class Options
{
    public Option<Format> Output { get; } = new("--output", "-o")
    {
        Description = "How the result is written: json, yaml or, without it, table",
        Recursive = true,
        HelpName = "json|yaml|table",
        CustomParser = r =>
        {
            var text = r.Tokens.Count == 0 ? "table" : r.Tokens[^1].Value;
            if (text is not ("table" or "json" or "yaml"))
                r.AddError($"'{text}' is not a form of output. Write json, yaml or table.");
            return text switch { "json" => Format.Json, "yaml" => Format.Yaml, _ => Format.Table };
        },
    };

    public Option<bool> Quiet { get; } = new("--quiet", "-q") { Description = "Say only what was asked for: no progress, no hints", Recursive = true };

    public Option<bool> NoColor { get; } = new("--no-color") { Description = "Never write colour; NO_COLOR does the same", Recursive = true };

    public Option<string?> Home { get; } = new("--home") { Description = "Directory of keys, address book and configuration [env: GRID_HOME]", Recursive = true, HelpName = "DIR" };

    public Option<string?> Ledger { get; } = new("--ledger") { Description = "The ledger's address [env: GRID_LEDGER]", Recursive = true, HelpName = "URL" };

    public Option<string?> LedgerKey { get; } = new("--ledger-key") { Description = "The ledger's public key; nothing it does not sign is believed [env: GRID_LEDGER_KEY]", Recursive = true, HelpName = "key1…" };

    public Option<string?> Hub { get; } = new("--hub") { Description = "The flist hub's address [env: GRID_HUB]", Recursive = true, HelpName = "URL" };

    public Option<string?> Account { get; } = new("--account", "-a") { Description = "The account that speaks [env: GRID_ACCOUNT]", Recursive = true, HelpName = "NAME|acct1…" };

    public Option<string?> Key { get; } = new("--key", "-k") { Description = "The key that signs [env: GRID_KEY]", Recursive = true, HelpName = "NAME" };

    public IEnumerable<Option> All => [Output, Quiet, NoColor, Home, Ledger, LedgerKey, Hub, Account, Key];

    public IReadOnlyDictionary<string, string?> Flags(ParseResult parsed) => new Dictionary<string, string?>
    {
        ["ledger"] = parsed.GetValue(Ledger),
        ["ledgerKey"] = parsed.GetValue(LedgerKey),
        ["hub"] = parsed.GetValue(Hub),
        ["account"] = parsed.GetValue(Account),
        ["key"] = parsed.GetValue(Key),
    };
}
