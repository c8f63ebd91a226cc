using System.Globalization;

namespace Grid.Ledger.Postgres;

/// <summary>PostgreSQL refuses to run as root, so root hands its cluster to an account without rights.</summary>
internal sealed record ServerUser(string Name, uint User, uint Group)
{
    /// <summary>Null when the process is not root: then the server runs as whoever we are.</summary>
    /// <exception cref="ClusterException">root, and no such account exists</exception>
    public static ServerUser? Choose()
    {
        if (Unistd.EffectiveUser() != 0)
            return null;
        var accounts = File.ReadLines("/etc/passwd").Select(line => line.Split(':')).Where(f => f.Length >= 4).ToDictionary(f => f[0]);
        return (accounts.GetValueOrDefault("postgres") ?? accounts.GetValueOrDefault("nobody")) is { } fields ? Parse(fields)
            : throw new ClusterException("PostgreSQL does not run as root, and neither 'postgres' nor 'nobody' is in /etc/passwd.");
    }

    /// <summary>The arguments that turn <c>setpriv</c> into this user.</summary>
    public IEnumerable<string> Arguments => [$"--reuid={User}", $"--regid={Group}", "--clear-groups"];

    /// <exception cref="ClusterException">the file system does not let us</exception>
    public void Own(string path)
    {
        if (Unistd.ChangeOwner(path, User, Group) != 0)
            throw new ClusterException($"'{path}' cannot be handed to {Name}.");
    }

    private static ServerUser Parse(string[] fields) =>
        new(fields[0], uint.Parse(fields[2], CultureInfo.InvariantCulture), uint.Parse(fields[3], CultureInfo.InvariantCulture));
}
