using System.Security.Cryptography;
using Grid.Node.Networks;
using Grid.Statements;

namespace Grid.Node.Agent;

/// <summary>The node's own key: a 32-byte seed in a file that only its owner may read. It never leaves the machine.</summary>
internal static class NodeKey
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <exception cref="NodeException">others may read the file, or it is not a seed</exception>
    public static NodeKeys LoadOrCreate(string path)
    {
        if (!File.Exists(path))
            Create(path);
        if (File.GetUnixFileMode(path) is var mode && (mode & ~OwnerOnly) != 0)
            throw new NodeException($"The key {path} may be read by others (mode {Convert.ToString((int)mode, 8)}). Set it to 600, and think about who has read it.");
        var seed = File.ReadAllBytes(path);
        try
        {
            return seed.Length == SigningKey.SeedSize ? NodeKeys.From(seed) : throw new NodeException($"The key {path} has {seed.Length} bytes, not {SigningKey.SeedSize}.");
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

/// <summary>What follows from the node's seed: the key that it signs with, those of its tunnels, and what opens the keys of its volumes.</summary>
internal sealed class NodeKeys : IDisposable
{
    private readonly byte[] _volumes;

    private NodeKeys(SigningKey signing, TunnelKeys tunnels, byte[] volumes) => (Signing, Tunnels, _volumes) = (signing, tunnels, volumes);

    public SigningKey Signing { get; }

    public TunnelKeys Tunnels { get; }

    public ReadOnlySpan<byte> Volumes => _volumes;

    /// <summary>Each is derived with a purpose of its own (HKDF, RFC 5869), so that none says anything of another.</summary>
    public static NodeKeys From(ReadOnlySpan<byte> seed) => new(
        SigningKey.FromSeed(seed), new TunnelKeys(seed), HKDF.DeriveKey(HashAlgorithmName.SHA256, seed.ToArray(), 32, info: "grid volumes 1"u8.ToArray()));

    public void Dispose()
    {
        Signing.Dispose();
        Tunnels.Dispose();
        CryptographicOperations.ZeroMemory(_volumes);
    }
}
