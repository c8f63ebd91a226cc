using System.Globalization;

namespace Grid.Ledger.Postgres;

/// <summary>Where <c>postgres</c> and <c>initdb</c> of one release stand.</summary>
public sealed record PostgresBinaries(string Directory)
{
    public string Server => Path.Combine(Directory, "postgres");

    public string InitDb => Path.Combine(Directory, "initdb");

    /// <summary>
    /// The directory given (or its <c>bin</c> or <c>native/bin</c>, as npm's <c>@embedded-postgres</c> has it); else the newest of Debian's
    /// <c>/usr/lib/postgresql</c>; else the PATH.
    /// </summary>
    /// <exception cref="ClusterException">none is there</exception>
    public static PostgresBinaries Find(string? given = null)
    {
        if (given is not null)
        {
            return new[] { given, Path.Combine(given, "bin"), Path.Combine(given, "native", "bin") }.Select(d => new PostgresBinaries(d)).FirstOrDefault(b => b.Exist)
                ?? throw new ClusterException($"'{given}' holds no postgres and initdb.");
        }
        return Installed().Concat(OnPath()).Select(d => new PostgresBinaries(d)).FirstOrDefault(b => b.Exist)
            ?? throw new ClusterException("PostgreSQL is not installed: neither /usr/lib/postgresql nor the PATH holds postgres and initdb. Install postgresql-15.");
    }

    private bool Exist => File.Exists(Server) && File.Exists(InitDb);

    private static IEnumerable<string> Installed()
    {
        const string Root = "/usr/lib/postgresql";
        return !System.IO.Directory.Exists(Root) ? [] : System.IO.Directory.GetDirectories(Root)
            .OrderByDescending(d => double.TryParse(Path.GetFileName(d), CultureInfo.InvariantCulture, out var version) ? version : 0)
            .Select(d => Path.Combine(d, "bin"));
    }

    private static IEnumerable<string> OnPath() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
}

/// <summary>The private cluster cannot be made, started or reached; the message says why and what to do.</summary>
public sealed class ClusterException(string message, Exception? inner = null) : Exception(message, inner);
