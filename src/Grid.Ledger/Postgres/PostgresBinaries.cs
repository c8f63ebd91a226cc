using System.Globalization;
using System.Runtime.InteropServices;

namespace Grid.Ledger.Postgres;

/// <summary>Where <c>postgres</c> and <c>initdb</c> of one release stand.</summary>
public sealed record PostgresBinaries(string Directory)
{
    public string Server => Path.Combine(Directory, "postgres");

    public string InitDb => Path.Combine(Directory, "initdb");

    /// <summary>
    /// The directory given (or its <c>bin</c> or <c>native/bin</c>, as npm's <c>@embedded-postgres</c> has it); else the newest of Debian's
    /// <c>/usr/lib/postgresql</c>; else the PATH; failing that, npm's <c>@embedded-postgres</c> where it is installed for all, or where NODE_PATH says.
    /// </summary>
    /// <exception cref="ClusterException">none is there</exception>
    public static PostgresBinaries Find(string? given = null)
    {
        if (given is not null)
        {
            return new[] { given, Path.Combine(given, "bin"), Path.Combine(given, "native", "bin") }.Select(d => new PostgresBinaries(d)).FirstOrDefault(b => b.Exist)
                ?? throw new ClusterException($"'{given}' holds no postgres and initdb.");
        }
        return Places().Select(d => new PostgresBinaries(d)).FirstOrDefault(b => b.Exist)
            ?? throw new ClusterException("PostgreSQL is not installed: neither /usr/lib/postgresql nor the PATH holds postgres and initdb. Install postgresql-15, or npm's @embedded-postgres.");
    }

    /// <summary>Where it is looked for, in this order.</summary>
    internal static IEnumerable<string> Places() => [.. Installed(), .. On("PATH"), .. OfNpm()];

    private bool Exist => File.Exists(Server) && File.Exists(InitDb);

    private static IEnumerable<string> Installed()
    {
        const string Root = "/usr/lib/postgresql";
        return !System.IO.Directory.Exists(Root) ? [] : System.IO.Directory.GetDirectories(Root)
            .OrderByDescending(d => double.TryParse(Path.GetFileName(d), CultureInfo.InvariantCulture, out var version) ? version : 0)
            .Select(d => Path.Combine(d, "bin"));
    }

    // https://docs.npmjs.com/cli/configuring-npm/folders: Debian's prefix is /usr, and everybody else's /usr/local.
    private static IEnumerable<string> OfNpm() => On("NODE_PATH").Append("/usr/local/lib/node_modules").Append("/usr/lib/node_modules")
        .Select(d => Path.Combine(d, "@embedded-postgres", RuntimeInformation.ProcessArchitecture is Architecture.Arm64 ? "linux-arm64" : "linux-x64", "native", "bin"));

    private static IEnumerable<string> On(string variable) =>
        (Environment.GetEnvironmentVariable(variable) ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
}

/// <summary>The private cluster cannot be made, started or reached; the message says why and what to do.</summary>
public sealed class ClusterException(string message, Exception? inner = null) : Exception(message, inner);
