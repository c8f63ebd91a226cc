using Grid.Units;
using NSec.Cryptography;

namespace Grid.Statements;

/// <summary>An Ed25519 public key: 32 bytes (RFC 8032 §5.1.5). As text it is Bech32m with the prefix <c>key</c>.</summary>
public readonly record struct PublicKey(Digest Value) : IId<PublicKey>, IComparable<PublicKey>
{
    public static string Prefix => "key";

    public static PublicKey From(Digest value) => new(value);

    /// <summary>
    /// True when the signature is this key's over the data, by the rules of libsodium: S below the group order, R and the key canonical,
    /// no key of small order (RFC 8032 §5.1.7 with the stricter choices; a malleable signature is refused).
    /// </summary>
    public bool Verify(ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature)
    {
        Span<byte> raw = stackalloc byte[Digest.Size];
        Value.CopyTo(raw);
        return NSec.Cryptography.PublicKey.TryImport(SignatureAlgorithm.Ed25519, raw, KeyBlobFormat.RawPublicKey, out var key)
            && SignatureAlgorithm.Ed25519.Verify(key!, data, signature);
    }

    public int CompareTo(PublicKey other) => Value.CompareTo(other.Value);

    public static bool operator <(PublicKey left, PublicKey right) => left.CompareTo(right) < 0;

    public static bool operator >(PublicKey left, PublicKey right) => left.CompareTo(right) > 0;

    public static bool operator <=(PublicKey left, PublicKey right) => left.CompareTo(right) <= 0;

    public static bool operator >=(PublicKey left, PublicKey right) => left.CompareTo(right) >= 0;

    public override string ToString() => Units.Id.Format(this);
}

/// <summary>An Ed25519 private key held in guarded memory. Made from a 32-byte seed; where the seed comes from is the caller's matter.</summary>
public sealed class SigningKey : IDisposable
{
    public const int SeedSize = 32;

    private readonly Key _key;

    private SigningKey(Key key)
    {
        _key = key;
        Public = new PublicKey(new Digest(key.Export(KeyBlobFormat.RawPublicKey)));
    }

    public PublicKey Public { get; }

    /// <exception cref="FormatException">the seed does not have 32 bytes</exception>
    public static SigningKey FromSeed(ReadOnlySpan<byte> seed) => new(Key.Import(SignatureAlgorithm.Ed25519, seed, KeyBlobFormat.RawPrivateKey));

    public byte[] Sign(ReadOnlySpan<byte> data) => SignatureAlgorithm.Ed25519.Sign(_key, data);

    public void Dispose() => _key.Dispose();
}
