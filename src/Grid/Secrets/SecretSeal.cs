using System.Security.Cryptography;
using Grid.Statements;
using Grid.Units;
using NSec.Cryptography;
using PublicKey = Grid.Statements.PublicKey;

namespace Grid.Secrets;

/// <summary>
/// Seals a secret to a node, for one account on one ledger. What is sealed stands in the public log for ever: whoever copies it into an agreement of their own has a seal
/// that does not open, for the account is part of it. Its length tells the value's only to the next 64 bytes.
/// <code>
/// sealed  = ephemeral public key (32) ‖ ChaCha20-Poly1305(padded)                    ; 48 bytes and a multiple of 64
/// padded  = value ‖ 80 ‖ 00…, to a multiple of 64 bytes                               ; ISO/IEC 7816-4
/// key     = HKDF-SHA256(X25519(ephemeral, node), salt = ephemeral ‖ node, info = "grid secret 1"), nonce zero: it seals once
/// context = { "user": account-id, "ledger": text }                                   ; the associated data
/// </code>
/// </summary>
public static class SecretSeal
{
    /// <summary>Of a value, in bytes.</summary>
    public const int LargestValue = 16_383;

    /// <summary>Of what is sealed, in bytes.</summary>
    public const int Largest = Overhead + LargestValue + 1;

    private const int KeySize = 32, Block = 64, Overhead = KeySize + KeyAgreement.TagSize;

    private static ReadOnlySpan<byte> Info => "grid secret 1"u8;

    /// <summary>
    /// The one-time key of a secret, which follows from all that is sealed and from a key that only its author has: the same secret sealed twice is the same bytes, so that a
    /// draft that did not change is seen not to have; and whoever guesses the value cannot try it out.
    /// </summary>
    /// <param name="author">32 unpredictable bytes that never leave the author's machine</param>
    /// <param name="place">what tells two secrets of the same value apart: the workload and where in it</param>
    /// <returns>32 bytes, which the caller wipes</returns>
    public static byte[] EphemeralOf(ReadOnlySpan<byte> author, string ledger, AccountId user, PublicKey node, string place, ReadOnlySpan<byte> value)
    {
        var bytes = value.ToArray();
        var about = CanonicalWriter.Encode(w => w.Map(5, m =>
        {
            m.Key("node").Digest(node.Value);
            m.Key("user").Id(user);
            m.Key("place").Text(place);
            m.Key("value").ByteString(bytes);
            m.Key("ledger").Text(ledger);
        }), value.Length + 512);
        try
        {
            return HMACSHA256.HashData(author, about);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(bytes);
            CryptographicOperations.ZeroMemory(about);
        }
    }

    /// <param name="ephemeral">32 bytes that nothing else is sealed with, as of <see cref="EphemeralOf"/></param>
    /// <returns>null when the node's key is none that anything can be sealed to</returns>
    /// <exception cref="ArgumentException">the value is longer than <see cref="LargestValue"/></exception>
    public static byte[]? Seal(ReadOnlySpan<byte> value, string ledger, AccountId user, PublicKey node, ReadOnlySpan<byte> ephemeral)
    {
        if (value.Length > LargestValue)
            throw new ArgumentException($"A secret has at most {LargestValue} bytes, not {value.Length}.", nameof(value));
        using var own = Key.Import(KeyAgreementAlgorithm.X25519, ephemeral, KeyBlobFormat.RawPrivateKey);
        var (key, to) = (own.PublicKey.Export(KeyBlobFormat.RawPublicKey), SealingKey.PublicOf(node));
        using var sealer = KeyAgreement.SealerOf(own, to, key, to, Info);
        if (sealer is null)
            return null;
        var padded = new byte[(value.Length / Block + 1) * Block];
        value.CopyTo(padded);
        padded[value.Length] = 0x80;
        var bytes = new byte[padded.Length + Overhead];
        key.CopyTo(bytes, 0);
        KeyAgreement.Aead.Encrypt(sealer, KeyAgreement.Nonce, Context(ledger, user), padded, bytes.AsSpan(KeySize));
        CryptographicOperations.ZeroMemory(padded);
        return bytes;
    }

    /// <summary>True when it could be something sealed; whether it opens only the node can tell.</summary>
    public static bool HasForm(ReadOnlySpan<byte> bytes) => bytes.Length is > Overhead and <= Largest && (bytes.Length - Overhead) % Block == 0;

    /// <param name="node">the node's key for agreeing, of <see cref="SealingKey.SecretOf"/></param>
    /// <returns>the value, which the caller wipes; null when it was not sealed to this key, for this account and ledger, or was bent</returns>
    internal static byte[]? Open(ReadOnlySpan<byte> bytes, string ledger, AccountId user, Key node)
    {
        if (!HasForm(bytes))
            return null;
        var key = bytes[..KeySize];
        using var sealer = KeyAgreement.SealerOf(node, key, key, node.PublicKey.Export(KeyBlobFormat.RawPublicKey), Info);
        var padded = new byte[bytes.Length - Overhead];
        try
        {
            if (sealer is null || !KeyAgreement.Aead.Decrypt(sealer, KeyAgreement.Nonce, Context(ledger, user), bytes[KeySize..], padded))
                return null;
            var end = padded.AsSpan().LastIndexOfAnyExcept((byte)0);
            return end >= 0 && padded[end] == 0x80 && padded.Length - end <= Block ? padded[..end] : null;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(padded);
        }
    }

    private static byte[] Context(string ledger, AccountId user) => CanonicalWriter.Encode(w => w.Map(2, m =>
    {
        m.Key("user").Id(user);
        m.Key("ledger").Text(ledger);
    }));
}
