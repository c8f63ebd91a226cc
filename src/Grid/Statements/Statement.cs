using System.Collections.Immutable;
using Grid.Units;

namespace Grid.Statements;

/// <param name="Key">who signed; travels as the COSE <c>kid</c></param>
/// <param name="Value">64 bytes, Ed25519 over the COSE <c>Sig_structure</c></param>
public sealed record Signature(PublicKey Key, ReadOnlyMemory<byte> Value);

/// <summary>
/// A signed payload: COSE_Sign (RFC 9052 §4.1), tag 98. Signers stand sorted by key and once each, unprotected headers are empty.
/// <code>
/// statement = #6.98([ protected: bstr .cbor { 3: "application/grid+cbor" }, {}, payload: bstr,
///                     [ 1*64 [ bstr .cbor { 1: -8, 4: bstr .size 32 }, {}, bstr .size 64 ] ] ])
/// id        = SHA-256(payload)
/// </code>
/// </summary>
public sealed class Statement
{
    public const int MaximumSize = 60_000;
    public const int MaximumSigners = 64;
    public const string ContentType = "application/grid+cbor";

    private const ulong CoseSignTag = 98;

    private static readonly byte[] BodyProtected = CanonicalWriter.Encode(w => w.Map(1, m => m.Key(3).Text(ContentType)));

    // Where the key stands in a Sig_structure: behind it come the external data and the payload, which are a byte each when they are empty.
    private static readonly int KeyPlace = ToBeSigned(default, default).Length - 2 - Digest.Size;

    private Statement(ReadOnlyMemory<byte> bytes, ReadOnlyMemory<byte> payloadBytes, Payload payload, ImmutableArray<Signature> signatures)
    {
        (Bytes, PayloadBytes, Payload, Signatures) = (bytes, payloadBytes, payload, signatures);
        Id = new StatementId(Digest.Of(payloadBytes.Span));
    }

    /// <summary>The exact bytes that were read or written.</summary>
    public ReadOnlyMemory<byte> Bytes { get; }

    public ReadOnlyMemory<byte> PayloadBytes { get; }

    public Payload Payload { get; }

    public ImmutableArray<Signature> Signatures { get; }

    public StatementId Id { get; }

    public IEnumerable<PublicKey> Signers => Signatures.Select(s => s.Key);

