using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Logs;
using Grid.Statements;
using Grid.Units;

namespace Grid.Tests.Logs;

/// <summary>
/// <c>tests/vectors/logs</c>: requests for logs and their sealed answers as bytes, for readers in other languages. Keys that sign have the seed SHA-256(name); the two
/// X25519 secrets are written down.
/// </summary>
public sealed class SealedLogVectors
{
    private const string RequestContext = "grid log request 1\0", AnswerContext = "grid log answer 1\0";

    private static readonly JsonSerializerOptions Indented = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = true };
    private static readonly byte[] Asking = SHA256.HashData("who asks"u8), Answering = SHA256.HashData("who answers"u8);
    private static readonly string[] Users = ["alice", "bob"];

    private static readonly LogRequest Good = new(
        GoodStatements.Origin, new AgreementId(Digest.Of("agreement"u8)), new NodeId(Digest.Of("node"u8)), "web", LogAnswer.PublicOf(Asking), new byte[] { 1, 2, 3 }, 20,
        GoodStatements.Issued, TimeSpan.FromSeconds(5), GoodStatements.Issued.AddMinutes(2));

    private static readonly LogPiece Piece = new("2027-01-15T08:00:00.5Z stdout F only for alice and bob\n"u8.ToArray(), new byte[] { 7, 7 }, More: true, Gap: false);

    [Fact]
    public void Writing_the_requests_again_changes_nothing_and_each_is_answered_as_it_says() => Compare("logs/requests.json", Requests(), bytes => LogRequest.Decode(bytes));

    [Fact]
    public void Writing_the_answers_again_changes_nothing_and_each_is_read_as_it_says()
    {
        var request = LogRequest.Decode(Good.Sign(Users.Select(GoodStatements.Key)));
        Compare("logs/answers.json", Answers(request), bytes => LogAnswer.Open(bytes, request, Asking, GoodStatements.Key("node").Public));
    }

    private static void Compare(string file, IEnumerable<JsonObject> cases, Action<byte[]> read)
    {
        var all = new JsonArray([.. cases]);
        foreach (var one in all)
        {
            var refused = Record.Exception(() => read(one!.Hex("hex")));
            Assert.Equal((one!.Text("name"), one!.Text("expect")), (one!.Text("name"), refused is null ? "ok" : Assert.IsType<StatementFormatException>(refused).Code));
        }
        if (Vectors.Write)
            Vectors.Save(file, all.ToJsonString(Indented) + "\n");
        Assert.True(JsonNode.DeepEquals(all, Vectors.Node(file)));
    }

    private static IEnumerable<JsonObject> Requests()
    {
        var good = Good.Sign(Users.Select(GoodStatements.Key));
        var body = (RawMap)RawCbor.Read(((RawString)((RawList)RawCbor.Read(good)).Items[0]).Value);
        yield return Case("a request", "ok", good, ("request", body.ToJson()), ("id", $"{Digest.Of(good)}"), ("signers", new JsonArray([.. Users.Select(n => (JsonNode)n)])));
        yield return Case("a request of nobody, from the beginning", "ok", (Good with { From = default, Tail = null, Since = null }).Sign());
        foreach (var (name, expect, bent) in Bent(body, "from"))
            yield return Case(name, expect, Signed(bent));
        (string Name, string Expect, RawCbor Body)[] fields =
        [
            ("a wait of 21 seconds", RefusalCode.TooLarge, body.With(_ => RawCbor.UInt(21), "wait")),
            ("a place of 65 bytes", RefusalCode.TooLarge, body.With(_ => RawCbor.Bytes(new byte[65]), "from")),
            ("a workload's name of 65 letters", RefusalCode.TooLarge, body.With(_ => RawCbor.Text(new string('w', 65)), "workload")),
        ];
        foreach (var (name, expect, field) in fields)
            yield return Case(name, expect, Signed(field.Encode()));
        var (request, list) = (body.Encode(), (RawList)RawCbor.Read(good));
        yield return Case("a byte behind it", RefusalCode.Malformed, [.. good, 0]);
        yield return Case("cut short", RefusalCode.Malformed, good[..^1]);
        yield return Case("three parts", RefusalCode.Malformed, (list with { Items = list.Items.Add(RawCbor.UInt(0)) }).Encode());
        yield return Case("signers not sorted", RefusalCode.Malformed, list.With(s => ((RawList)s) with { Items = [.. ((RawList)s).Items.Reverse()] }, 1).Encode());
        yield return Case("a signer twice", RefusalCode.Malformed, list.With(s => ((RawList)s) with { Items = ((RawList)s).Items.Insert(0, ((RawList)s).Items[0]) }, 1).Encode());
        yield return Case("a signature of 63 bytes", RefusalCode.Malformed, list.With(s => RawCbor.Bytes(((RawString)s).Value.AsSpan(0, 63)), 1, 0, 1).Encode());
        yield return Case("a bit of a signature flipped", RefusalCode.BadSignature, list.With(s => RawCbor.Bytes([(byte)(((RawString)s).Value[0] ^ 1), .. ((RawString)s).Value[1..]]), 1, 0, 1).Encode());
        yield return Case("signed as an answer", RefusalCode.BadSignature, Signed(request, AnswerContext));
        yield return Case("signed without a context", RefusalCode.BadSignature, Signed(request, ""));
        yield return Case("longer than 12,000 bytes", RefusalCode.TooLarge, new byte[LogRequest.MaximumSize + 1]);
    }

    private static IEnumerable<JsonObject> Answers(SignedLogRequest request)
    {
        var node = GoodStatements.Key("node");
        var good = LogAnswer.Seal(request, Piece, Answering, node)!;
        var body = (RawMap)RawCbor.Read(((RawString)((RawList)RawCbor.Read(good)).Items[0]).Value);
        yield return Case("an answer", "ok", good, ("request", $"{request.Id}"), ("to", Convert.ToHexStringLower(Asking)), ("node", "node"), ("text", Encoding.UTF8.GetString(Piece.Text.Span)),
            ("next", Convert.ToHexStringLower(Piece.Next.Span)), ("more", 1), ("gap", 0));
        yield return Case("a no", "ok", LogAnswer.Refuse(request, new Refusal(RefusalCode.NotFound, "There is no log."), node), ("request", $"{request.Id}"), ("node", "node"), ("code", RefusalCode.NotFound));
        foreach (var (name, expect, bent) in Bent(body, "sealed"))
            yield return Case(name, expect, Answered(bent));
        var other = (Good with { Tail = 1 }).Sign(Users.Select(GoodStatements.Key));
        (string Name, string Expect, byte[] Bytes)[] cases =
        [
            ("the answer to another request", RefusalCode.Inconsistent, LogAnswer.Seal(LogRequest.Decode(other), Piece, Answering, node)!),
            ("sealed for another request", RefusalCode.Malformed, Answered(((RawMap)RawCbor.Read(((RawString)((RawList)RawCbor.Read(
                LogAnswer.Seal(LogRequest.Decode(other), Piece, Answering, node)!)).Items[0]).Value)).With(_ => body["request"], "request").Encode())),
            ("a bit of what is sealed flipped", RefusalCode.Malformed, Answered(body.With(s => RawCbor.Bytes([(byte)(((RawString)s).Value[0] ^ 1), .. ((RawString)s).Value[1..]]), "sealed").Encode())),
            ("the seal's tag cut", RefusalCode.Malformed, Answered(body.With(s => RawCbor.Bytes(((RawString)s).Value.AsSpan()[..^1]), "sealed").Encode())),
            ("a yes with nothing sealed", RefusalCode.Malformed, Answered(body.With(_ => RawCbor.Bytes(), "sealed").Encode())),
            ("a key of small order", RefusalCode.Malformed, Answered(body.With(_ => RawCbor.Bytes(new byte[32]), "key").Encode())),
            ("signed by another node", RefusalCode.BadSignature, LogAnswer.Seal(request, Piece, Answering, GoodStatements.Key("another"))!),
            ("signed as a request", RefusalCode.BadSignature, Answered(body.Encode(), RequestContext)),
            ("a byte behind it", RefusalCode.Malformed, [.. good, 0]),
            ("cut short", RefusalCode.Malformed, good[..^1]),
        ];
        foreach (var (name, expect, bytes) in cases)
            yield return Case(name, expect, bytes);
    }

    /// <param name="free">a field whose length is nobody's matter here</param>
    private static IEnumerable<(string Name, string Expect, byte[] Bytes)> Bent(RawMap body, string free) =>
        from change in BadStatements.OfFields(body, [])
        where change.Name != $"{free} a byte short"
        // What stands in another's place is not the field that is wanted there.
        select (change.Name, change.Name is "fields not sorted" ? RefusalCode.MissingField : change.Expect, change.Apply(body).Encode());

    private static JsonObject Case(string name, string expect, byte[] bytes, params (string Name, JsonNode? Value)[] more)
    {
        var one = new JsonObject { ["name"] = name, ["expect"] = expect };
        foreach (var (key, value) in more)
            one[key] = value;
        one["hex"] = Convert.ToHexStringLower(bytes);
        return one;
    }

    private static byte[] Signed(byte[] request, string context = RequestContext) => RawCbor.List(RawCbor.Bytes(request), RawCbor.List(
    [
        .. Users.Select(GoodStatements.Key).OrderBy(k => k.Public)
            .Select(k => RawCbor.List(RawCbor.Bytes(Convert.FromHexString($"{k.Public.Value}")), RawCbor.Bytes(k.Sign([.. Encoding.UTF8.GetBytes(context), .. request])))),
    ])).Encode();

    private static byte[] Answered(byte[] body, string context = AnswerContext) =>
        RawCbor.List(RawCbor.Bytes(body), RawCbor.Bytes(GoodStatements.Key("node").Sign([.. Encoding.UTF8.GetBytes(context), .. body]))).Encode();
}
