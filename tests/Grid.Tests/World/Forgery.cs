using System.Collections.Immutable;
using Grid.Statements;
using Grid.Units;

namespace Grid.Tests.World;

/// <summary>
/// What a ledger that lies with its own key may record in the place of an agreement that it was sent: no proof of the log shows it, for the log's key
/// signs over it like over everything else.
/// </summary>
/// <param name="Make">the recorded bytes, of what user and farm signed, the user's key, the farm's, and chance</param>
public sealed record Forgery(string Name, string Code, Func<Statement, PublicKey, PublicKey, Random, byte[]> Make)
{
    public const string OfWhatWasSigned = "a flipped bit of what was signed";

    public static readonly ImmutableArray<Forgery> All =
    [
        new("a flipped bit of the user's signature", RefusalCode.BadSignature, (s, user, _, random) => Flip(s, user, random)),
        new("a flipped bit of the farm's signature", RefusalCode.BadSignature, (s, _, farm, random) => Flip(s, farm, random)),
        new("the user's signature left out", RefusalCode.SignatureMissing, (s, user, _, _) => s.Only(k => k != user).Bytes.ToArray()),
        new("a stranger's signature in the user's name", RefusalCode.BadSignature, (s, user, _, _) => ByStranger(s, user)),
        new("a stranger's signature in the farm's name", RefusalCode.BadSignature, (s, _, farm, _) => ByStranger(s, farm)),
        new(OfWhatWasSigned, RefusalCode.BadSignature, (s, _, _, random) => FlipSigned(s, random)),
        new("the flist by name", RefusalCode.MutableReference, (s, _, _, _) => ByName(s)),
    ];

    /// <summary>The same statement with its first flist's id exchanged for a name of the same length; whoever signed it did not sign this.</summary>
    public static byte[] ByName(Statement statement)
    {
        var bytes = statement.Bytes.ToArray();
        // CBOR: the text "flist", then 32 bytes; a text of 32 letters is as long.
        var at = bytes.AsSpan().IndexOf((byte[])[0x65, .. "flist"u8, 0x58, 0x20]) + 6;
        bytes[at] = 0x78;
        "hub.example/some/page/nginx:1.27"u8.CopyTo(bytes.AsSpan(at + 2));
        return bytes;
    }

    /// <summary>
    /// Without the word of a farm, which is for the farm to give or not: nothing is wrong with what was recorded, and it stays a proposal.
    /// </summary>
    public static byte[] WithoutFarm(Statement statement, PublicKey farm) => statement.Only(k => k != farm).Bytes.ToArray();

    // Not one that the format finds: these terms could be somebody's.
    private static byte[] FlipSigned(Statement statement, Random random)
    {
        while (true)
        {
            var bytes = statement.Bytes.ToArray();
            var signed = bytes.AsSpan(bytes.AsSpan().IndexOf(statement.PayloadBytes.Span), statement.PayloadBytes.Length);
            signed[random.Next(signed.Length)] ^= (byte)(1 << random.Next(8));
            try
            {
                Statement.Decode(bytes);
                return bytes;
            }
            catch (StatementFormatException)
            {
                // The next one.
            }
        }
    }

    private static byte[] Flip(Statement statement, PublicKey signer, Random random)
    {
        var signature = SignatureOf(statement, signer).ToArray();
        signature[random.Next(signature.Length)] ^= (byte)(1 << random.Next(8));
        return Replace(statement, signer, signature);
    }

    private static byte[] ByStranger(Statement statement, PublicKey signer)
    {
        using var stranger = SigningKey.FromSeed(Digest.Of("a stranger"u8).ToArray());
        return Replace(statement, signer, SignatureOf(Statement.Sign(statement.PayloadBytes.ToArray(), stranger), stranger.Public).ToArray());
    }

    private static ReadOnlyMemory<byte> SignatureOf(Statement statement, PublicKey signer) => statement.Signatures.Single(s => s.Key == signer).Value;

    private static byte[] Replace(Statement statement, PublicKey signer, byte[] signature)
    {
        var bytes = statement.Bytes.ToArray();
        signature.CopyTo(bytes.AsSpan(bytes.AsSpan().IndexOf(SignatureOf(statement, signer).Span)));
        return bytes;
    }
}
