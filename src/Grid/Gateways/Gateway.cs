using System.Collections.Immutable;
using Grid.Networks;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Gateways;

public enum Tls
{
    /// <summary>The node ends TLS with a certificate of its own and speaks HTTP with the backend.</summary>
    Terminate,

    /// <summary>The node reads which name is asked for and hands everything on: only the backend can read what is said.</summary>
    Passthrough,
}

/// <summary>Why the user may have the name.</summary>
public enum DomainProof
{
    /// <summary>It is one label under the domain that the node reported, which is the farmer's to give.</summary>
    Domain,

    /// <summary>Whoever holds the domain wrote the user's account id into the TXT record <c>_grid-challenge.HOSTNAME</c>; the node looks when it answers.</summary>
    Dns,
}

/// <summary>A way in from the world: a name, on a node's public address, behind which one workload of a private network answers.</summary>
/// <param name="Hostname">held by one agreement of a ledger at a time</param>
/// <param name="Networks">its own address in exactly one network, from which it dials the backend</param>
public sealed record Gateway(
    string Name, NodeId Node, string Hostname, Tls Tls, DomainProof Proof, Backend Backend, ImmutableArray<NetworkAddress> Networks) : Placed(Name, Node, Networks)
{
    public const string KindName = "gateway";

    /// <summary>The label under which a domain's owner says who may have a name.</summary>
    public const string Challenge = "_grid-challenge";

    public override string Kind => KindName;

    public override Capacity Demand => Capacity.None;

    /// <summary>
    /// <code>
    /// gateway = { "tls": "terminate" / "passthrough", "kind": "gateway", "name": text, "node": node-id, "proof": "domain" / "dns",
    ///             "backend": { "port": 1..65535, "workload": text }, "hostname": text, "networks": [*16 {"address": address, "network": text}] }
    /// </code>
    /// </summary>
    public override void Write(CanonicalWriter w) => w.Map(8, m =>
    {
        m.Key("tls").Text(Tls is Tls.Terminate ? "terminate" : "passthrough");
        m.Key("kind").Text(KindName);
        m.Key("name").Text(Name);
        m.Key("node").Id(Node);
        m.Key("proof").Text(Proof is DomainProof.Domain ? "domain" : "dns");
        m.Key("backend").Map(2, b =>
        {
            b.Key("port").UInt(Backend.Port);
            b.Key("workload").Text(Backend.Workload);
        });
        m.Key("hostname").Text(Hostname);
        m.Key("networks").Array(Networks, (a, x) => x.Write(a));
    });

    internal static Gateway Read(CanonicalReader r) => r.Map(m =>
    {
        var tls = m.Field("tls").Text(16) switch
        {
            "terminate" => Tls.Terminate,
            "passthrough" => Tls.Passthrough,
            var other => throw CanonicalReader.Malformed($"TLS is 'terminate' or 'passthrough', not '{other}'."),
        };
        m.Field("kind").Text(16);
        var name = m.Field("name").Text(64);
        var node = m.Field("node").Id<NodeId>();
        var proof = m.Field("proof").Text(16) switch
        {
            "domain" => DomainProof.Domain,
            "dns" => DomainProof.Dns,
            var other => throw CanonicalReader.Malformed($"A name is proven by 'domain' or 'dns', not by '{other}'."),
        };
        var backend = m.Field("backend").Map(b =>
        {
            var port = (int)b.Field("port").UInt(65_535);
            return port > 0 ? new Backend(b.Field("workload").Text(64), port) : throw CanonicalReader.Malformed("A backend's port is from 1 to 65535.");
        });
        var hostname = m.Field("hostname").Text(Gateways.Hostname.LongestRead);
        var networks = m.Field("networks").Set(16, NetworkAddress.Read, (a, b) => CanonicalReader.Order(a.Network, b.Network));
        return new Gateway(name, node, hostname, tls, proof, backend, networks);
    });

    public bool Equals(Gateway? other) => other is not null && (Name, Node, Hostname, Tls, Proof, Backend) == (other.Name, other.Node, other.Hostname, other.Tls, other.Proof, other.Backend)
        && Networks.AsSpan().SequenceEqual(other.Networks.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Name, Node, Hostname, Backend);
}

/// <param name="Workload">the name of one that has an address in the gateway's network</param>
/// <param name="Port">TCP; 1 to 65535</param>
public sealed record Backend(string Workload, int Port);
