using System.Net;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Networks;

public enum Egress
{
    /// <summary>Nothing leaves it and nothing comes in.</summary>
    None,

    /// <summary>Members may open connections to the world, each from its node's address.</summary>
    Nat,
}

/// <summary>
/// A private network of one agreement. Its members are the workloads that have an address in it; every pair of them is encrypted.
/// <code>network = { "cidr": cidr, "kind": "network", "name": text, "egress": "none" / "nat" }</code>
/// </summary>
/// <param name="Cidr">RFC 1918, /16 to /28, or unique local (RFC 4193), /48 to /124</param>
public sealed record Network(string Name, IPNetwork Cidr, Egress Egress) : Workload(Name)
{
    public const string KindName = "network";

    public override string Kind => KindName;

    public override void Write(CanonicalWriter w) => w.Map(4, m =>
    {
        m.Key("cidr").Cidr(Cidr);
        m.Key("kind").Text(KindName);
        m.Key("name").Text(Name);
        m.Key("egress").Text(Egress is Egress.Nat ? "nat" : "none");
    });

    internal static Network Read(CanonicalReader r) => r.Map(m =>
    {
        var cidr = m.Field("cidr").Cidr();
        m.Field("kind").Text(16);
        var name = m.Field("name").Text(64);
        return new Network(name, cidr, m.Field("egress").Text(16) switch
        {
            "none" => Egress.None,
            "nat" => Egress.Nat,
            var other => throw CanonicalReader.Malformed($"Egress is 'none' or 'nat', not '{other}'."),
        });
    });
}

/// <param name="Network">the name of a network workload of the same agreement</param>
public sealed record NetworkAddress(string Network, IPAddress Address)
{
    /// <summary><code>{ "address": address, "network": text }</code></summary>
    internal void Write(CanonicalWriter w) => w.Map(2, m =>
    {
        m.Key("address").Address(Address);
        m.Key("network").Text(Network);
    });

    internal static NetworkAddress Read(CanonicalReader r) => r.Map(m =>
    {
        var address = m.Field("address").Address();
        return new NetworkAddress(m.Field("network").Text(64), address);
    });
}
