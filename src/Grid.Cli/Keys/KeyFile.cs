using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grid.Statements;
using Grid.Units;
using NSec.Cryptography;
using PublicKey = Grid.Statements.PublicKey;

namespace Grid.Cli.Keys;

/// <summary>
/// A private key as it lies on disk. With a passphrase: the seed sealed by XChaCha20-Poly1305 under a key that Argon2id makes of the passphrase
/// (RFC 9106), name and public key authenticated with it. Without: the seed itself, guarded by the file's mode alone.
/// <code>{ "version": 1, "name": text, "key": "key1…", "seed": base64 }
/// { "version": 1, "name": text, "key": "key1…", "sealed": { "kdf": "argon2id", "memoryKiB": n, "passes": n, "salt": base64, "nonce": base64, "box": base64 } }</code>
/// </summary>
public sealed record KeyFile(int Version, string Name, string Key, byte[]? Seed, SealedSeed? Sealed)
{
    public const int CurrentVersion = 1;

    private static readonly AeadAlgorithm Aead = AeadAlgorithm.XChaCha20Poly1305;

    [JsonIgnore]
    public PublicKey Public => Id.Parse<PublicKey>(Key);

    [JsonIgnore]
    public bool IsSealed => Sealed is not null;

    /// <summary>Keeps a copy of the seed: the caller wipes its own.</summary>
    public static KeyFile Plain(string name, byte[] seed)
    {
        using var key = SigningKey.FromSeed(seed);
        return new KeyFile(CurrentVersion, name, key.Public.ToString(), [.. seed], null);
    }

    /// <param name="random">so many unpredictable bytes</param>
    public static KeyFile Seal(string name, byte[] seed, string passphrase, Func<int, byte[]> random, Cost cost)
    {
        using var key = SigningKey.FromSeed(seed);
        var (salt, nonce) = (random(16), random(Aead.NonceSize));
        var file = new KeyFile(CurrentVersion, name, key.Public.ToString(), null, null);
        using var wrap = Wrap(passphrase, salt, cost);
        return file with { Sealed = new SealedSeed(SealedSeed.Argon2id, cost.MemoryKiB, cost.Passes, salt, nonce, Aead.Encrypt(wrap, nonce, file.Header, seed)) };
    }

    /// <summary>The seed, or null when the passphrase does not open it. The caller wipes it.</summary>
    public byte[]? Open(string? passphrase)
    {
        if (Sealed is not { } box)
            return [.. Seed!];
        using var wrap = Wrap(passphrase ?? "", box.Salt, new Cost(box.MemoryKiB, box.Passes));
        return Aead.Decrypt(wrap, box.Nonce, Header, box.Box);
    }

    public byte[] Format() => [.. JsonSerializer.SerializeToUtf8Bytes(this, KeyFileContext.Default.KeyFile), (byte)'\n'];

    /// <returns>null when the bytes are not a key file of this version</returns>
    public static KeyFile? TryParse(ReadOnlySpan<byte> json)
    {
        try
        {
            var file = JsonSerializer.Deserialize(json, KeyFileContext.Default.KeyFile);
            var whole = file is { Version: CurrentVersion } && (file.Seed is null) != (file.Sealed is null) && Id.TryParse<PublicKey>(file.Key, out _)
                && file.Seed is null or { Length: SigningKey.SeedSize }
                && file.Sealed is null or { Kdf: SealedSeed.Argon2id, Salt.Length: 16, Box.Length: < 256, MemoryKiB: >= 8 and <= 4 << 20, Passes: >= 1 and <= 100 }
                && (file.Sealed is null || file.Sealed.Nonce.Length == Aead.NonceSize);
            return whole ? file : null;
        }
        catch (JsonException)
        {
            // Not such a file: the caller says so with the file's name.
            return null;
        }
    }

    // What is authenticated with the seed: a sealed seed cannot be passed off under another name or key.
    private byte[] Header => System.Text.Encoding.UTF8.GetBytes($"grid key {Version}\n{Name}\n{Key}\n");

    private static NSec.Cryptography.Key Wrap(string passphrase, byte[] salt, Cost cost)
    {
        var argon = PasswordBasedKeyDerivationAlgorithm.Argon2id(new Argon2Parameters { DegreeOfParallelism = 1, MemorySize = cost.MemoryKiB, NumberOfPasses = cost.Passes });
        return argon.DeriveKey(passphrase, salt, Aead);
    }

    /// <summary>What one guess of a passphrase costs.</summary>
    public readonly record struct Cost(long MemoryKiB, long Passes)
    {
        /// <summary>The second recommendation of RFC 9106 §4: 64 MiB, three passes.</summary>
        public static readonly Cost Recommended = new(65_536, 3);
    }
}

public sealed record SealedSeed(string Kdf, long MemoryKiB, long Passes, byte[] Salt, byte[] Nonce, byte[] Box)
{
    public const string Argon2id = "argon2id";
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = true, AllowDuplicateProperties = false)]
[JsonSerializable(typeof(KeyFile))]
internal sealed partial class KeyFileContext : JsonSerializerContext;