    /// <exception cref="StatementFormatException"/>
    public static Statement Decode(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Length > MaximumSize)
            throw new StatementFormatException(RefusalCode.TooLarge, $"A statement has at most {MaximumSize} bytes; this one has {bytes.Length}.");
        var (payload, signatures) = CanonicalReader.ReadAll(bytes, ReadEnvelope);
        return new Statement(bytes, payload, Payload.Decode(payload), signatures);
    }

    public static Statement Sign(Payload payload, params ReadOnlySpan<SigningKey> keys) => Sign(payload.Encode(), keys);

    public static Statement Sign(byte[] payloadBytes, params ReadOnlySpan<SigningKey> keys)
    {
        var signatures = ImmutableArray.CreateBuilder<Signature>(keys.Length);
        foreach (var key in keys)
            signatures.Add(new Signature(key.Public, key.Sign(ToBeSigned(key.Public, payloadBytes))));
        return Assemble(payloadBytes, signatures);
    }

    /// <summary>The same payload with the signatures of both, each signer once.</summary>
    /// <exception cref="ArgumentException">the payloads differ</exception>
    public Statement Merge(Statement other)
    {
        if (other.Id != Id)
            throw new ArgumentException("Only signatures over the same payload can be merged.", nameof(other));
        return Assemble(PayloadBytes, Signatures.Concat(other.Signatures).DistinctBy(s => s.Key));
    }

    /// <summary>The same payload with only those signatures whose key satisfies <paramref name="keep"/>.</summary>
    public Statement Only(Func<PublicKey, bool> keep) => Assemble(PayloadBytes, Signatures.Where(s => keep(s.Key)));

    /// <summary>Null when every signature verifies; stateless, so it can run on any thread.</summary>
    public Refusal? VerifySignatures()
    {
        // For all signers the same bytes but for the key, which is put in its place.
        var signed = ToBeSigned(Signatures[0].Key, PayloadBytes);
        foreach (var signature in Signatures)
        {
            signature.Key.Value.CopyTo(signed.AsSpan(KeyPlace));
            if (!signature.Key.Verify(signed, signature.Value.Span))
                return new Refusal(RefusalCode.BadSignature, $"The signature of {signature.Key} does not fit the payload.", "Sign the payload again with that key.");
        }
        return null;
    }

    private static Statement Assemble(ReadOnlyMemory<byte> payload, IEnumerable<Signature> signatures)
    {
        var sorted = signatures.OrderBy(s => s.Key).ToImmutableArray();
        var bytes = CanonicalWriter.Encode(w =>
        {
            w.Tag(CoseSignTag);
            w.ArrayOf(4, a =>
            {
                a.ByteString(BodyProtected);
                a.Map(0, _ => { });
                a.ByteString(payload.Span);
                a.Array(sorted, (s, signature) => s.ArrayOf(3, x =>
                {
                    x.ByteString(SignerProtected(signature.Key));
                    x.Map(0, _ => { });
                    x.ByteString(signature.Value.Span);
                }));
            });
        });
        return Decode(bytes);
    }

    private static (ReadOnlyMemory<byte> Payload, ImmutableArray<Signature> Signatures) ReadEnvelope(CanonicalReader r)
    {
        r.Tag(CoseSignTag);
        ReadOnlyMemory<byte> payload = default;
        ImmutableArray<Signature> signatures = [];
        r.Tuple(4, t =>
        {
            if (!t.ByteStringInPlace().Span.SequenceEqual(BodyProtected))
                throw CanonicalReader.Malformed($"The protected header must hold the content type {ContentType} and nothing else.");
            t.Map(_ => 0);
            payload = t.ByteStringInPlace();
            signatures = t.Set(MaximumSigners, ReadSigner, (a, b) => a.Key.CompareTo(b.Key));
        });
        return signatures.IsEmpty
            ? throw new StatementFormatException(RefusalCode.SignatureMissing, "A statement carries at least one signature.")
            : (payload, signatures);
    }

    private static Signature ReadSigner(CanonicalReader r)
    {
        Signature? signature = null;
        r.Tuple(3, t =>
        {
            var header = t.ByteStringInPlace();
            var key = CanonicalReader.ReadAll(header, ReadSignerHeader);
            t.Map(_ => 0);
            var value = t.ByteStringInPlace();
            if (value.Length != 64)
                throw CanonicalReader.Malformed($"An Ed25519 signature has 64 bytes, not {value.Length}.");
            signature = new Signature(key, value);
        });
        return signature!;
    }

    // A fixed shape, so it is compared as bytes: {1: -8, 4: kid} is A2 01 27 04 58 20 and the key.
    private static PublicKey ReadSignerHeader(CanonicalReader r)
    {
        var bytes = r.Encoded().Span;
        return bytes.Length == SignerPrefix.Length + Digest.Size && bytes.StartsWith(SignerPrefix)
            ? new PublicKey(new Digest(bytes[SignerPrefix.Length..]))
            : throw CanonicalReader.Malformed("A signer's protected header must be {1: -8 (EdDSA), 4: the 32-byte key}.");
    }

    private static ReadOnlySpan<byte> SignerPrefix => [0xa2, 0x01, 0x27, 0x04, 0x58, 0x20];

    private static byte[] SignerProtected(PublicKey key)
    {
        var bytes = new byte[SignerPrefix.Length + Digest.Size];
        SignerPrefix.CopyTo(bytes);
        key.Value.CopyTo(bytes.AsSpan(SignerPrefix.Length));
        return bytes;
    }

    // RFC 9052 §4.4: Sig_structure = ["Signature", body_protected, sign_protected, external_aad, payload].
    private static byte[] ToBeSigned(PublicKey key, ReadOnlyMemory<byte> payload) => CanonicalWriter.Encode(w => w.ArrayOf(5, a =>
    {
        a.Text("Signature");
        a.ByteString(BodyProtected);
        a.ByteString(SignerProtected(key));
        a.ByteString([]);
        a.ByteString(payload.Span);
    }), payload.Length + 128);
}
