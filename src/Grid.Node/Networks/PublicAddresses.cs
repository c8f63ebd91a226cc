using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Grid.Addresses;
using Grid.Farms;
using Grid.Networks;
using Grid.Node.Containers;

namespace Grid.Node.Networks;

/// <summary>
/// Public addresses that workloads have for their own: no translation, in on the agreed ports, out only what answers.
/// <code>
/// container's namespace   gc… ADDRESS/32 ── default route, of a metric that leaves a way out by nat its own; a machine has the address behind its tap
///                          │ veth; one hardware address at both ends, and nobody asks for it
/// node's namespace        ga… ── nftables table grid_… ── route, proxy neighbour ── outside
/// </code>
/// Replies leave by the gateway that the farm lists, through a routing table of the address. A container that also has a network with
/// <c>egress: nat</c> opens connections from its node's address, by that; whoever answers by UDP then answers from the address that was asked.
/// What lets a packet pass stands in the nftables table before the link that carries it is there, and its sets say whose each address is.
/// </summary>
internal sealed class PublicAddresses
{
    private const int Metric = 4_096;

    /// <summary>So many connections an address may have at a time: the kernel remembers 262,144 for all of the node, and drops what comes then.</summary>
    internal const int MostFlows = 65_536;

    // Two changes at once would be of one table.
    private readonly Lock _one = new();
    private readonly NetworkNamespace _node;
    private readonly string? _outside;
    private readonly string _scope;
    private readonly string _table;

    // The interfaces of this node are known to the rules by their group: they are in it from the moment they are made.
    private readonly uint _group;

    private PublicAddresses(NetworkNamespace node, string? outside, string scope)
    {
        (_node, _outside, _scope) = (node, outside, scope);
        var hash = Hash("");
        _table = "grid_" + Convert.ToHexStringLower(hash.AsSpan(0, 6));
        _group = BinaryPrimitives.ReadUInt32BigEndian(hash) & 0x3FFF_FFFF | 0x4000_0000;
    }

    /// <param name="scope">tells this node's addresses from those of other nodes of the machine; its run directory, say</param>
    /// <param name="space">the node's network namespace</param>
    /// <param name="outside">the interface on the farm's public wire; null when addresses are only to be released</param>
    /// <returns>null, and in <paramref name="why"/> what is missing</returns>
    public static PublicAddresses? Open(string scope, string space, string? outside, out string why)
    {
        why = "";
        if (!Environment.IsPrivilegedProcess)
            why = "addresses need root";
        else if (new[] { Programs.Ip, Programs.Nsenter, Programs.Nft }.FirstOrDefault(p => !File.Exists(p)) is { } program)
            why = $"{program} is not installed";
        else
        {
            var node = NetworkNamespace.Open(space);
            if (outside is null || node.Links().Contains(outside))
                return new PublicAddresses(node, outside, scope);
            node.Dispose();
            why = $"there is no interface '{outside}'";
        }
        return null;
    }

    public bool IsEmpty => Tables().Holders.Count == 0;

    /// <summary>What is bound, whole or not. It starts nft(8), and ip(8) when anything is.</summary>
    /// <param name="inits">the first processes of the containers</param>
    public IReadOnlyDictionary<ContainerId, AddressSighting> Observe(IReadOnlyDictionary<ContainerId, ProcessIdentity> inits)
    {
        lock (_one)
        {
            var tables = Tables();
            return tables.Holders.ToDictionary(h => h.Id, h =>
            {
                var inside = Inside(h.Id);
                var owner = inits.Where(i => i.Key.Agreement == h.Id.Agreement && NamespaceView.Has(i.Value.Pid, inside) && Processes.Identify(i.Value.Pid) == i.Value).Select(i => i.Key).FirstOrDefault();
                var whole = owner.Workload is not null && tables.Routing(h.Ip).IsWhole(h, TableOf(h.Ip)) && NamespaceView.IsAt(inits[owner].Pid, inside, h.Ip);
                return new AddressSighting(h.Ip, [.. tables.Ports.Where(p => p.Ip.Equals(h.Ip)).Select(p => p.Port).Order()], owner.Workload, whole);
            });
        }
    }

