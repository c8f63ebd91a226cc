using Grid.Accounts;
using Grid.Statements;
using Grid.Units;

namespace Grid.Api.Tests;

public sealed class KeyLimitTests
{
    [Fact]
    public void Who_signs_too_much_uses_up_nothing_of_those_who_signed_with_them()
    {
        const int Held = 2;
        using var limit = new KeyLimit(rate: 1);
        using var one = SigningKey.FromSeed(Digest.Of("one"u8).ToArray());
        using var two = SigningKey.FromSeed(Digest.Of("two"u8).ToArray());
        // Signers stand in order, and the first is asked first.
        var (other, busy) = one.Public < two.Public ? (one, two) : (two, one);
        var number = 0;
        Statement[] alone = [.. Many(Held, busy)], together = [.. Many(20, busy, other)], afterwards = [.. Many(Held, other)];
        Assert.All(alone, s => Assert.Null(limit.Count(s)));
        // None, unless a second has passed meanwhile and the busy key may sign again.
        var taken = together.Count(s => limit.Count(s) is null);
        Assert.InRange(taken, 0, Held);
        Assert.InRange(afterwards.Count(s => limit.Count(s) is null), Held - taken, Held);

        IEnumerable<Statement> Many(int count, params SigningKey[] keys) => Enumerable.Range(0, count).Select(_ =>
        {
            var now = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000 + number++);
            return Statement.Sign(new Payload("grid.test/main", null, now, now.AddHours(1), new OpenAccount(new KeyPolicy([.. keys.Select(k => k.Public).Order()], 1))), keys);
        });
    }
}
