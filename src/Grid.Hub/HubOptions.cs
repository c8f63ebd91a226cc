using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;

namespace Grid.Hub;

/// <summary>How a hub is started. All mistakes are reported together; unknown options are refused.</summary>
public sealed record HubOptions
{
    public const string Usage = """
        grid-hub --store DIR [--listen http://ADDRESS:PORT | --listen http://unix:/PATH]
                 [--max-bytes N] [--max-meta N] [--max-uploads N] [--max-connections N]

          --store DIR          where packs, meta files and manifests lie; made if absent (needed)
          --listen URL         an address, whose port 0 takes a free one, or the path of a socket
                               (default: http://127.0.0.1:8090)
          --max-bytes N        bytes that all packs together may take (default: as the disk has)
          --max-meta N         bytes of one meta file, uncompressed (default: 268435456)
          --max-uploads N      uploads checked at one time; more get 503 (default: 8)
          --max-connections N  connections at one time (default: 1024)

        grid-hub --help
        grid-hub --version
        """;

    public static readonly ImmutableArray<string> Names = ["--store", "--listen", "--max-bytes", "--max-meta", "--max-uploads", "--max-connections"];

    public required string Store { get; init; }

    public string Listen { get; init; } = "http://127.0.0.1:8090";

    public long MaximumBytes { get; init; } = long.MaxValue;

    public int MaximumMeta { get; init; } = 256 << 20;

    public int MaximumUploads { get; init; } = 8;

    public int MaximumConnections { get; init; } = 1024;

    /// <summary>Reads the command line; null with the mistakes when there are any.</summary>
    public static HubOptions? Parse(ReadOnlySpan<string> args, out IReadOnlyList<Refusal> mistakes)
    {
        var wrong = new List<Refusal>();
        var options = new HubOptions { Store = "" };
        for (var i = 0; i < args.Length; i += 2)
        {
            if (!Names.Contains(args[i]))
            {
                wrong.Add(Wrong($"{args[i]} is not known.", "'grid-hub --help' lists what is."));
                continue;
            }
            if (i + 1 == args.Length)
            {
                wrong.Add(Wrong($"{args[i]} needs a value.", "Write it behind the option, or leave the option out."));
                break;
            }
            var value = args[i + 1];
            options = args[i] switch
            {
                "--store" => options with { Store = value },
                "--listen" => options with { Listen = value },
                "--max-bytes" => options with { MaximumBytes = Number(args[i], value, long.MaxValue, wrong) },
                "--max-meta" => options with { MaximumMeta = (int)Number(args[i], value, int.MaxValue, wrong) },
                "--max-uploads" => options with { MaximumUploads = (int)Number(args[i], value, 1024, wrong) },
                "--max-connections" => options with { MaximumConnections = (int)Number(args[i], value, 1 << 20, wrong) },
                _ => throw new UnreachableException($"{args[i]} is a name that nothing reads."),
            };
        }
        if (options.Store.Length == 0)
            wrong.Add(Wrong("--store is missing.", "Name the directory that holds packs and meta files, or shall; 'grid-hub --help' lists the options."));
        var address = options.Listen.StartsWith("http://", StringComparison.Ordinal) ? options.Listen["http://".Length..] : "";
        if (!address.StartsWith("unix:/", StringComparison.Ordinal) && (!Uri.TryCreate(options.Listen, UriKind.Absolute, out var uri) || uri.PathAndQuery != "/") || address.Length == 0)
            wrong.Add(Wrong($"--listen {options.Listen} is neither http://ADDRESS:PORT nor http://unix:/PATH.", "Write it as http://127.0.0.1:8090; TLS is a proxy's."));
        mistakes = wrong;
        return wrong.Count == 0 ? options : null;
    }

    private static long Number(string name, string value, long maximum, List<Refusal> wrong)
    {
        if (long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= 1 && number <= maximum)
            return number;
        wrong.Add(Wrong($"{name} {value} is not a number from 1 to {maximum}.", "Write digits only."));
        return 1;
    }

    private static Refusal Wrong(string detail, string next) => new("usage", detail, next);
}
