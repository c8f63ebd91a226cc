using System.Collections.Immutable;
using Grid.Statements;
using Grid.Units;

namespace Grid.Nodes;

/// <summary>
/// Lets one node join a farm; by the farm's account. <see cref="Key"/> is a one-time key that travels on the boot media.
/// <code>node.invite = { "key": key, "farm": farm-id, "expires": time }</code>
/// </summary>
public sealed record InviteNode(FarmId Farm, PublicKey Key, DateTimeOffset Expires) : Body
{
    public const string Name = "node.invite";

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(3, m =>
    {
        m.Key("key").PublicKey(Key);
        m.Key("farm").Id(Farm);
        m.Key("expires").Time(Expires);
    });

    internal static InviteNode Read(CanonicalReader r) => r.Map(m =>
    {
        var key = m.Field("key").Key();
        var farm = m.Field("farm").Id<FarmId>();
        return new InviteNode(farm, key, m.Field("expires").Time());
    });
}

/// <summary>
/// Founds a node; nobody speaks (<c>by</c> is null), signed by the node's key and the invite's key.
/// <code>node.join = { "key": key, "farm": farm-id, "invite": statement-id, "hardware": hardware }</code>
/// </summary>
public sealed record JoinNode(FarmId Farm, StatementId Invite, PublicKey Key, Hardware Hardware) : Body
{
    public const string Name = "node.join";

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(4, m =>
    {
        m.Key("key").PublicKey(Key);
        m.Key("farm").Id(Farm);
        m.Key("invite").Id(Invite);
        m.Key("hardware");
        Hardware.Write(m);
    });

    internal static JoinNode Read(CanonicalReader r) => r.Map(m =>
    {
        var key = m.Field("key").Key();
        var farm = m.Field("farm").Id<FarmId>();
        var invite = m.Field("invite").Id<StatementId>();
        return new JoinNode(farm, invite, key, Hardware.Read(m.Field("hardware")));
    });
}

/// <summary><code>hardware = { "cpu": text, "arch": text, "kernel": text }    ; each at most 128 bytes</code></summary>
public sealed record Hardware(string Cpu, string Architecture, string Kernel)
{
    internal void Write(CanonicalWriter w) => w.Map(3, m =>
    {
        m.Key("cpu").Text(Cpu);
        m.Key("arch").Text(Architecture);
        m.Key("kernel").Text(Kernel);
    });

    internal static Hardware Read(CanonicalReader r) => r.Map(m =>
    {
        var cpu = m.Field("cpu").Text(128);
        var architecture = m.Field("arch").Text(128);
        return new Hardware(cpu, architecture, m.Field("kernel").Text(128));
    });
}

/// <summary>
/// What the node has, keeps back for itself, and can run; by the node, on every change.
/// <code>node.report = { "kinds": [*16 text], ? "domain": text, "reserve": capacity, "capacity": capacity, "hardware": hardware }    ; kinds sorted, unique</code>
/// </summary>
public sealed record ReportNode(Capacity Capacity, Capacity Reserve, ImmutableArray<string> Kinds, Hardware Hardware) : Body
{
    public const string Name = "node.report";

    public override string Kind => Name;

    /// <summary>The domain under which the farmer gives names to gateways on this node; null when it gives none.</summary>
    public string? Domain { get; init; }

    public override void Write(CanonicalWriter w) => w.Map(Domain is null ? 4 : 5, m =>
    {
        m.Key("kinds").Array(Kinds, (a, k) => a.Text(k));
        if (Domain is not null)
            m.Key("domain").Text(Domain);
        m.Key("reserve");
        CapacityFields.Write(m, Reserve);
        m.Key("capacity");
        CapacityFields.Write(m, Capacity);
        m.Key("hardware");
        Hardware.Write(m);
    });

    internal static ReportNode Read(CanonicalReader r) => r.Map(m =>
    {
        var kinds = m.Field("kinds").Set(16, k => k.Text(32), CanonicalReader.Order);
        var domain = m.TryField("domain") ? m.Text(Gateways.Hostname.LongestRead) : null;
        var reserve = CapacityFields.Read(m.Field("reserve"));
        var capacity = CapacityFields.Read(m.Field("capacity"));
        return new ReportNode(capacity, reserve, kinds, Hardware.Read(m.Field("hardware"))) { Domain = domain };
    });

    public bool Equals(ReportNode? other) => other is not null
        && (Capacity, Reserve, Hardware, Domain) == (other.Capacity, other.Reserve, other.Hardware, other.Domain) && Kinds.AsSpan().SequenceEqual(other.Kinds.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Capacity, Reserve, Hardware, Kinds.Length);
}

/// <summary>
/// Takes a node out; by the farm's account. While agreements run it is refused unless recorded as the farmer's breach, which ends them.
/// <code>node.retire = { "node": node-id, "breach": bool as 0 / 1 }</code>
/// </summary>
public sealed record RetireNode(NodeId Node, bool Breach) : Body
{
    public const string Name = "node.retire";

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(2, m =>
    {
        m.Key("node").Id(Node);
        m.Key("breach").UInt(Breach ? 1 : 0);
    });

    internal static RetireNode Read(CanonicalReader r) => r.Map(m =>
    {
        var node = m.Field("node").Id<NodeId>();
        return new RetireNode(node, m.Field("breach").UInt(1) == 1);
    });
}
