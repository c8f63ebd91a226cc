using System.Collections.Immutable;
using Grid.Statements;
using Grid.Units;

namespace Grid.Agreements;

/// <summary>
/// What a node did and ran for one agreement in one interval; by the node. No receipt, no bill.
/// <code>
/// receipt         = { "to": time, "from": time, "version": statement-id, "agreement": agreement-id, "workloads": [*1000 workload-report] }    ; sorted by name
/// workload-report = { "name": text, "used": consumption, "state": "starting" / "running" / "failed" / "stopped" / "gone", ? "reason": text,
///                     ? "exitCode": 0..255, "restarts": uint, "flistRoot": bytes .size 32 / null, "oomKilled": 0 / 1, "generation": uint }
/// </code>
/// </summary>
public sealed record Receipt(
    AgreementId Agreement, StatementId Version, DateTimeOffset From, DateTimeOffset To, ImmutableArray<WorkloadReport> Workloads) : Body
{
    public const string Name = "receipt";

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(5, m =>
    {
        m.Key("to").Time(To);
        m.Key("from").Time(From);
        m.Key("version").Id(Version);
        m.Key("agreement").Id(Agreement);
        m.Key("workloads").Array(Workloads, (a, x) => x.Write(a));
    });

    internal static Receipt Read(CanonicalReader r) => r.Map(m =>
    {
        var to = m.Field("to").Time();
        var from = m.Field("from").Time();
        if (to < from)
            throw CanonicalReader.Malformed("A receipt's interval ends before it begins.");
        var version = m.Field("version").Id<StatementId>();
        var agreement = m.Field("agreement").Id<AgreementId>();
        var workloads = m.Field("workloads").Set(1000, WorkloadReport.Read, (a, b) => CanonicalReader.Order(a.Name, b.Name));
        return new Receipt(agreement, version, from, to, workloads);
    });

    public bool Equals(Receipt? other) => other is not null
        && (Agreement, Version, From, To) == (other.Agreement, other.Version, other.From, other.To)
        && Workloads.AsSpan().SequenceEqual(other.Workloads.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Agreement, Version, From, To);
}

public enum WorkloadState
{
    Starting,
    Running,
    Failed,
    Stopped,
    Gone,
}

/// <param name="Reason">why it is in this state, when that needs saying; at most <see cref="LongestReason"/></param>
/// <param name="Generation">counts the starts of this workload on this node, from 1</param>
/// <param name="Restarts">starts after the first within this agreement</param>
/// <param name="Used">in the interval</param>
/// <param name="FlistRoot">the tree root that was mounted; null for kinds without one</param>
public sealed record WorkloadReport(
    string Name, WorkloadState State, string? Reason, long Generation, long Restarts, Consumption Used, int? ExitCode, bool OomKilled, Digest? FlistRoot)
{
    /// <summary>In bytes of UTF-8.</summary>
    public const int LongestReason = 500;

    private static readonly string[] Names = ["starting", "running", "failed", "stopped", "gone"];

    public static string NameOf(WorkloadState state) => Names[(int)state];

    internal void Write(CanonicalWriter w) => w.Map(7 + (Reason is null ? 0 : 1) + (ExitCode is null ? 0 : 1), m =>
    {
        m.Key("name").Text(Name);
        Used.Write(m.Key("used"));
        m.Key("state").Text(NameOf(State));
        if (Reason is not null)
            m.Key("reason").Text(Reason);
        if (ExitCode is { } exit)
            m.Key("exitCode").UInt(exit);
        m.Key("restarts").UInt(Restarts);
        if (FlistRoot is { } root)
            m.Key("flistRoot").Digest(root);
        else
            m.Key("flistRoot").Null();
        m.Key("oomKilled").UInt(OomKilled ? 1 : 0);
        m.Key("generation").UInt(Generation);
    });

    internal static WorkloadReport Read(CanonicalReader r) => r.Map(m =>
    {
        var name = m.Field("name").Text(64);
        var used = Consumption.Read(m.Field("used"));
        var text = m.Field("state").Text(16);
        var state = Array.IndexOf(Names, text);
        if (state < 0)
            throw CanonicalReader.Malformed($"'{text}' is not a state of a workload.");
        var reason = m.TryField("reason") ? m.Text(LongestReason) : null;
        int? exit = m.TryField("exitCode") ? (int)m.UInt(255) : null;
        var restarts = m.Field("restarts").UInt();
        Digest? root = m.Field("flistRoot").TryNull() ? null : m.Digest();
        var oom = m.Field("oomKilled").UInt(1) == 1;
        return new WorkloadReport(name, (WorkloadState)state, reason, m.Field("generation").UInt(), restarts, used, exit, oom, root);
    });
}
