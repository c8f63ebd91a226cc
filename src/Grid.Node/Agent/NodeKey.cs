using System.Security.Cryptography;
using Grid.Node.Networks;
using Grid.Statements;

namespace Grid.Node.Agent;

/// <summary>The node's own key: a 32-byte seed in a file that only its owner may read. It never leaves the machine.</summary>
internal static class NodeKey
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <exception cref="NodeException">others may read the file, or it is not a seed</exception>
    public static (SigningKey Signing, TunnelKeys Tunnels) LoadOrCreate(string path)
    {
        if (!File.Exists(path))
            Create(path);
        if (File.GetUnixFileMode(path) is var mode && (mode & ~OwnerOnly) != 0)
            throw new NodeException($"The key {path} may be read by others (mode {Convert.ToString((int)mode, 8)}). Set it to 600, and think about who has read it.");
        var seed = File.ReadAllBytes(path);
        try
        {
            return seed.Length == SigningKey.SeedSize ? (SigningKey.FromSeed(seed), new TunnelKeys(seed)) : throw new NodeException($"The key {path} has {seed.Length} bytes, not {SigningKey.SeedSize}.");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(seed);
        }
    }

    private static void Create(string path)
    {
        var seed = RandomNumberGenerator.GetBytes(SigningKey.SeedSize);
        using (var file = new FileStream(path + ".new", new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = OwnerOnly }))
        {
            file.Write(seed);
            file.Flush(flushToDisk: true);
        }
        CryptographicOperations.ZeroMemory(seed);
        File.Move(path + ".new", path);
    }
}
