using System.Collections.Immutable;
using Grid.Addresses;
using Grid.Gateways;
using Grid.Networks;
using Grid.Offers;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Agreements;

/// <summary>
/// What user and farmers sign, one version of it, whole. There is no other form of consent.
/// <code>
/// agreement = { "note": text, "term": term, "user": account-id, "farms": [1*64 farm-part], "money": money,
///               ? "amends": { "digest": statement-id, "agreement": agreement-id }, "version": uint, "workloads": [1*1000 workload] }
///             ; farms sorted by id, workloads by name; "amends" from version 2 on
/// farm-part = { "farm": farm-id, "nodes": [1*1000 node-id], "offer": offer-id }
/// </code>
/// </summary>
public sealed record AgreementTerms(
    int Version, Amends? Amends, AccountId User, ImmutableArray<FarmPart> Farms, Term Term, MoneyTerms Money,
    ImmutableArray<Workload> Workloads, string Note) : Body
{
    public const string Name = "agreement";

    public override string Kind => Name;

    public IEnumerable<NodeId> Nodes => Farms.SelectMany(f => f.Nodes);

    public IEnumerable<Placed> Placed => Workloads.OfType<Placed>();

    public IEnumerable<Gateway> Gateways => Workloads.OfType<Gateway>();

    public IEnumerable<PublicAddress> Addresses => Workloads.OfType<PublicAddress>();

    /// <summary>The workloads on one node.</summary>
    public IEnumerable<Placed> On(NodeId node) => Placed.Where(w => w.Node == node);

    /// <summary>The tunnels that a node must publish before it is ready, sorted.</summary>
    public ImmutableArray<Membership> MembershipsOn(NodeId node) => [.. On(node).SelectMany(w => w.Networks.Select(a => new Membership(a.Network, w.Name))).Order()];

    /// <summary>What a node must be able to do.</summary>
    public IEnumerable<string> KindsOn(NodeId node) => On(node).SelectMany(w => w.Networks.IsEmpty ? [w.Kind] : (string[])[w.Kind, Network.KindName]).Distinct();

    /// <summary>What this version takes of one node.</summary>
    public Capacity DemandOn(NodeId node) => On(node).Aggregate(Capacity.None, (sum, w) => sum + w.Demand);

    public override void Write(CanonicalWriter w) => w.Map(Amends is null ? 7 : 8, m =>
    {
        m.Key("note").Text(Note);
        m.Key("term");
        Term.Write(m);
        m.Key("user").Id(User);
        m.Key("farms").Array(Farms, (a, f) => f.Write(a));
        m.Key("money");
        Money.Write(m);
        if (Amends is { } amends)
        {
            m.Key("amends").Map(2, x =>
            {
                x.Key("digest").Id(amends.Digest);
                x.Key("agreement").Id(amends.Agreement);
            });
        }
        m.Key("version").UInt(Version);
        m.Key("workloads").Array(Workloads, (a, x) => x.Write(a));
    });

    internal static AgreementTerms Read(CanonicalReader r) => r.Map(m =>
    {
        var note = m.Field("note").Text(1000);
        var term = Term.Read(m.Field("term"));
        var user = m.Field("user").Id<AccountId>();
        var farms = m.Field("farms").Set(64, FarmPart.Read, (a, b) => a.Farm.Value.CompareTo(b.Farm.Value));
        var money = MoneyTerms.Read(m.Field("money"));
        Amends? amends = null;
        if (m.TryField("amends"))
        {
            amends = m.Map(x =>
            {
                var digest = x.Field("digest").Id<StatementId>();
                return new Amends(x.Field("agreement").Id<AgreementId>(), digest);
            });
        }
        var version = (int)m.Field("version").UInt(1_000_000);
        if (version < 1 || (version == 1) != (amends is null))
            throw CanonicalReader.Malformed("Version 1 amends nothing; every later version says what it amends.");
        var workloads = m.Field("workloads").Set(1000, Workload.ReadAny, (a, b) => CanonicalReader.Order(a.Name, b.Name));
        return farms.IsEmpty || workloads.IsEmpty
            ? throw CanonicalReader.Malformed("An agreement names at least one farm and one workload.")
            : new AgreementTerms(version, amends, user, farms, term, money, workloads, note);
    });

    public bool Equals(AgreementTerms? other) => other is not null && CanonicalWriter.Encode(Write).AsSpan().SequenceEqual(CanonicalWriter.Encode(other.Write));

    public override int GetHashCode() => HashCode.Combine(Version, User, Money.RatePerSecond, Note);
}

/// <param name="Digest">the statement id of the version before</param>
public sealed record Amends(AgreementId Agreement, StatementId Digest);

/// <param name="Nodes">the farm's nodes that take part, sorted</param>
public sealed record FarmPart(FarmId Farm, OfferId Offer, ImmutableArray<NodeId> Nodes)
{
    internal void Write(CanonicalWriter w) => w.Map(3, m =>
    {
        m.Key("farm").Id(Farm);
        m.Key("nodes").Array(Nodes, (a, n) => a.Id(n));
        m.Key("offer").Id(Offer);
    });

