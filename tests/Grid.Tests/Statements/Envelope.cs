using System.Collections.Immutable;
using Grid.Statements;

namespace Grid.Tests;

/// <summary>COSE_Sign by hand, every part of which can be made wrong: a second writing of RFC 9052, to hold the first against.</summary>
internal sealed record Envelope(byte[] Payload, ImmutableArray<string> Signers)
{
    public byte[] Tag { get; init; } = [0xd8, 98];

    public byte[] BodyHeader { get; init; } = Header("application/grid+cbor");

    public byte[] Unprotected { get; init; } = [0xa0];

    public string Context { get; init; } = "Signature";

    public byte[] ExternalAad { get; init; } = [];

    public bool KeepOrder { get; init; }

    public byte[] SignedPayload { get; init; } = Payload;

    public Func<SigningKey, byte[]> SignerHeader { get; init; } = k => [0xa2, 0x01, 0x27, 0x04, 0x58, 0x20, .. k.Public.Value.ToArray()];

    public Func<byte[], byte[]> Signature { get; init; } = s => s;

    public static byte[] Header(string contentType) => [0xa1, 0x03, .. RawCbor.Text(contentType).Encode()];

    public static byte[] Sign(byte[] payload, params string[] signers) => new Envelope(payload, [.. signers]).Encode();

    public byte[] Encode() => [.. Tag, .. Contents().Encode()];

    public RawCbor Contents()
    {
        var keys = Signers.Select(GoodStatements.Key);
        return RawCbor.List(
            RawCbor.Bytes(BodyHeader), new RawBytes(Unprotected), RawCbor.Bytes(Payload),
            RawCbor.List([.. (KeepOrder ? keys : keys.OrderBy(k => k.Public)).Select(Signer)]));
    }

    private RawCbor Signer(SigningKey key)
    {
        var header = SignerHeader(key);
        var signed = RawCbor.List(RawCbor.Text(Context), RawCbor.Bytes(BodyHeader), RawCbor.Bytes(header), RawCbor.Bytes(ExternalAad), RawCbor.Bytes(SignedPayload));
        return RawCbor.List(RawCbor.Bytes(header), new RawBytes(Unprotected), RawCbor.Bytes(Signature(key.Sign(signed.Encode()))));
    }
}
