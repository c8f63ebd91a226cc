using System.Security.Cryptography;
using Grid.Node.Networks;
using Grid.Secrets;
using Grid.Statements;

namespace Grid.Node.Agent;

/// <summary>The node's own key: a 32-byte seed in a file that only its owner may read. It never leaves the machine.</summary>
internal static class NodeKey
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <exception cref="NodeException">others may read the file, or it is not a seed</exception>
    /// <param name="origin">of the ledger whose agreements it keeps</param>
    public static NodeKeys LoadOrCreate(string path, string origin)
    {
        if (!File.Exists(path))
            Create(path);
        if (File.GetUnixFileMode(path) is var mode && (mode & ~OwnerOnly) != 0)
            throw new NodeException(NodeCode.KeyFileOpen, $"The key {path} may be read by others (mode {Convert.ToString((int)mode, 8)}).", "Set it to 600, and think about who has read it.");
        var seed = File.ReadAllBytes(path);
        try
        {
            return seed.Length == SigningKey.SeedSize ? NodeKeys.From(seed, origin) : throw new NodeException(NodeCode.KeyFileInvalid,
                $"The key {path} has {seed.Length} bytes, not {SigningKey.SeedSize}.", "Put back a copy of it, or start in another --data directory with a new --invite.");
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

/// <summary>What follows from the node's seed: the key that it signs with, those of its tunnels, and what opens its volumes' keys and secrets.</summary>
internal sealed class NodeKeys : IDisposable
{
    private readonly byte[] _volumes;

    private NodeKeys(SigningKey signing, TunnelKeys tunnels, byte[] volumes, SecretOpener secrets) => (Signing, Tunnels, _volumes, Secrets) = (signing, tunnels, volumes, secrets);

    public SigningKey Signing { get; }

    public TunnelKeys Tunnels { get; }

    public ReadOnlySpan<byte> Volumes => _volumes;

    public SecretOpener Secrets { get; }

    /// <summary>
    /// Each is derived with a purpose of its own (HKDF, RFC 5869), so that none says anything of another; but what opens secrets is the signing key in another form, so that
    /// everybody who knows the node can seal to it.
    /// </summary>
    public static NodeKeys From(ReadOnlySpan<byte> seed, string origin) => new(
        SigningKey.FromSeed(seed), new TunnelKeys(seed), HKDF.DeriveKey(HashAlgorithmName.SHA256, seed.ToArray(), 32, info: "grid volumes 1"u8.ToArray()), new SecretOpener(seed, origin));

    public void Dispose()
    {
        Signing.Dispose();
        Tunnels.Dispose();
        Secrets.Dispose();
        CryptographicOperations.ZeroMemory(_volumes);
    }
}
