using System.Numerics;
using System.Security.Cryptography;
using Grid.Statements;
using Grid.Units;

namespace Grid.Secrets;

/// <summary>
/// A node's Ed25519 key as an X25519 key: the same secret number, and the point of the same curve in its other form (RFC 7748 §4.1). So whoever knows a node knows to whom
/// to seal, and nothing has to be published and proven for it. That one key may sign and agree is shown in "On using the same key pair for Ed25519 and an X25519 based KEM",
/// IACR ePrint 2021/509; age does the same with SSH keys.
/// </summary>
public static class SealingKey
{
    private static readonly BigInteger Prime = BigInteger.Pow(2, 255) - 19;

    /// <returns>32 bytes; none that is a key when the given one is none</returns>
    public static byte[] PublicOf(PublicKey key)
    {
        Span<byte> point = stackalloc byte[Digest.Size];
        key.Value.CopyTo(point);
        // The highest bit is the sign of the other coordinate.
        point[^1] &= 0x7f;
        var y = new BigInteger(point, isUnsigned: true);
        // By Fermat, a to the power of p - 2 is 1 / a, and 0 for 0.
        var u = (1 + y) * BigInteger.ModPow(Prime + 1 - y, Prime - 2, Prime) % Prime;
        var bytes = new byte[Digest.Size];
        u.TryWriteBytes(bytes, out _, isUnsigned: true);
        return bytes;
    }

    /// <summary>What SHA-512 makes of the seed for Ed25519 to multiply with (RFC 8032 §5.1.5); X25519 clears and sets the same bits itself.</summary>
    /// <returns>32 bytes, which the caller wipes</returns>
    public static byte[] SecretOf(ReadOnlySpan<byte> seed)
    {
        Span<byte> hash = stackalloc byte[SHA512.HashSizeInBytes];
        SHA512.HashData(seed, hash);
        var secret = hash[..32].ToArray();
        CryptographicOperations.ZeroMemory(hash);
        return secret;
    }
}
