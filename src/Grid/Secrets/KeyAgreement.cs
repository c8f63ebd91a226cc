using NSec.Cryptography;

namespace Grid.Secrets;

/// <summary>What two X25519 keys (RFC 7748) agree on, as the key of one cipher for one purpose.</summary>
public static class KeyAgreement
{
    public static readonly AeadAlgorithm Aead = AeadAlgorithm.ChaCha20Poly1305;

    public const int TagSize = 16;

    /// <summary>Every key that comes of <see cref="SealerOf"/> seals once.</summary>
    public static ReadOnlySpan<byte> Nonce => new byte[12];

    /// <summary>HKDF-SHA256(X25519(own, other), salt = ephemeral ‖ to, info)</summary>
    /// <returns>null when the other is no key, or one of small order, with which everybody would agree</returns>
    public static Key? SealerOf(Key own, ReadOnlySpan<byte> other, ReadOnlySpan<byte> ephemeral, ReadOnlySpan<byte> to, ReadOnlySpan<byte> info)
    {
        if (!PublicKey.TryImport(KeyAgreementAlgorithm.X25519, other, KeyBlobFormat.RawPublicKey, out var key))
            return null;
        using var shared = KeyAgreementAlgorithm.X25519.Agree(own, key!);
        return shared is null ? null : KeyDerivationAlgorithm.HkdfSha256.DeriveKey(shared, [.. ephemeral, .. to], info, Aead);
    }
}
