using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Statements;

namespace Grid.Tests;

/// <summary>The files in <c>tests/vectors/statements</c>: written by what stands beside this, read as bytes that came from anywhere.</summary>
public sealed class StatementVectorTests
{
    private const string Ok = "ok";

    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static TheoryData<string> Files => [.. Body.KnownKinds, "envelope", "payload"];

    [Theory]
    [MemberData(nameof(Files))]
    public void Writing_the_vectors_again_changes_nothing(string file)
    {
        var text = $"[\n{string.Join(",\n", Make(file).Select(v => v.ToJsonString(Plain)))}\n]\n";
        if (Vectors.Write)
            Vectors.Save($"statements/{file}.json", text);
        Assert.Equal(text, File.ReadAllText(Path.Combine(Vectors.Folder, $"statements/{file}.json")));
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Every_vector_is_answered_as_it_says(string file) => Assert.All(Vectors.Array($"statements/{file}.json"), v =>
    {
        var bytes = v!.Hex("hex");
        Assert.Equal((v!.Text("name"), v!.Text("expect")), (v!.Text("name"), Answer(bytes)));
        if (v!.Text("expect") != Ok)
            return;
        var statement = Statement.Decode(bytes);
        Assert.Equal(v!.Text("id"), statement.Id.ToString());
        Assert.Equal(statement.PayloadBytes.ToArray(), statement.Payload.Encode());
        var keys = v!["signers"]!.AsArray().Select(s => GoodStatements.Key(s!.GetValue<string>())).ToArray();
        Assert.Equal(bytes, Statement.Sign(statement.Payload, keys).Bytes.ToArray());
    });

    [Fact]
    public void Every_kind_has_a_good_statement_and_several_bad_ones()
    {
        foreach (var kind in Body.KnownKinds)
        {
            var expected = Vectors.Array($"statements/{kind}.json").Select(v => v!.Text("expect")).ToArray();
            Assert.Contains(Ok, expected);
            Assert.True(expected.Count(e => e != Ok) >= 8, $"{kind} has too few bad statements");
        }
        Assert.Equal(Files.Count, Directory.GetFiles(Path.Combine(Vectors.Folder, "statements")).Length);
    }

    // What the writers can write, out to their limits: the schema and the reader in another language must know all of it.
    [Fact]
    public void Payloads_of_every_kind_are_written_down_for_other_readers()
    {
        var payloads = Body.KnownKinds.SelectMany(kind => Enumerable.Range(0, 1000).Select(seed => new AnyBody(new Random(seed)).Payload(kind).Encode())
            .Where(p => p.Length < 4000).Take(12)).Select(p => Convert.ToHexStringLower(p));
        var text = $"[\n{string.Join(",\n", payloads.Select(p => $"\"{p}\""))}\n]\n";
        if (Vectors.Write)
            Vectors.Save("payloads/any.json", text);
        Assert.Equal(text, File.ReadAllText(Path.Combine(Vectors.Folder, "payloads/any.json")));
    }

    private static IEnumerable<JsonObject> Make(string file)
    {
        foreach (var good in GoodStatements.All().Where(g => g.Payload.Body.Kind == file))
        {
            var bytes = good.Encode();
            yield return new JsonObject
            {
                ["name"] = good.Name,
                ["expect"] = Ok,
                ["id"] = Statement.Decode(bytes).Id.ToString(),
                ["signers"] = new JsonArray([.. good.Signers.Select(s => JsonValue.Create(s))]),
                ["payload"] = RawCbor.Read(good.Payload.Encode()).ToJson(),
                ["hex"] = Convert.ToHexStringLower(bytes),
            };
        }
        var bad = file switch
        {
            "envelope" => BadStatements.OfEnvelopes(),
            "payload" => BadStatements.OfPayloads(),
            _ => GoodStatements.All().Where(g => g.Payload.Body.Kind == file).SelectMany(BadStatements.Of),
        };
        foreach (var statement in bad)
            yield return new JsonObject { ["name"] = statement.Name, ["expect"] = statement.Expect, ["hex"] = Convert.ToHexStringLower(statement.Bytes) };
    }

    private static string Answer(byte[] bytes)
    {
        try
        {
            return Statement.Decode(bytes).VerifySignatures()?.Code ?? Ok;
        }
        catch (StatementFormatException e)
        {
            return e.Code;
        }
    }
}
