using System.Collections.Immutable;
using Grid.Networks;
using Grid.Statements;
using Grid.Units;

namespace Grid.Agreements;

/// <summary>
/// A node's yes to one version: verified, capacity held, flists' metadata present, tunnels chosen. By the node.
/// <code>
/// workload.ready = { "tunnels": [*1000 tunnel], "version": statement-id, "underlay": [*8 address], "agreement": agreement-id }
/// tunnel         = { "key": bstr .size 32, "port": 0..65535, "network": text, "workload": text }    ; sorted by network, then by workload
/// </code>
/// </summary>
/// <param name="Version">the statement id of the version answered</param>
public sealed record WorkloadReady(AgreementId Agreement, StatementId Version, TunnelEnds Ends) : Body
{
    public const string Name = "workload.ready";

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(4, m =>
    {
        m.Key("tunnels").Array(Ends.Tunnels, TunnelEnds.Write);
        m.Key("version").Id(Version);
        m.Key("underlay").Array(Ends.Underlay, (a, x) => a.Address(x));
        m.Key("agreement").Id(Agreement);
    });

    internal static WorkloadReady Read(CanonicalReader r) => r.Map(m =>
    {
        var tunnels = m.Field("tunnels").Set(1000, TunnelEnds.Read, (a, b) => a.Of.CompareTo(b.Of));
        var version = m.Field("version").Id<StatementId>();
        var underlay = TunnelEnds.ReadUnderlay(m.Field("underlay"));
        return new WorkloadReady(m.Field("agreement").Id<AgreementId>(), version, new TunnelEnds(underlay, tunnels));
    });
}

/// <summary>
/// A node's no to one version; the only refusal that the ledger records. By the node.
/// <code>workload.refused = { "code": text, "detail": text, "version": statement-id, "agreement": agreement-id }</code>
/// </summary>
public sealed record WorkloadRefused(AgreementId Agreement, StatementId Version, string Code, string Detail) : Body
{
    public const string Name = "workload.refused";

    /// <summary>In bytes of UTF-8.</summary>
    public const int LongestDetail = 1000;

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(4, m =>
    {
        m.Key("code").Text(Code);
        m.Key("detail").Text(Detail);
        m.Key("version").Id(Version);
        m.Key("agreement").Id(Agreement);
    });

    internal static WorkloadRefused Read(CanonicalReader r) => r.Map(m =>
    {
        var code = m.Field("code").Text(64);
        var detail = m.Field("detail").Text(LongestDetail);
        var version = m.Field("version").Id<StatementId>();
        return new WorkloadRefused(m.Field("agreement").Id<AgreementId>(), version, code, detail);
    });
}

/// <summary>
/// Ends or withdraws; by the user's account or a named farm's. It works while every node is down.
/// <code>agreement.cancel = { ? "at": time, ? "version": statement-id, "agreement": agreement-id }</code>
/// </summary>
/// <param name="At">when; absent: at once</param>
/// <param name="Version">a proposed amendment to withdraw instead of ending the agreement; by the user only</param>
public sealed record CancelAgreement(AgreementId Agreement, DateTimeOffset? At = null, StatementId? Version = null) : Body
{
    public const string Name = "agreement.cancel";

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(1 + (At is null ? 0 : 1) + (Version is null ? 0 : 1), m =>
    {
        if (At is { } at)
            m.Key("at").Time(at);
        if (Version is { } version)
            m.Key("version").Id(version);
        m.Key("agreement").Id(Agreement);
    });

    internal static CancelAgreement Read(CanonicalReader r) => r.Map(m =>
    {
        DateTimeOffset? at = m.TryField("at") ? m.Time() : null;
        StatementId? version = m.TryField("version") ? m.Id<StatementId>() : null;
        return new CancelAgreement(m.Field("agreement").Id<AgreementId>(), at, version);
    });
}

/// <summary>
/// A fact the ledger itself makes: the time an agreement was waiting for has passed. By nobody (null), signed by the ledger's key.
/// <code>agreement.deadline = { "due": time, "agreement": agreement-id }</code>
/// </summary>
/// <param name="Due">the deadline that passed, as the agreement's state gives it</param>
public sealed record DeadlinePassed(AgreementId Agreement, DateTimeOffset Due) : Body
{
    public const string Name = "agreement.deadline";

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(2, m =>
    {
        m.Key("due").Time(Due);
        m.Key("agreement").Id(Agreement);
    });

    internal static DeadlinePassed Read(CanonicalReader r) => r.Map(m =>
    {
        var due = m.Field("due").Time();
        return new DeadlinePassed(m.Field("agreement").Id<AgreementId>(), due);
    });
}
