using System.Security.Cryptography;
using System.Text;
using Grid.Networks;
using Grid.Units;
using NSec.Cryptography;

namespace Grid.Node.Networks;

/// <summary>
/// The private keys of a node's tunnels. They are derived, never stored: HKDF-SHA256 (RFC 5869) over the node's secret, without salt, with the info
/// <c>"grid wireguard 1" ‖ agreement ‖ network ‖ 0 ‖ workload</c>, clamped as RFC 7748 §5 says. The same agreement gives the same keys after any restart.
/// </summary>
public sealed class TunnelKeys : IDisposable
{
    public const int SecretSize = 32;

    private readonly byte[] _secret;

    /// <exception cref="ArgumentException">the secret has not 32 bytes</exception>
    public TunnelKeys(ReadOnlySpan<byte> secret)
    {
        if (secret.Length != SecretSize)
            throw new ArgumentException($"The secret has {secret.Length} bytes, not {SecretSize}.", nameof(secret));
        _secret = secret.ToArray();
    }

    public TunnelKey PublicOf(TunnelId id)
    {
        Span<byte> key = stackalloc byte[SecretSize];
        WritePrivate(id, key);
        var found = PublicOf(key);
        CryptographicOperations.ZeroMemory(key);
        return found;
    }

    public void Dispose() => CryptographicOperations.ZeroMemory(_secret);

    internal static TunnelKey PublicOf(ReadOnlySpan<byte> privateKey)
    {
        using var key = Key.Import(KeyAgreementAlgorithm.X25519, privateKey, KeyBlobFormat.RawPrivateKey);
        return new TunnelKey(new Digest(key.PublicKey.Export(KeyBlobFormat.RawPublicKey)));
    }

    /// <summary>The caller wipes it after use.</summary>
    internal void WritePrivate(TunnelId id, Span<byte> key)
    {
        // Names hold no zero byte, and an agreement is always 32 bytes: no two ids have the same info.
        byte[] info = [.. "grid wireguard 1"u8, .. id.Agreement.Value.ToArray(), .. Encoding.UTF8.GetBytes($"{id.Of.Network}\0{id.Of.Workload}")];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, _secret, key, default, info);
        key[0] &= 248;
        key[31] = (byte)((key[31] & 127) | 64);
    }
}
