using System.Security.Cryptography;
using Grid.Units;
using NSec.Cryptography;

namespace Grid.Secrets;

/// <summary>What opens the secrets that are sealed to one node. Its key is held in guarded memory.</summary>
public sealed class SecretOpener : IDisposable
{
    private readonly Key _key;
    private readonly string _ledger;

    /// <param name="seed">of the node's signing key, 32 bytes</param>
    /// <param name="ledger">the origin of the ledger whose agreements it opens secrets of</param>
    public SecretOpener(ReadOnlySpan<byte> seed, string ledger)
    {
        var secret = SealingKey.SecretOf(seed);
        _key = Key.Import(KeyAgreementAlgorithm.X25519, secret, KeyBlobFormat.RawPrivateKey);
        _ledger = ledger;
        CryptographicOperations.ZeroMemory(secret);
    }

    /// <returns>the value, which the caller wipes; null when it was not sealed to this node for this account, or was bent</returns>
    public byte[]? Open(Secret secret, AccountId user) => SecretSeal.Open(secret.Sealed.Span, _ledger, user, _key);

    public void Dispose() => _key.Dispose();
}
