using System.Buffers.Binary;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Grid.Networks;
using Grid.Node.Containers;

namespace Grid.Node.Networks;

/// <summary>
/// A way out for workloads whose agreement says so: IPv4 to the world, from the node's address, and nothing new in.
/// <code>
/// container's namespace   gc… 100.64.x.y+1 ── default route
///                          │ veth
/// node's namespace        ge… 100.64.x.y ── nftables table grid_… ── underlay
/// </code>
/// Addresses come from RFC 6598's range in pairs. What lets a packet pass stands in the table before the veth that sends it is there.
/// </summary>
internal sealed class NatEgress(NetworkNamespace node, string scope)
{
    private const uint FirstAddress = 0x6440_0000, Pairs = 1 << 21;

    /// <summary>So many connections a workload may have by it at a time: the kernel remembers 262,144 for all of the node, and drops what comes then.</summary>
    internal const int MostFlows = 8_192;

    // Two changes at once would choose the same addresses.
    private readonly Lock _one = new();
    private readonly string _table = "grid_" + Convert.ToHexStringLower(Hash(scope)[..6]);

    // The interfaces of this node are known to the rules by their group: they are in it from the moment they are made.
    private readonly uint _group = BinaryPrimitives.ReadUInt32BigEndian(Hash(scope)) & 0x7FFF_FFFF | 0x4000_0000;

    private sealed record Pass(string Interface, IPAddress Source);

    public string Outside(TunnelId id) => id.InterfaceName("ge", scope);

    public string Inside(TunnelId id) => id.InterfaceName(TunnelNames.WayOut, scope);

    /// <summary>What the link tells, of which neither end is there without the other.</summary>
    /// <param name="inNode">any process in the node's namespace</param>
    /// <returns>null when it is there and the container's default route does not lead through its end</returns>
    public Egress? Of(TunnelId id, int inNode, ProcessIdentity init) =>
        !NamespaceView.Has(inNode, Outside(id)) ? Egress.None
        : Processes.Identify(init.Pid) == init && NamespaceView.LeadsOut(init.Pid, Inside(id)) ? Egress.Nat
        : null;

    /// <summary>The interfaces that the node's table lets out. It starts nft(8).</summary>
    public IReadOnlySet<string> Passing() => Passes().Select(p => p.Interface).ToHashSet();

    /// <exception cref="IOException">a step failed; what was made is found by the next</exception>
    public void Open(TunnelId id, NetworkNamespace container)
    {
        lock (_one)
        {
            Close(id, Passes());
            var (outside, inside) = (Outside(id), Inside(id));
            var (near, far) = Choose(id);
            node.Set("ipv4/ip_forward", "1");
            node.Nft(Rules + $$"""

                add element inet {{_table}} passes { "{{outside}}" . {{far}} }
                add element inet {{_table}} sources { {{far}} }

                """);
            node.Ip([
                $"link add {outside} group {_group} type veth peer name {inside} netns {container.Path}",
                .. NetworkNamespace.NoLinkLocal(outside), $"addr add {near} peer {far} dev {outside}", $"link set {outside} up"]);
            container.Ip([.. NetworkNamespace.NoLinkLocal(inside), $"addr add {far} peer {near} dev {inside}", $"link set {inside} up", $"route replace default via {near} dev {inside}"]);
        }
    }

    public void Close(TunnelId id)
    {
        lock (_one)
            Close(id, Passes());
    }

    /// <summary>Takes away the rules of links that are gone.</summary>
    public void Sweep()
    {
        lock (_one)
        {
            if (Passes() is { Count: > 0 } passes)
                Sweep(node.Links(), passes);
        }
    }

    private void Close(TunnelId id, List<Pass> passes)
    {
        var links = node.Links();
        if (links.Remove(Outside(id)))
            node.Ip($"link del {Outside(id)}");
        Sweep(links, passes);
    }