    /// <summary>It is there with these ports and no others. What is whole is not taken down for a change of its ports.</summary>
    /// <param name="listed">as the farm lists it</param>
    /// <param name="init">a process in the namespace that gets it: the first of the container, or the machine's emulator</param>
    /// <param name="card">what a machine has it on; null for a container</param>
    /// <param name="others">processes in the namespaces in which it may be as well</param>
    /// <exception cref="IOException">a step failed; what was made is found by the next</exception>
    public Outcome Bind(ContainerId id, PublicAddress wish, FarmAddress listed, ProcessIdentity init, MachineCard? card, params IReadOnlyCollection<ProcessIdentity> others)
    {
        using var container = NetworkNamespace.Of(init);
        if (container is null)
            return new Outcome.Transient($"process {init.Pid} has ended");
        if (_outside is null)
            return new Outcome.Transient("This node has no public wire now.");
        lock (_one)
        {
            var tables = Tables();
            // First what it has, or where: whoever has the other may wait for it.
            if (tables.Holders.Exists(h => h.Id == id && !h.Ip.Equals(wish.Ip)) || others.Any(o => o != init && NamespaceView.Has(o.Pid, Inside(id))))
            {
                Release(id, tables, [init, .. others]);
                tables = Tables();
            }
            if (tables.Holders.Find(h => h.Ip.Equals(wish.Ip) && h.Id != id) is { } other)
                return new Outcome.Transient($"{wish.Ip} is still with {other.Id}");
            Forward(wish.Ip.IsIPv4());
            var holder = new Holder(id, Outside(id), wish.Ip);
            var gone = tables.Ports.Where(p => p.Ip.Equals(wish.Ip) && !wish.Ports.Contains(p.Port));
            _node.Nft(Rules
                + (tables.Holders.Contains(holder) ? "" : $"add element inet {_table} holders{Six(wish.Ip)} {{ {holder.Element} comment \"{id}\" }}\n")
                + string.Concat(gone.Select(p => $"delete element inet {_table} ports{Six(wish.Ip)} {{ {Element(p.Ip, p.Port)} }}\n"))
                + string.Concat(wish.Ports.Select(p => $"add element inet {_table} ports{Six(wish.Ip)} {{ {Element(wish.Ip, p)} }}\n")));
            // Read for itself: whoever flushed the table left the routes.
            var routing = RoutingTables.Read(_node, wish.Ip.IsIPv4());
            var whole = routing.Leads(holder) && NamespaceView.IsAt(init.Pid, Inside(id), wish.Ip);
            if (!whole)
                Link(holder, container, card);
            string[] missing = [.. routing.Missing(holder, TableOf(wish.Ip), listed, _outside)];
            Ip(_node, wish.Ip, missing);
            // It may have been at another node: whoever remembers that is told.
            if (!whole || missing.Length > 0)
                Announcement.Send(_node, _outside, wish.Ip);
            return new Outcome.Done();
        }
    }

    /// <summary>Nothing of it is left; the last takes the table along.</summary>
    /// <param name="inits">processes in the namespaces in which it may be</param>
    public Outcome Release(ContainerId id, IEnumerable<ProcessIdentity> inits)
    {
        lock (_one)
            Release(id, Tables(), inits);
        return new Outcome.Done();
    }

    private void Release(ContainerId id, Seen tables, IEnumerable<ProcessIdentity> inits)
    {
        var links = _node.Links();
        foreach (var holder in tables.Holders.Where(h => h.Id == id))
        {
            // What is not on the link does not go with it.
            if (inits.FirstOrDefault(i => NamespaceView.Has(i.Pid, Inside(id))) is var init && NetworkNamespace.Of(init) is { } inside)
            {
                using (inside)
                {
                    Ip(inside, holder.Ip, RoutingTables.Read(inside, holder.Ip.IsIPv4()).Left(holder.Ip, TableOf(holder.Ip)));
                    if (NamespaceView.TapOf(init.Pid, holder.Ip) is { } tap)
                        MachineLink.Leave(inside, Inside(id), tap, holder.Ip);
                }
            }
            if (links.Contains(holder.Interface))
                _node.Ip($"link del {holder.Interface}");
            Ip(_node, holder.Ip, tables.Routing(holder.Ip).Left(holder.Ip, TableOf(holder.Ip)));
        }
        var mine = tables.Holders.Where(h => h.Id == id).ToList();
        if (mine.Count == 0)
            return;
        var ports = tables.Ports.Where(p => mine.Exists(h => h.Ip.Equals(p.Ip)));
        _node.Nft(mine.Count == tables.Holders.Count
            ? $"delete table inet {_table}\n"
            : string.Concat(ports.Select(p => $"delete element inet {_table} ports{Six(p.Ip)} {{ {Element(p.Ip, p.Port)} }}\n"))
                + string.Concat(mine.Select(h => $"delete element inet {_table} holders{Six(h.Ip)} {{ {h.Element} }}\n")));
    }

