using FsCheck.Fluent;
using Grid.Farms;
using Grid.Statements;
using Grid.Units;

namespace Grid.Tests;

public sealed class StatementTests
{
    public static TheoryData<string> Kinds => [.. Body.KnownKinds];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_body_comes_back_from_its_bytes(string kind) => Law.Holds(Gen.Choose(0, int.MaxValue), seed =>
    {
        var payload = new AnyBody(new Random(seed)).Payload(kind);
        var bytes = payload.Encode();
        var read = Payload.Decode(bytes);
        return read == payload && read.Encode().AsSpan().SequenceEqual(bytes);
    });

    // What the strict reader takes is what the writer would have written: nothing has two forms.
    [Theory]
    [MemberData(nameof(Kinds))]
    public void Changed_bytes_are_refused_or_are_the_one_form_of_something_else(string kind) => Law.Holds(Gen.Choose(0, int.MaxValue), seed =>
    {
        var random = new Random(seed);
        var bytes = new AnyBody(random).Payload(kind).Encode();
        for (var round = 0; round < 20; round++)
        {
            var changed = bytes.ToArray();
            for (var i = random.Next(1, 4); i > 0; i--)
                changed[random.Next(changed.Length)] ^= (byte)(1 << random.Next(8));
            try
            {
                if (!Payload.Decode(changed).Encode().AsSpan().SequenceEqual(changed))
                    return false;
            }
            catch (StatementFormatException)
            {
            }
        }
        return true;
    }, 100);

    [Fact]
    public void No_flipped_bit_of_a_statement_is_accepted()
    {
        var random = new Random(20);
        foreach (var good in GoodStatements.All().Select(g => g.Encode()))
        {
            for (var round = 0; round < 200; round++)
            {
                var flipped = good.ToArray();
                flipped[random.Next(flipped.Length)] ^= (byte)(1 << random.Next(8));
                Assert.False(Accepts(flipped), Convert.ToHexString(flipped));
            }
        }
    }

    [Fact]
    public void Noise_is_refused_and_nothing_else_happens()
    {
        var random = new Random(21);
        for (var round = 0; round < 3000; round++)
        {
            var noise = new byte[random.Next(200)];
            random.NextBytes(noise);
            Assert.False(Accepts(noise));
            Assert.False(Accepts([0xd8, 98, 0x84, .. noise]));
        }
    }

    [Fact]
    public void Deep_nesting_is_refused()
    {
        var deep = Enumerable.Repeat((byte)0x81, 50_000).Append((byte)0).ToArray();
        Assert.False(Accepts(deep));
        var payload = ((RawMap)RawCbor.Read(GoodStatements.All().First().Payload.Encode())).With(_ => new RawBytes(deep), "body");
        Assert.False(Accepts(Envelope.Sign(payload.Encode(), "ledger")));
    }

    [Fact]
    public void A_statement_has_at_most_60_000_bytes()
    {
        var bytes = new byte[Statement.MaximumSize + 1];
        Assert.Equal(RefusalCode.TooLarge, Assert.Throws<StatementFormatException>(() => Statement.Decode(bytes)).Code);
    }

    [Fact]
    public void Signatures_merge_in_one_order_whoever_comes_first()
    {
        var payload = GoodStatements.All().Single(g => g.Name == "account.open").Payload;
        Statement By(params string[] names) => Statement.Sign(payload, [.. names.Select(GoodStatements.Key)]);
        var all = By("alice", "bob", "carol");
        Assert.Equal(all.Bytes.ToArray(), By("carol").Merge(By("bob", "alice")).Bytes.ToArray());
        Assert.Equal(all.Bytes.ToArray(), By("alice", "bob").Merge(By("bob", "carol")).Bytes.ToArray());
        Assert.Equal(By("bob").Bytes.ToArray(), all.Only(k => k == GoodStatements.Key("bob").Public).Bytes.ToArray());
        Assert.All([By("alice"), By("bob"), all], s => Assert.Equal(all.Id, s.Id));
        var other = Statement.Sign(payload with { Body = new RegisterFarm("other") }, GoodStatements.Key("bob"));
        Assert.Throws<ArgumentException>(() => all.Merge(other));
    }

    [Fact]
    public void The_id_is_the_hash_of_the_payload_alone()
    {
        var statement = Statement.Decode(GoodStatements.All().First().Encode());
        Assert.Equal(Digest.Of(statement.PayloadBytes.Span), statement.Id.Value);
    }

    private static bool Accepts(byte[] bytes)
    {
        try
        {
            return Statement.Decode(bytes).VerifySignatures() is null;
        }
        catch (StatementFormatException)
        {
            return false;
        }
    }
}
