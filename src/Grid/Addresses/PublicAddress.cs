using System.Collections.Immutable;
using System.Net;
using Grid.Networks;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Addresses;

public enum Transport
{
    Tcp,
    Udp,
}

/// <param name="Number">1 to 65535</param>
public readonly record struct Port(Transport Transport, int Number) : IComparable<Port>
{
    private const int Highest = 65_535;

    public static bool operator <(Port left, Port right) => left.CompareTo(right) < 0;

    public static bool operator >(Port left, Port right) => left.CompareTo(right) > 0;

    public static bool operator <=(Port left, Port right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Port left, Port right) => left.CompareTo(right) >= 0;

    public static bool TryParse(string text, out Port port)
    {
        port = default;
        if (text.Split('/') is not [("tcp" or "udp") and var transport, { Length: > 0 } digits] || !digits.All(char.IsAsciiDigit) || !int.TryParse(digits, out var number)
            || number is < 1 or > Highest || number.ToString() != digits)
            return false;
        port = new Port(transport == "tcp" ? Transport.Tcp : Transport.Udp, number);
        return true;
    }

    public int CompareTo(Port other) => Transport != other.Transport ? Transport.CompareTo(other.Transport) : Number.CompareTo(other.Number);

    public override string ToString() => $"{TransportName}/{Number}";

    internal static void Write(CanonicalWriter w, Port port) => w.Map(2, m =>
    {
        m.Key("port").UInt(port.Number);
        m.Key("protocol").Text(port.TransportName);
    });

    internal static Port Read(CanonicalReader r) => r.Map(m =>
    {
        var number = (int)m.Field("port").UInt(Highest);
        if (number == 0)
            throw CanonicalReader.Malformed("A port is from 1 to 65535.");
        return new Port(m.Field("protocol").Text(16) switch
        {
            "tcp" => Transport.Tcp,
            "udp" => Transport.Udp,
            var other => throw CanonicalReader.Malformed($"A port's protocol is 'tcp' or 'udp', not '{other}'."),
        }, number);
    });

    private string TransportName => Transport is Transport.Tcp ? "tcp" : "udp";
}

/// <summary>
/// A public address of the farm, which one workload has for its own: no translation, the world reaches it on the agreed ports and on no other.
/// It answers and opens nothing: a way out is a network's matter.
/// </summary>
/// <param name="Ip">of the farm's list; held by one agreement of a ledger at a time</param>
/// <param name="Workload">the container on the same node that has it, or the machine</param>
public sealed record PublicAddress(string Name, NodeId Node, IPAddress Ip, ImmutableArray<Port> Ports, string Workload) : Placed(Name, Node, [])
{
    public const string KindName = "address";

    public const int MaximumPorts = 64;

    public override string Kind => KindName;

    // IPv6 addresses are not scarce: nobody counts them.
    public override Capacity Demand => Ip.IsIPv4() ? Capacity.None with { PublicIPv4 = 1 } : Capacity.None;

    /// <summary>
    /// <code>
    /// address-workload = { "ip": address, "kind": "address", "name": text, "node": node-id, "ports": [1*64 {"port": 1..65535, "protocol": "tcp" / "udp"}],
    ///                      "workload": text }    ; ports sorted by protocol, then by port
    /// </code>
    /// </summary>
    public override void Write(CanonicalWriter w) => w.Map(6, m =>
    {
        m.Key("ip").Address(Ip);
        m.Key("kind").Text(KindName);
        m.Key("name").Text(Name);
        m.Key("node").Id(Node);
        m.Key("ports").Array(Ports, Port.Write);
        m.Key("workload").Text(Workload);
    });

    internal static PublicAddress Read(CanonicalReader r) => r.Map(m =>
    {
        var ip = m.Field("ip").Address();
        m.Field("kind").Text(16);
        var name = m.Field("name").Text(64);
        var node = m.Field("node").Id<NodeId>();
        var ports = m.Field("ports").Set(MaximumPorts, Port.Read, (a, b) => a.CompareTo(b));
        return ports.IsEmpty
            ? throw CanonicalReader.Malformed("An address has at least one port.")
            : new PublicAddress(name, node, ip, ports, m.Field("workload").Text(64));
    });

    public bool Equals(PublicAddress? other) => other is not null && (Name, Node, Workload) == (other.Name, other.Node, other.Workload) && Ip.Equals(other.Ip)
        && Ports.AsSpan().SequenceEqual(other.Ports.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Name, Node, Ip, Workload);
}