    private void Sweep(HashSet<string> links, List<Pass> passes)
    {
        // The veth of a container that ended went with its namespace; what it left here goes now.
        var gone = passes.Where(p => !links.Contains(p.Interface)).ToList();
        if (gone.Count == 0)
            return;
        node.Nft(gone.Count == passes.Count
            ? $"delete table inet {_table}\n"
            : string.Concat(gone.Select(p => $"delete element inet {_table} passes {{ \"{p.Interface}\" . {p.Source} }}\ndelete element inet {_table} sources {{ {p.Source} }}\n")));
    }

    /// <summary>
    /// In one transaction, over whatever is there: the chains are emptied and filled, the sets keep what they hold. Private, shared and special-purpose
    /// ranges (RFC 6890) are not the world: the farm's own network is behind some of them.
    /// </summary>
    private string Rules => $$"""
        add table inet {{_table}}
        add set inet {{_table}} passes { type ifname . ipv4_addr; }
        add set inet {{_table}} sources { type ipv4_addr; }
        add set inet {{_table}} flows { type ipv4_addr; size 65535; flags dynamic; }
        add chain inet {{_table}} prerouting { type filter hook prerouting priority raw; }
        add chain inet {{_table}} input { type filter hook input priority filter; }
        add chain inet {{_table}} output { type filter hook output priority filter; }
        add chain inet {{_table}} forward { type filter hook forward priority filter; }
        add chain inet {{_table}} postrouting { type nat hook postrouting priority srcnat; }
        flush chain inet {{_table}} prerouting
        flush chain inet {{_table}} input
        flush chain inet {{_table}} output
        flush chain inet {{_table}} forward
        flush chain inet {{_table}} postrouting
        add rule inet {{_table}} prerouting iifgroup {{_group}} meta nfproto != ipv4 drop
        add rule inet {{_table}} prerouting iifgroup {{_group}} iifname . ip saddr != @passes drop
        add rule inet {{_table}} input iifgroup {{_group}} drop
        add rule inet {{_table}} output oifgroup {{_group}} ct state != { established, related } drop
        add rule inet {{_table}} forward oifgroup {{_group}} ct state != { established, related } drop
        add rule inet {{_table}} forward iifgroup {{_group}} oifname "ge*" drop
        add rule inet {{_table}} forward iifgroup {{_group}} ip daddr { 0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3 } drop
        add rule inet {{_table}} forward iifgroup {{_group}} ct state new add @flows { ip saddr ct count over {{MostFlows}} } drop
        add rule inet {{_table}} postrouting ip saddr @sources masquerade
        """;

    private static byte[] Hash(string text) => SHA256.HashData(Encoding.UTF8.GetBytes("egress\0" + text));

    /// <summary>The first pair from its hash on that nothing in the node's tables leads to.</summary>
    private (IPAddress Near, IPAddress Far) Choose(TunnelId id)
    {
        using var json = JsonDocument.Parse(node.Run(Programs.Ip, ["-j", "-4", "route", "show", "table", "all"]));
        var routes = json.RootElement.EnumerateArray().Select(r => r.GetProperty("dst").GetString()!).Where(d => d != "default")
            .Select(d => IPNetwork.Parse(d.Contains('/') ? d : d + "/32")).Where(n => n.PrefixLength > 0).ToList();
        var start = BinaryPrimitives.ReadUInt32BigEndian(id.Hash(scope)) % Pairs;
        for (uint i = 0; i < Pairs; i++)
        {
            var (near, far) = (Address((start + i) % Pairs * 2), Address((start + i) % Pairs * 2 + 1));
            if (!routes.Exists(r => r.Contains(near) || r.Contains(far)))
                return (near, far);
        }
        throw new IOException("No address of 100.64.0.0/10 is free on this node.");
    }

    private static IPAddress Address(uint offset)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, FirstAddress + offset);
        return new IPAddress(bytes);
    }

    private List<Pass> Passes() =>
    [
        .. from set in node.Sets(_table, "passes")
           from element in set.Elements.EnumerateArray()
           let pair = element.GetProperty("concat")
           select new Pass(pair[0].GetString()!, IPAddress.Parse(pair[1].GetString()!)),
    ];
}
