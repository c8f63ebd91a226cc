using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Secrets;
using Grid.Units;

namespace Grid.Tests.Secrets;

/// <summary><c>tests/vectors/secrets.json</c>: values and what they are sealed as, for readers in other languages. The account is its id's bytes; the node's key has the seed SHA-256("node").</summary>
public sealed class SecretVectors
{
    private static readonly JsonSerializerOptions Indented = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = true };
    private static readonly AccountId User = new(Digest.Of("user"u8));
    private static readonly byte[] Author = SHA256.HashData("author"u8);

    [Fact]
    public void Writing_them_again_changes_nothing_and_each_opens_as_it_says()
    {
        var all = new JsonArray([.. Cases()]);
        foreach (var one in all.Select(o => o!))
        {
            using var opener = new SecretOpener(SHA256.HashData("node"u8), one.Text("ledger"));
            var value = opener.Open(new Secret("TOKEN", one.Hex("sealed")), new AccountId(new Digest(one.Hex("user"))));
            Assert.Equal((one.Text("name"), one["value"]?.GetValue<string>()), (one.Text("name"), value is null ? null : Convert.ToHexStringLower(value)));
        }
        if (Vectors.Write)
            Vectors.Save("secrets.json", all.ToJsonString(Indented) + "\n");
        Assert.True(JsonNode.DeepEquals(all, Vectors.Node("secrets.json")));
    }

    private static IEnumerable<JsonObject> Cases()
    {
        foreach (var (name, value) in new[] { ("nothing", ""), ("a password", "correct horse battery staple"), ("63 bytes", new string('a', 63)), ("64 bytes", new string('a', 64)) })
            yield return Case(name, value, Seal(value));
        var good = Seal("a secret");
        yield return Change(Case("for another account", null, good), "user", $"{Digest.Of("mallory"u8)}");
        yield return Change(Case("of another ledger", null, good), "ledger", "grid.example/other");
        yield return Case("a bit of the key flipped", null, [(byte)(good[0] ^ 1), .. good[1..]]);
        yield return Case("a bit of the tag flipped", null, [.. good[..^1], (byte)(good[^1] ^ 1)]);
        yield return Case("cut by a block", null, good[..^64]);
        yield return Case("a byte behind it", null, [.. good, 0]);
        yield return Case("a key of small order", null, [.. new byte[32], .. good[32..]]);
    }

    private static JsonObject Case(string name, string? value, byte[] bytes) => new()
    {
        ["name"] = name,
        ["ledger"] = GoodStatements.Origin,
        ["user"] = $"{User.Value}",
        ["node"] = "node",
        ["value"] = value is null ? null : Convert.ToHexStringLower(Encoding.UTF8.GetBytes(value)),
        ["sealed"] = Convert.ToHexStringLower(bytes),
    };

    private static JsonObject Change(JsonObject one, string field, string value)
    {
        one[field] = value;
        return one;
    }

    private static byte[] Seal(string value)
    {
        var (node, bytes) = (GoodStatements.Key("node").Public, Encoding.UTF8.GetBytes(value));
        return SecretSeal.Seal(bytes, GoodStatements.Origin, User, node, SecretSeal.EphemeralOf(Author, GoodStatements.Origin, User, node, "web/TOKEN", bytes))!;
    }
}
