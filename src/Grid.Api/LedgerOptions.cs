using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using Grid.Statements;
using Npgsql;

namespace Grid.Api;

/// <summary>How a ledger is started. All mistakes are reported together; unknown options are refused.</summary>
public sealed record LedgerOptions
{
    public const string Usage = """
        grid-ledger --origin NAME (--data DIR | --postgres CONNECTION-STRING) [--key FILE]
                    [--listen http://ADDRESS:PORT] [--hub URL] [--rate N] [--binaries DIR]

          --origin NAME     the ledger's name, as every statement carries it: printable ASCII
                            without spaces and pluses (needed)
          --data DIR        keeps a private PostgreSQL in this directory (needed, or --postgres)
          --postgres TEXT   uses this database instead, as Host=…;Username=…;Database=…
                            (needed, or --data)
          --key FILE        the seed of the ledger's Ed25519 key, 64 hexadecimal digits, mode 0600;
                            made if absent (default: ledger.key in --data; needed without)
          --listen URL      where it is asked; port 0 takes a free one
                            (default: http://127.0.0.1:8080)
          --hub URL         where the flists that agreements name are looked at
                            (default: they are not, and only nodes look)
          --rate N          requests a second from one address, and statements a second signed by
                            one key, with bursts of twice as many; 0 for no limit (default: 1000)
          --binaries DIR    where postgres and initdb are (default: the newest installed)

        grid-ledger --help
        grid-ledger --version
        """;

    public static readonly ImmutableArray<string> Names = ["--origin", "--data", "--postgres", "--key", "--listen", "--hub", "--rate", "--binaries"];

    private const int MaximumRate = 1_000_000;

    public required string Origin { get; init; }

    public string? Data { get; init; }

    public string? Postgres { get; init; }

    public string? Key { get; init; }

    public string Listen { get; init; } = "http://127.0.0.1:8080";

    public Uri? Hub { get; init; }

    public int Rate { get; init; } = 1000;

    public string? Binaries { get; init; }

    public string KeyFile => Key ?? Path.Combine(Data!, "ledger.key");

    /// <summary>Reads the command line; null with the mistakes when there are any.</summary>
    public static LedgerOptions? Parse(ReadOnlySpan<string> args, out IReadOnlyList<Refusal> mistakes)
    {
        var wrong = new List<Refusal>();
        var seen = new HashSet<string>();
        var options = new LedgerOptions { Origin = "" };
        for (var i = 0; i < args.Length; i += 2)
        {
            if (!Names.Contains(args[i]))
            {
                wrong.Add(Wrong($"{args[i]} is not known.", "'grid-ledger --help' lists what is."));
                continue;
            }
            if (i + 1 == args.Length || args[i + 1].Length == 0)
            {
                wrong.Add(Wrong($"{args[i]} needs a value.", "Write it behind the option, or leave the option out."));
                break;
            }
            if (!seen.Add(args[i]))
                wrong.Add(Wrong($"{args[i]} stands twice.", "Give it once."));
            options = options.With(args[i], args[i + 1], wrong);
        }
        options.Check(wrong);
        mistakes = wrong;
        return wrong.Count == 0 ? options : null;
    }

    private LedgerOptions With(string name, string value, List<Refusal> wrong)
    {
        switch (name)
        {
            case "--origin": return this with { Origin = value };
            case "--data": return this with { Data = value };
            case "--postgres": return this with { Postgres = value };
            case "--key": return this with { Key = value };
            case "--listen": return this with { Listen = value };
            case "--binaries": return this with { Binaries = value };
            case "--hub" when Uri.TryCreate(value, UriKind.Absolute, out var hub) && hub.Scheme is "http" or "https": return this with { Hub = hub };
            case "--rate" when int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var rate) && rate <= MaximumRate: return this with { Rate = rate };
            case "--hub":
                wrong.Add(Wrong($"--hub {value} is not an http or https address.", "Write it as http://HOST:PORT or https://HOST."));
                return this;
            case "--rate":
                wrong.Add(Wrong($"--rate {value} is not a number of requests from 0 to {MaximumRate}.", "Write digits only; 0 is no limit."));
                return this;
            default:
                throw new UnreachableException($"{name} is a name that nothing reads.");
        }
    }

    private void Check(List<Refusal> wrong)
    {
        if (!Payload.IsOrigin(Origin))
            wrong.Add(Wrong(Origin.Length == 0 ? "--origin is missing." : $"--origin {Origin} is not 1–255 printable ASCII characters without spaces and pluses.", "Name the ledger as it shall be called for ever, such as ledger.example/main; 'grid-ledger --help' lists the options."));
        if (Data is null == Postgres is null)
            wrong.Add(Wrong(Data is null ? "Neither --data nor --postgres is given." : "Both --data and --postgres are given.", "Give either --data or --postgres: a directory for a private database, or one that runs already."));
        if (Postgres is not null && Unreadable(Postgres) is { } why)
            wrong.Add(Wrong($"--postgres is not a connection string: {why}", "Write it as Host=…;Username=…;Database=…."));
        if (Data is null && Key is null)
            wrong.Add(Wrong("--key is missing; only with --data has it a place of its own.", "Name the file that holds the key, or shall."));
        if (!Uri.TryCreate(Listen, UriKind.Absolute, out var address) || address.Scheme != "http" || address.PathAndQuery != "/")
            wrong.Add(Wrong($"--listen {Listen} is not http://ADDRESS:PORT.", "Write it as http://127.0.0.1:8080; TLS is a proxy's."));
    }

    private static Refusal Wrong(string detail, string next) => new("usage", detail, next);

    // Names a keyword at most, never a value: a password is one.
    private static string? Unreadable(string connection)
    {
        try
        {
            _ = new NpgsqlConnectionStringBuilder(connection);
            return null;
        }
        catch (Exception e) when (e is ArgumentException or FormatException)
        {
            return e is ArgumentException { ParamName: { } name } ? $"'{name}' is not known, or its value is not possible." : "it is not of pairs NAME=VALUE.";
        }
    }
}
