using System.Security.Cryptography;
using System.Text;
using FsCheck.Fluent;
using Grid.Secrets;
using Grid.Units;
using NSec.Cryptography;

namespace Grid.Tests.Secrets;

/// <summary>What is sealed opens for one node, one account and one ledger, and for nobody else.</summary>
public sealed class SecretSealLaws
{
    private const string Ledger = GoodStatements.Origin;

    private static readonly AccountId User = new(Digest.Of("user"u8));
    private static readonly byte[] Author = SHA256.HashData("author"u8);

    [Fact]
    public void A_nodes_signing_key_is_one_key_for_agreeing_whichever_half_it_is_made_of() => Law.Holds(Gen.ArrayOf(Gen.Choose(0, 255), 32), bytes =>
    {
        byte[] seed = [.. bytes.Select(b => (byte)b)];
        using var signing = Statements.SigningKey.FromSeed(seed);
        using var agreeing = Key.Import(KeyAgreementAlgorithm.X25519, SealingKey.SecretOf(seed), KeyBlobFormat.RawPrivateKey);
        return agreeing.PublicKey.Export(KeyBlobFormat.RawPublicKey).AsSpan().SequenceEqual(SealingKey.PublicOf(signing.Public));
    });

    [Fact]
    public void Whatever_is_sealed_is_opened_again_and_is_sealed_the_same_way_twice() => Law.Holds(
        from length in Gen.Frequency((3, Gen.Choose(0, 300)), (1, Gen.Choose(SecretSeal.LargestValue - 70, SecretSeal.LargestValue)))
        from seed in Gen.Choose(0, int.MaxValue)
        select (length, seed), c =>
    {
        var value = new byte[c.length];
        new Random(c.seed).NextBytes(value);
        var bytes = Seal(value);
        Assert.True(SecretSeal.HasForm(bytes));
        Assert.Equal(bytes, Seal(value));
        Assert.Equal(value, Open(bytes));
        // Its length says only how many times 64 bytes hold it.
        Assert.Equal(48 + (c.length / 64 + 1) * 64, bytes.Length);
        return true;
    });

    [Fact]
    public void A_flipped_bit_anywhere_and_every_other_length_open_to_nothing()
    {
        var bytes = Seal("correct horse"u8);
        for (var bit = 0; bit < bytes.Length * 8; bit++)
        {
            var bent = bytes.ToArray();
            bent[bit / 8] ^= (byte)(1 << (bit % 8));
            // The highest bit of an X25519 key is nobody's (RFC 7748 §5), but here it is under the seal as well.
            Assert.Null(Open(bent));
        }
        for (var length = 0; length < bytes.Length; length++)
            Assert.Null(Open(bytes[..length]));
        Assert.Null(Open([.. bytes, .. new byte[64]]));
    }

    [Fact]
    public void What_was_copied_from_the_log_opens_for_no_other_account_node_or_ledger()
    {
        var bytes = Seal("correct horse"u8);
        Assert.Null(Open(bytes, user: new AccountId(Digest.Of("mallory"u8))));
        Assert.Null(Open(bytes, node: "another"));
        Assert.Null(Open(bytes, ledger: "grid.example/other"));
        Assert.NotNull(Open(bytes));
    }

    [Fact]
    public void Nothing_is_sealed_to_a_key_with_which_everybody_would_agree()
    {
        // The neutral element, the point of order two, and what is no point at all but the same coordinate.
        foreach (var y in (ReadOnlySpan<string>)["0100000000000000000000000000000000000000000000000000000000000000", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "0000000000000000000000000000000000000000000000000000000000000000"])
            Assert.Null(SecretSeal.Seal("x"u8, Ledger, User, new Statements.PublicKey(new Digest(Convert.FromHexString(y))), SHA256.HashData("once"u8)));
    }

    [Fact]
    public void Two_values_two_places_and_two_authors_never_share_a_key()
    {
        var node = GoodStatements.Key("node").Public;
        string Once(byte[] author, string place, string value) => Convert.ToHexString(SecretSeal.EphemeralOf(author, Ledger, User, node, place, Encoding.UTF8.GetBytes(value)));
        var all = from author in new[] { Author, SHA256.HashData("another"u8) } from place in new[] { "web/A", "web/B", "db/A" } from value in new[] { "", "x", "y" } select Once(author, place, value);
        Assert.Equal(18, all.Distinct().Count());
    }

    [Fact]
    public void A_value_that_is_too_long_is_not_cut() => Assert.Throws<ArgumentException>(() => Seal(new byte[SecretSeal.LargestValue + 1]));

    private static byte[] Seal(ReadOnlySpan<byte> value)
    {
        var node = GoodStatements.Key("node").Public;
        return SecretSeal.Seal(value, Ledger, User, node, SecretSeal.EphemeralOf(Author, Ledger, User, node, "web/TOKEN", value))!;
    }

    private static byte[]? Open(byte[] bytes, AccountId? user = null, string node = "node", string ledger = Ledger)
    {
        using var opener = new SecretOpener(SHA256.HashData(Encoding.UTF8.GetBytes(node)), ledger);
        return opener.Open(new Secret("TOKEN", bytes), user ?? User);
    }
}
