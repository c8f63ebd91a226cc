using System.Security.Cryptography;
using System.Text;
using Grid.Agreements;
using Grid.Logs;
using Grid.Statements;
using Grid.Tests.World;
using Grid.Units;

namespace Grid.Tests.Logs;

/// <summary>A log is told to the agreement's user and to nobody else, whoever carries it.</summary>
public sealed class SealedLogTests : IDisposable
{
    private readonly TestGrid _grid = new();
    private readonly Agreement _agreement;
    private readonly NodeId _node;
    private readonly byte[] _secret = SHA256.HashData("a secret of one request"u8);

    public SealedLogTests()
    {
        _node = _grid.Farms[0].Nodes[0].Id;
        _agreement = _grid.Run(_grid.Terms(_node));
    }

    private string Workload => _agreement.Version.Terms.On(_node).First().Name;

    public void Dispose() => _grid.Dispose();

    [Fact]
    public void The_user_by_as_many_keys_as_the_account_asks_for_may_read_and_nobody_else()
    {
        var policy = _grid.State.Accounts[_agreement.User].Policy;
        string[] keys = [.. new[] { "user-a", "user-b" }.Where(n => policy.Keys.Contains(_grid.Key(n).Public))];
        Assert.Null(Check(keys));
        Assert.Equal(RefusalCode.StrangerSigned, Check("stranger"));
        Assert.Equal(RefusalCode.StrangerSigned, Check([.. keys, "stranger"]));
        Assert.Equal(RefusalCode.StrangerSigned, Check("farm-0"));
        Assert.Equal(RefusalCode.SignatureMissing, Check());
        Assert.Equal(RefusalCode.SignatureMissing, Check([.. keys.Take(policy.Threshold - 1)]));
    }

    [Fact]
    public void A_request_is_for_one_ledger_one_workload_of_one_node_and_a_short_time()
    {
        var asked = Request();
        Assert.Null(Check(asked));
        Assert.Equal(RefusalCode.WrongLedger, Check(asked with { Ledger = "another/ledger" }));
        Assert.Equal(RefusalCode.Expired, Check(asked with { Until = _grid.Now }));
        Assert.Equal(RefusalCode.Expired, Check(asked with { Until = _grid.Now + LogRequest.LongestLife + TimeSpan.FromSeconds(1) }));
        Assert.Equal(RefusalCode.NotFound, Check(asked with { Workload = "other" }));
        Assert.Equal(RefusalCode.NotFound, Check(asked with { Node = _grid.Farms[^1].Nodes[^1].Id }));
        Assert.Equal(RefusalCode.NotFound, Check(asked with { Agreement = new AgreementId(Digest.Of("none"u8)) }));
    }

    [Fact]
    public void A_request_of_which_one_bit_is_bent_is_none_or_nobodys()
    {
        var bytes = Request().Sign(Keys);
        for (var bit = 0; bit < bytes.Length * 8; bit += 5)
        {
            var bent = bytes.ToArray();
            bent[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Throws<StatementFormatException>(() => LogRequest.Decode(bent));
        }
    }

    [Fact]
    public void What_is_answered_opens_for_the_one_who_asked_and_shows_nothing_to_the_carrier()
    {
        var request = LogRequest.Decode(Request().Sign(Keys));
        var piece = new LogPiece(Encoding.UTF8.GetBytes("2026-01-01T00:00:00Z stdout F a marker nobody else shall read\n"), new byte[16], More: true, Gap: false);
        var answer = LogAnswer.Seal(request, piece, SHA256.HashData("the node's"u8), _grid.Key("node"))!;

        var (read, no) = LogAnswer.Open(answer, request, _secret, _grid.Key("node").Public);
        Assert.Null(no);
        Assert.Equal((Encoding.UTF8.GetString(piece.Text.Span), true, false, 16), (Encoding.UTF8.GetString(read!.Text.Span), read.More, read.Gap, read.Next.Length));
        Assert.Equal(-1, answer.AsSpan().IndexOf("marker"u8));
        Assert.True(LogAnswer.IsBy(answer, request.Id, _grid.Key("node").Public));

        // Another's secret, another's signature, another's request, any bit.
        Assert.Throws<StatementFormatException>(() => LogAnswer.Open(answer, request, SHA256.HashData("a guess"u8), _grid.Key("node").Public));
        Assert.Throws<StatementFormatException>(() => LogAnswer.Open(answer, request, _secret, _grid.Key("another").Public));
        var other = LogRequest.Decode((Request() with { Tail = 1 }).Sign(Keys));
        Assert.Throws<StatementFormatException>(() => LogAnswer.Open(answer, other, _secret, _grid.Key("node").Public));
        for (var bit = 0; bit < answer.Length * 8; bit += 7)
        {
            var bent = answer.ToArray();
            bent[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Throws<StatementFormatException>(() => LogAnswer.Open(bent, request, _secret, _grid.Key("node").Public));
        }
    }

    [Fact]
    public void A_no_is_signed_too_and_a_key_with_which_everybody_agrees_gets_nothing()
    {
        var request = LogRequest.Decode(Request().Sign(Keys));
        var (piece, no) = LogAnswer.Open(LogAnswer.Refuse(request, new Refusal("some-code", "why"), _grid.Key("node")), request, _secret, _grid.Key("node").Public);
        Assert.Null(piece);
        Assert.Equal(("some-code", "why"), (no!.Code, no.Detail));
        var weak = LogRequest.Decode((Request() with { To = default }).Sign(Keys));
        Assert.Null(LogAnswer.Seal(weak, new LogPiece("x"u8.ToArray(), default, false, false), SHA256.HashData("the node's"u8), _grid.Key("node")));
    }

    private IEnumerable<SigningKey> Keys => [_grid.Key("user-a"), _grid.Key("user-b")];

    private LogRequest Request() => new(
        TestGrid.Origin, _agreement.Id, _node, Workload, LogAnswer.PublicOf(_secret), default, 10, _grid.Now.AddHours(-1), TimeSpan.FromSeconds(5), _grid.Now.AddMinutes(2));

    private string? Check(params string[] keys) => LogRequest.Decode(Request().Sign(keys.Select(_grid.Key))).Check(_grid.State, _grid.Now)?.Code;

    private string? Check(LogRequest request)
    {
        var read = LogRequest.Decode(request.Sign(Keys));
        Assert.Equal(request with { From = default }, read.Request with { From = default });
        return read.Check(_grid.State, _grid.Now)?.Code;
    }
}
