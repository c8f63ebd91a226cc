using System.Collections.Immutable;
using System.Net;
using Grid.Statements;

namespace Grid.Networks;

/// <summary>One workload's place in one network. Its tunnel is named by both.</summary>
public readonly record struct Membership(string Network, string Workload) : IComparable<Membership>
{
    public int CompareTo(Membership other)
    {
        var byNetwork = CanonicalReader.Order(Network, other.Network);
        return byNetwork != 0 ? byNetwork : CanonicalReader.Order(Workload, other.Workload);
    }

    public static bool operator <(Membership left, Membership right) => left.CompareTo(right) < 0;

    public static bool operator >(Membership left, Membership right) => left.CompareTo(right) > 0;

    public static bool operator <=(Membership left, Membership right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Membership left, Membership right) => left.CompareTo(right) >= 0;

    public override string ToString() => $"{Workload} in {Network}";
}

/// <summary>What others need to know of a tunnel. The private key never leaves its node.</summary>
/// <param name="Port">UDP, on the node's underlay addresses</param>
public sealed record TunnelEnd(Membership Of, TunnelKey Key, int Port);

/// <summary>What a node that is ready says of its tunnels.</summary>
/// <param name="Underlay">where the node is reached, IPv4 first; empty when it has no tunnels</param>
/// <param name="Tunnels">one for each membership on the node, sorted by it</param>
public sealed record TunnelEnds(ImmutableArray<IPAddress> Underlay, ImmutableArray<TunnelEnd> Tunnels)
{
    public const int MaximumUnderlay = 8;

    public static readonly TunnelEnds None = new([], []);

    public static ImmutableArray<IPAddress> Sorted(IEnumerable<IPAddress> underlay) => [.. underlay.Distinct().Order(Comparer<IPAddress>.Create(AddressFields.Order))];

    internal static ImmutableArray<IPAddress> ReadUnderlay(CanonicalReader r) => r.Set(MaximumUnderlay, a => a.Address(), AddressFields.Order);

    internal static void Write(CanonicalWriter w, TunnelEnd end) => w.Map(4, m =>
    {
        m.Key("key").Digest(end.Key.Value);
        m.Key("port").UInt(end.Port);
        m.Key("network").Text(end.Of.Network);
        m.Key("workload").Text(end.Of.Workload);
    });

    internal static TunnelEnd Read(CanonicalReader r) => r.Map(m =>
    {
        var key = new TunnelKey(m.Field("key").Digest());
        var port = (int)m.Field("port").UInt(65_535);
        var network = m.Field("network").Text(64);
        return new TunnelEnd(new Membership(network, m.Field("workload").Text(64)), key, port);
    });

    public bool Equals(TunnelEnds? other) =>
        other is not null && Underlay.AsSpan().SequenceEqual(other.Underlay.AsSpan()) && Tunnels.AsSpan().SequenceEqual(other.Tunnels.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Underlay.Length, Tunnels.Length);
}
