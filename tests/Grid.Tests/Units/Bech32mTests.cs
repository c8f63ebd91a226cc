using FsCheck.Fluent;
using Grid.Units;

namespace Grid.Tests;

/// <summary>The vectors of BIP 350, and what our own use of it adds: whole bytes and lower case only.</summary>
public sealed class Bech32mTests
{
    [Theory]
    [InlineData("a1lqfn3a", "a", "")]
    [InlineData("?1v759aa", "?", "")]
    [InlineData("an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6", "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber1", "")]
    [InlineData("abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx", "abcdef", "ffbbcdeb38bdab49ca307b9ac5a928398a418820")]
    [InlineData("split1checkupstagehandshakeupstreamerranterredcaperredlc445v", "split", "c5f38b70305f519bf66d85fb6cf03058f3dde463ecd7918f2dc743918f2d")]
    public void Valid_strings_give_their_bytes(string text, string prefix, string hex)
    {
        Assert.True(Bech32m.TryDecode(text, out var actual, out var data));
        Assert.Equal((prefix, hex), (actual, Convert.ToHexStringLower(data)));
        Assert.Equal(text, Bech32m.Encode(actual, data));
    }

    [Theory]
    [InlineData("\u00201xj0phk")]
    [InlineData("\u007f1g6xzxy")]
    [InlineData("\u00801vctc34")]
    [InlineData("qyrz8wqd2c9m")]
    [InlineData("1qyrz8wqd2c9m")]
    [InlineData("y1b0jsk6g")]
    [InlineData("lt1igcx5c0")]
    [InlineData("in1muywd")]
    [InlineData("mm1crxm3i")]
    [InlineData("au1s5cgom")]
    [InlineData("M1VUXWEZ")]
    [InlineData("16plkw9")]
    [InlineData("1p2gdwpf")]
    [InlineData("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")]
    [InlineData("tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq")]
    [InlineData("")]
    [InlineData(null)]
    public void Invalid_strings_are_refused(string? text) => Assert.False(Bech32m.TryDecode(text, out _, out _));

    [Theory]
    [InlineData("A1LQFN3A")] // capitals: an id has one form
    [InlineData("11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8")] // bits left over: not whole bytes
    public void Strings_that_are_valid_elsewhere_but_have_no_bytes_of_ours_are_refused(string text) => Assert.False(Bech32m.TryDecode(text, out _, out _));

    [Fact]
    public void Every_id_comes_back_from_its_text_and_from_no_other_kind() => Law.Holds(
        Gen.Choose(0, 255).Select(i => (byte)i).ArrayOf(32),
        bytes =>
        {
            var id = new NodeId(new Digest(bytes));
            return Id.TryParse<NodeId>(id.ToString(), out var read) && read == id && !Id.TryParse<FarmId>(id.ToString(), out _);
        });

    [Fact]
    public void One_wrong_letter_is_always_caught() => Law.Holds(
        from bytes in Gen.Choose(0, 255).Select(i => (byte)i).ArrayOf(32)
        from at in Gen.Choose(0, 62)
        from letter in Gen.Elements("qpzry9x8gf2tvdw0s3jn54khce6mua7l".ToCharArray())
        select (Id: new AgreementId(new Digest(bytes)).ToString(), at, letter),
        c => c.at >= c.Id.Length || c.Id[c.at] == c.letter || !Id.TryParse<AgreementId>($"{c.Id[..c.at]}{c.letter}{c.Id[(c.at + 1)..]}", out _));

    [Fact]
    public void A_wrong_kind_is_named_in_the_error()
    {
        var error = Assert.Throws<FormatException>(() => Id.Parse<FarmId>(new NodeId(Digest.Of([])).ToString()));
        Assert.Contains("names a node, where a farm is wanted", error.Message, StringComparison.Ordinal);
        Assert.Throws<FormatException>(() => Id.Parse<FarmId>("farm1x"));
    }
}
