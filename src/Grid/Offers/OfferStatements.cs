using System.Collections.Immutable;
using Grid.Statements;
using Grid.Units;

namespace Grid.Offers;

/// <summary>
/// A farmer's price list and conditions; by the farm's account.
/// <code>
/// offer.post = { "farm": farm-id, "kinds": [*16 text], ? "nodes": [1*1000 node-id], "notice": seconds, "prices": prices, "ceiling": capacity,
///                "expires": time, "currency": currency }
/// prices     = { "cpu": uint, "hdd": uint, "ssd": uint, "ipv4": uint, "memory": uint }
///              ; smallest units per second: per millicore, per GiB hdd, per GiB ssd, per address, per GiB memory
/// currency   = { "code": text, "decimals": 0..18 }
/// </code>
/// </summary>
/// <param name="Nodes">the farm's nodes it holds for; empty when it holds for all</param>
/// <param name="Ceiling">the most that one agreement may take of this farm in all</param>
/// <param name="Notice">how long before an end the farmer must announce it</param>
public sealed record PostOffer(
    FarmId Farm, ImmutableArray<NodeId> Nodes, ImmutableArray<string> Kinds, Prices Prices, Currency Currency,
    Capacity Ceiling, TimeSpan Notice, DateTimeOffset Expires) : Body
{
    public const string Name = "offer.post";

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(Nodes.IsEmpty ? 7 : 8, m =>
    {
        m.Key("farm").Id(Farm);
        m.Key("kinds").Array(Kinds, (a, k) => a.Text(k));
        if (!Nodes.IsEmpty)
            m.Key("nodes").Array(Nodes, (a, n) => a.Id(n));
        m.Key("notice").Seconds(Notice);
        m.Key("prices");
        Prices.Write(m);
        m.Key("expires").Time(Expires);
        m.Key("ceiling");
        CapacityFields.Write(m, Ceiling);
        m.Key("currency");
        Currency.Write(m);
    });

    internal static PostOffer Read(CanonicalReader r) => r.Map(m =>
    {
        var farm = m.Field("farm").Id<FarmId>();
        var kinds = m.Field("kinds").Set(16, k => k.Text(32), CanonicalReader.Order);
        var named = m.TryField("nodes");
        var nodes = named ? m.Set(1000, n => n.Id<NodeId>(), (a, b) => a.Value.CompareTo(b.Value)) : [];
        // Absent is the one form of "all".
        if (named && nodes.IsEmpty)
            throw CanonicalReader.Malformed("An offer names at least one node, or leaves 'nodes' out.");
        var notice = m.Field("notice").Seconds();
        var prices = Prices.Read(m.Field("prices"));
        var ceiling = CapacityFields.Read(m.Field("ceiling"));
        var expires = m.Field("expires").Time();
        return new PostOffer(farm, nodes, kinds, prices, Currency.Read(m.Field("currency")), ceiling, notice, expires);
    });

    public bool Equals(PostOffer? other) => other is not null
        && (Farm, Prices, Currency, Ceiling, Notice, Expires) == (other.Farm, other.Prices, other.Currency, other.Ceiling, other.Notice, other.Expires)
        && Nodes.AsSpan().SequenceEqual(other.Nodes.AsSpan()) && Kinds.AsSpan().SequenceEqual(other.Kinds.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Farm, Prices, Currency, Ceiling, Notice, Expires);
}

/// <summary>
/// Stops new agreements under an offer, never running ones; by the farm's account.
/// <code>offer.withdraw = { "offer": offer-id }</code>
/// </summary>
public sealed record WithdrawOffer(OfferId Offer) : Body
{
    public const string Name = "offer.withdraw";

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(1, m => m.Key("offer").Id(Offer));

    internal static WithdrawOffer Read(CanonicalReader r) => r.Map(m => new WithdrawOffer(m.Field("offer").Id<OfferId>()));
}

/// <summary>A currency by its code and the number of decimals of its smallest unit: EUR with 9 is counted in billionths of a euro.</summary>
public sealed record Currency(string Code, int Decimals)
{
    public void Write(CanonicalWriter w) => w.Map(2, m =>
    {
        m.Key("code").Text(Code);
        m.Key("decimals").UInt(Decimals);
    });

    internal static Currency Read(CanonicalReader r) => r.Map(m =>
    {
        var code = m.Field("code").Text(16);
        if (code.Length < 2 || !code.All(c => char.IsAsciiLetterUpper(c) || char.IsAsciiDigit(c)))
            throw CanonicalReader.Malformed("A currency's code has 2–16 capital letters and digits.");
        return new Currency(code, (int)m.Field("decimals").UInt(18));
    });

    public override string ToString() => Code;
}