    // A new pair, whatever was there: half a pair cannot be told from one that leads into a namespace which is over.
    private void Link(Holder holder, NetworkNamespace container, MachineCard? card)
    {
        var (inside, ip) = (Inside(holder.Id), holder.Ip);
        if (_node.Links().Contains(holder.Interface))
            _node.Ip($"link del {holder.Interface}");
        var mac = string.Join(':', Hash($"{holder.Id}").Take(5).Prepend((byte)2).Select(b => $"{b:x2}"));
        // A machine's card may take less. Who says that a packet is too large must have an address: the node has, the namespace has none.
        var mtu = card is null ? "" : $" mtu {card.Mtu}";
        _node.Ip([
            $"link add {holder.Interface} group {_group} address {mac}{mtu} type veth peer name {inside} address {mac}{mtu} netns {container.Path}",
            .. NetworkNamespace.NoLinkLocal(holder.Interface), $"link set {holder.Interface} arp off up"]);
        container.Ip([.. NetworkNamespace.NoLinkLocal(inside), $"link set {inside} arp off up"]);
        if (card is null)
            container.Ip($"addr add {ip}/{RoutingTables.Bits(ip)} dev {inside}{(ip.IsIPv4() ? "" : " nodad")}");
        else
            MachineLink.Lead(container, inside, card.Tap, ip);
        Ip(container, ip,
        [
            $"route replace default dev {inside} metric {Metric}", $"route replace default dev {inside} table {TableOf(ip)}", .. RoutingTables.Read(container, ip.IsIPv4()).MissingRule(ip, TableOf(ip)),
        ]);
        Ip(_node, ip, [$"route replace {ip}/{RoutingTables.Bits(ip)} dev {holder.Interface}"]);
    }

    // From Documentation/networking/ip-sysctl. accept_ra: a node that forwards takes no more advertisements unless it is told to. proxy_delay: a proxy waits
    // up to 0.8 s for the neighbour itself, whom the farm says to be here. None of it is taken back, for others may rest on it by then.
    private void Forward(bool isIPv4)
    {
        _node.Set($"{(isIPv4 ? "ipv4" : "ipv6")}/neigh/{_outside}/proxy_delay", "0");
        if (isIPv4)
        {
            _node.Set("ipv4/ip_forward", "1");
            return;
        }
        if (_node.Run("/usr/bin/cat", [$"/proc/sys/net/ipv6/conf/{_outside}/accept_ra"]).Trim() == "1")
            _node.Set($"ipv6/conf/{_outside}/accept_ra", "2");
        _node.Set("ipv6/conf/all/forwarding", "1");
        _node.Set($"ipv6/conf/{_outside}/proxy_ndp", "1");
    }

    /// <summary>
    /// In one transaction, over whatever is there: the chains are emptied and filled, the sets keep what they hold. Who leaves is judged before who
    /// enters: what one container may receive, another on the node may still not begin.
    /// </summary>
    private string Rules => $$"""
        add table inet {{_table}}
        add set inet {{_table}} holders { type ifname . ipv4_addr; }
        add set inet {{_table}} holders6 { type ifname . ipv6_addr; }
        add set inet {{_table}} ports { type ipv4_addr . inet_proto . inet_service; }
        add set inet {{_table}} ports6 { type ipv6_addr . inet_proto . inet_service; }
        add set inet {{_table}} flows { type ipv4_addr; size 65535; flags dynamic; }
        add set inet {{_table}} flows6 { type ipv6_addr; size 65535; flags dynamic; }
        add chain inet {{_table}} prerouting { type filter hook prerouting priority raw; }
        add chain inet {{_table}} input { type filter hook input priority filter; }
        add chain inet {{_table}} output { type filter hook output priority filter; }
        add chain inet {{_table}} forward { type filter hook forward priority filter; }
        add chain inet {{_table}} leave
        add chain inet {{_table}} enter
        flush table inet {{_table}}
        add rule inet {{_table}} prerouting iifgroup {{_group}} meta nfproto != { ipv4, ipv6 } drop
        add rule inet {{_table}} prerouting iifgroup {{_group}} iifname . ip saddr != @holders drop
        add rule inet {{_table}} prerouting iifgroup {{_group}} iifname . ip6 saddr != @holders6 drop
        add rule inet {{_table}} input iifgroup {{_group}} drop
        add rule inet {{_table}} output oifgroup {{_group}} ct state != related drop
        add rule inet {{_table}} leave ip saddr . meta l4proto . th sport @ports ct state established return
        add rule inet {{_table}} leave ip6 saddr . meta l4proto . th sport @ports6 ct state established return
        add rule inet {{_table}} leave meta l4proto { icmp, ipv6-icmp } ct state related return
        add rule inet {{_table}} leave drop
        add rule inet {{_table}} enter ct state invalid drop
        add rule inet {{_table}} enter ip daddr . meta l4proto . th dport @ports ct state new add @flows { ip daddr ct count over {{MostFlows}} } drop
        add rule inet {{_table}} enter ip6 daddr . meta l4proto . th dport @ports6 ct state new add @flows6 { ip6 daddr ct count over {{MostFlows}} } drop
        add rule inet {{_table}} enter ip daddr . meta l4proto . th dport @ports return
        add rule inet {{_table}} enter ip6 daddr . meta l4proto . th dport @ports6 return
        add rule inet {{_table}} enter meta l4proto { icmp, ipv6-icmp } ct state related return
        add rule inet {{_table}} enter drop
        add rule inet {{_table}} forward iifgroup {{_group}} jump leave
        add rule inet {{_table}} forward oifgroup {{_group}} jump enter

        """;

