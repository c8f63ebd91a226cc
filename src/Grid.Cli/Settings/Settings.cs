using System.Collections.Immutable;
using Grid.Cli.Output;
using Grid.Cli.Yaml;
using Grid.Client;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Settings;

/// <summary>
/// What is set for this machine's user. Later wins: the file <c>config.yaml</c>, then the environment, then the command line.
/// </summary>
/// <param name="Origin">the pinned ledger's name; learned from the ledger when only the key is pinned</param>
/// <param name="Account">a name of the address book or an id</param>
/// <param name="Key">the key's name when an account has none of its own on record</param>
/// <param name="NodeLogs">where the nodes on this machine keep their workloads' logs, parted by colons</param>
public sealed record Context(string Home, string? Ledger, string? LedgerKey, string? Origin, string? Hub, string? Account, string? Key, string? NodeLogs)
{
    public const string File = "config.yaml";

    /// <summary>Field in the file, variable in the environment.</summary>
    public static readonly ImmutableArray<(string Field, string Variable)> Names =
    [
        ("ledger", "GRID_LEDGER"), ("ledgerKey", "GRID_LEDGER_KEY"), ("origin", "GRID_ORIGIN"), ("hub", "GRID_HUB"), ("account", "GRID_ACCOUNT"),
        ("key", "GRID_KEY"), ("nodeLogs", "GRID_NODE_LOGS"),
    ];

    public string KeysDirectory => Path.Combine(Home, "keys");

    public string BookFile => Path.Combine(Home, "book.json");

    /// <summary>From which the one-time keys of sealed secrets follow.</summary>
    public string SecretsKeyFile => Path.Combine(Home, "secrets.key");

    public string PlansDirectory => Path.Combine(Home, "plans");

    public string SeenFile(PublicKey ledger) => Path.Combine(Home, "seen", $"{ledger.Value}.checkpoint");

    public static string HomeOf(Func<string, string?> environment, string? flag) =>
        flag ?? environment("GRID_HOME")
        ?? Path.Combine(environment("XDG_CONFIG_HOME") ?? Path.Combine(environment("HOME") ?? Environment.CurrentDirectory, ".config"), "grid");

    /// <param name="flags">by field; absent or null where the command line says nothing</param>
    public static Context? Read(string home, Func<string, string?> environment, IReadOnlyDictionary<string, string?> flags, out ImmutableArray<Problem> problems)
    {
        if (System.IO.File.Exists(home))
        {
            problems = [new Problem(new Refusal(CliCode.ConfigInvalid, $"{home} is not a directory; keys, address book and configuration lie in one.", "Name another with --home or GRID_HOME."))];
            return null;
        }
        var file = ReadFile(Path.Combine(home, File), out problems);
        if (!problems.IsEmpty)
            return null;
        string? Value(string field, string variable) =>
            flags.GetValueOrDefault(field) ?? (environment(variable) is { Length: > 0 } value ? value : null) ?? file.GetValueOrDefault(field);
        var v = Names.ToDictionary(n => n.Field, n => Value(n.Field, n.Variable));
        return new Context(home, v["ledger"], v["ledgerKey"], v["origin"], v["hub"], v["account"], v["key"], v["nodeLogs"]);
    }

    /// <summary>Writes fields into the file, leaving the others as they are.</summary>
    public static Refusal? Save(string home, IReadOnlyDictionary<string, string> changes)
    {
        var path = Path.Combine(home, File);
        var fields = ReadFile(path, out var problems).ToDictionary();
        if (problems is [var first, ..])
            return first.Refusal;
        foreach (var (name, value) in changes)
            fields[name] = value;
        var document = new System.Text.Json.Nodes.JsonObject();
        foreach (var (name, _) in Names)
        {
            if (fields.TryGetValue(name, out var value))
                document[name] = value;
        }
        return Files.Replace(path, Document.Yaml(document) + "\n");
    }

    private static Dictionary<string, string> ReadFile(string path, out ImmutableArray<Problem> problems)
    {
        problems = [];
        var found = new Dictionary<string, string>();
        if (!System.IO.File.Exists(path))
            return found;
        if (!Files.ReadText(path, YamlText.MaximumLength).Try(out var text, out var unreadable))
        {
            problems = [new Problem(unreadable)];
            return found;
        }
        var faults = new List<Fault>();
        if (YamlText.Read(text, out var fault) is { } root)
        {
            var fields = Fields.Of(root, "the configuration", faults);
            foreach (var (name, _) in Names)
            {
                if (fields.Text(name) is { } value)
                    found[name] = value;
            }
            fields.Close();
        }
        else
        {
            faults.Add(fault!);
        }
        problems = [.. faults.Select(f => new Problem(f.Refusal with { Code = CliCode.ConfigInvalid }, $"{path}:{f.At}"))];
        return found;
    }
}