    internal static FarmPart Read(CanonicalReader r) => r.Map(m =>
    {
        var farm = m.Field("farm").Id<FarmId>();
        var nodes = m.Field("nodes").Set(1000, n => n.Id<NodeId>(), (a, b) => a.Value.CompareTo(b.Value));
        return nodes.IsEmpty
            ? throw CanonicalReader.Malformed("A farm takes part with at least one node.")
            : new FarmPart(farm, m.Field("offer").Id<OfferId>(), nodes);
    });
}

/// <summary>What a node does with what runs when it has heard nothing from the ledger for <see cref="After"/>.</summary>
public sealed record Offline(TimeSpan After, bool Pause)
{
    /// <summary>The least after which workloads can be paused: a node asks a few times in it.</summary>
    public static readonly TimeSpan Shortest = TimeSpan.FromSeconds(10);
}

/// <summary>
/// <code>term = { ? "end": time, ? "start": time, "notice": seconds, "offline": { "then": "keep" / "pause", "after": seconds }, "answerBy": time, "convergeBy": time }</code>
/// </summary>
/// <param name="Start">nothing runs before; absent: as soon as every node is ready</param>
/// <param name="End">it ends by itself then; absent: until somebody ends it</param>
/// <param name="Notice">how long the farmer announces an end; at least the offer's</param>
/// <param name="AnswerBy">who has not signed or answered by then lets it lapse</param>
/// <param name="ConvergeBy">if version 1 has not run whole by then, it ends</param>
public sealed record Term(DateTimeOffset? Start, DateTimeOffset? End, TimeSpan Notice, DateTimeOffset AnswerBy, DateTimeOffset ConvergeBy, Offline Offline)
{
    internal void Write(CanonicalWriter w) => w.Map(4 + (Start is null ? 0 : 1) + (End is null ? 0 : 1), m =>
    {
        if (End is { } end)
            m.Key("end").Time(end);
        if (Start is { } start)
            m.Key("start").Time(start);
        m.Key("notice").Seconds(Notice);
        m.Key("offline").Map(2, o =>
        {
            o.Key("then").Text(Offline.Pause ? "pause" : "keep");
            o.Key("after").Seconds(Offline.After);
        });
        m.Key("answerBy").Time(AnswerBy);
        m.Key("convergeBy").Time(ConvergeBy);
    });

    internal static Term Read(CanonicalReader r) => r.Map(m =>
    {
        DateTimeOffset? end = m.TryField("end") ? m.Time() : null;
        DateTimeOffset? start = m.TryField("start") ? m.Time() : null;
        var notice = m.Field("notice").Seconds();
        var offline = m.Field("offline").Map(o =>
        {
            var pause = o.Field("then").Text(8) switch
            {
                "keep" => false,
                "pause" => true,
                var other => throw CanonicalReader.Malformed($"Offline, a workload is kept or paused; '{other}' is neither."),
            };
            return new Offline(o.Field("after").Seconds(), pause);
        });
        var answerBy = m.Field("answerBy").Time();
        return new Term(start, end, notice, answerBy, m.Field("convergeBy").Time(), offline);
    });
}

/// <summary>
/// Everything precomputed, so that what is signed is what is billed.
/// <code>money = { "grace": seconds, "parts": [*64 { "farm": farm-id, "rate": uint }], "currency": currency, "ratePerSecond": uint }    ; parts sorted by farm</code>
/// </summary>
/// <param name="RatePerSecond">the sum of the parts, in the currency's smallest unit</param>
/// <param name="Grace">how long workloads are paused rather than ended when funds are gone</param>
public sealed record MoneyTerms(Currency Currency, Money RatePerSecond, ImmutableArray<FarmRate> Parts, TimeSpan Grace)
{
    internal void Write(CanonicalWriter w) => w.Map(4, m =>
    {
        m.Key("grace").Seconds(Grace);
        m.Key("parts").Array(Parts, (a, p) => a.Map(2, x =>
        {
            x.Key("farm").Id(p.Farm);
            x.Key("rate").Money(p.Rate);
        }));
        m.Key("currency");
        Currency.Write(m);
        m.Key("ratePerSecond").Money(RatePerSecond);
    });

    internal static MoneyTerms Read(CanonicalReader r) => r.Map(m =>
    {
        var grace = m.Field("grace").Seconds();
        var parts = m.Field("parts").Set(64, a => a.Map(x =>
        {
            var farm = x.Field("farm").Id<FarmId>();
            return new FarmRate(farm, x.Field("rate").Money());
        }), (a, b) => a.Farm.Value.CompareTo(b.Farm.Value));
        var currency = Currency.Read(m.Field("currency"));
        return new MoneyTerms(currency, m.Field("ratePerSecond").Money(), parts, grace);
    });
}

public sealed record FarmRate(FarmId Farm, Money Rate);
