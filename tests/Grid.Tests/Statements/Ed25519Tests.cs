using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Statements;
using Grid.Units;

namespace Grid.Tests;

/// <summary>
/// One rule set for signatures, frozen: a library that accepted one signature more or less would split the ledger from its auditors.
/// </summary>
public sealed class Ed25519Tests
{
    [Fact]
    public void Wycheproof_is_answered_exactly() => Assert.All(Vectors.Array("ed25519/wycheproof.json"), v =>
        Assert.Equal(v!.Text("result") == "valid", new PublicKey(new Digest(v!.Hex("key"))).Verify(v!.Hex("msg"), v!.Hex("sig"))));

    [Fact]
    public void The_accepted_edge_cases_are_frozen()
    {
        var accepted = Vectors.Array("ed25519/cctv.json").Where(Accepts).Select(v => v!.Number("number")).ToArray();
        if (Vectors.Write)
            Vectors.Save("ed25519/cctv-accepted.json", JsonSerializer.Serialize(accepted) + "\n");
        Assert.Equal(Vectors.Array("ed25519/cctv-accepted.json").Select(n => n!.GetValue<long>()), accepted);
    }

    [Fact]
    public void No_point_of_small_order_and_no_second_spelling_of_a_point_is_accepted() => Assert.All(
        Vectors.Array("ed25519/cctv.json").Where(Accepts),
        v => Assert.DoesNotContain(
            v!["flags"]?.AsArray() ?? [],
            f => f!.GetValue<string>() is "low_order_A" or "low_order_R" or "non_canonical_A" or "non_canonical_R" or "low_order_residue"));

    [Fact]
    public void A_key_signs_and_verifies_what_it_signed_only()
    {
        using var key = SigningKey.FromSeed(Convert.FromHexString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
        Assert.Equal("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", key.Public.Value.ToString());
        var signature = key.Sign([]);
        Assert.Equal("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b", Convert.ToHexStringLower(signature));
        Assert.True(key.Public.Verify([], signature));
        Assert.False(key.Public.Verify([0], signature));
        Assert.False(key.Public.Verify([], signature.AsSpan(..^1)));
    }

    private static bool Accepts(JsonNode? v) => new PublicKey(new Digest(v!.Hex("key"))).Verify(Encoding.UTF8.GetBytes(v!.Text("msg")), v!.Hex("sig"));
}