    private string Outside(ContainerId id) => Name("ga", id);

    // Counted among what goes to the world.
    private string Inside(ContainerId id) => Name(TunnelNames.WayOut, id);

    private string Name(string kind, ContainerId id) => kind + Convert.ToHexStringLower(Hash($"{id}").AsSpan(0, 6));

    // Away from the tables that people number by hand.
    private uint TableOf(IPAddress ip) => BinaryPrimitives.ReadUInt32BigEndian(Hash($"{ip}")) & 0x0FFF_FFFF | 0x2000_0000;

    private byte[] Hash(string what) => SHA256.HashData(Encoding.UTF8.GetBytes($"address\0{_scope}\0{what}"));

    private static string Element(IPAddress ip, Port port) => $"{ip} . {port.ToString().Replace("/", " . ", StringComparison.Ordinal)}";

    private static string Six(IPAddress ip) => ip.IsIPv4() ? "" : "6";

    private static void Ip(NetworkNamespace space, IPAddress ip, IReadOnlyCollection<string> commands)
    {
        if (commands.Count > 0)
            space.Run(Programs.Ip, [ip.IsIPv4() ? "-4" : "-6", "-batch", "/proc/self/fd/3"], string.Join('\n', commands) + "\n");
    }

    private Seen Tables()
    {
        var (holders, ports) = (new List<Holder>(), new List<(IPAddress, Port)>());
        // Of what is only counted nothing is read.
        foreach (var (name, elements) in _node.Sets(_table).Where(s => !s.Name.StartsWith("flows", StringComparison.Ordinal)))
        {
            foreach (var element in elements.EnumerateArray())
            {
                var (value, comment) = element.TryGetProperty("elem", out var e) ? (e.GetProperty("val"), e.TryGetProperty("comment", out var c) ? c.GetString() : null) : (element, null);
                var parts = value.GetProperty("concat");
                if (!name.StartsWith("holders", StringComparison.Ordinal))
                    ports.Add((IPAddress.Parse(parts[0].GetString()!), new Port(parts[1].GetString() == "tcp" ? Transport.Tcp : Transport.Udp, parts[2].GetInt32())));
                else if (ContainerId.TryParse(comment, out var id))
                    holders.Add(new Holder(id, parts[0].GetString()!, IPAddress.Parse(parts[1].GetString()!)));
            }
        }
        RoutingTables Of(bool isIPv4) => holders.Exists(h => h.Ip.IsIPv4() == isIPv4) ? RoutingTables.Read(_node, isIPv4) : RoutingTables.None;
        return new Seen(holders, ports, Of(isIPv4: true), Of(isIPv4: false));
    }

    private sealed record Seen(List<Holder> Holders, List<(IPAddress Ip, Port Port)> Ports, RoutingTables Four, RoutingTables Six)
    {
        public RoutingTables Routing(IPAddress ip) => ip.IsIPv4() ? Four : Six;
    }
}

/// <param name="Workload">the name of the workload in whose namespace it is; null when it is in none</param>
/// <param name="Whole">in there, and led to and from it</param>
internal sealed record AddressSighting(IPAddress Ip, ImmutableArray<Port> Ports, string? Workload, bool Whole);
