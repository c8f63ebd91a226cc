using System.Net;
using Grid.Machines;
using Grid.Networks;
using Grid.Node.Containers;

namespace Grid.Node.Networks;

/// <summary>
/// How a machine has an address in a network: the namespace of its emulator hands on what comes, and answers nobody itself.
/// <code>
/// WireGuard ── gw… (the network's range) ── forwarding ── gt… (the one address) ── the machine
/// the world ── gc… (a way out by nat)    ── masquerade ──┤
/// the world ── gc… (a public address)    ── forwarding ──┘ of its first card
/// </code>
/// By IPv4 the tap answers for whom the machine looks (proxy ARP, RFC 1027), if a way leads there: a guest's gateway is any address of the network. By IPv6 it
/// answers for <see cref="Gateway"/> alone, which is the gateway of every guest. A packet from another address than the machine's is not taken (rp_filter,
/// nftables), and nothing goes from a tap but into its own tunnel and by the ways out that are agreed, nor the other way.
/// </summary>
internal static class MachineLink
{
    // Asked: the solicited-node multicast address of the gateway (RFC 4291 §2.7.1).
    private const string Table = "grid_machine", Asked = "ff02::1:ff00:1";

    /// <summary>What a guest sends IPv6 to, whatever its network.</summary>
    public static readonly IPAddress Gateway = IPAddress.Parse("fe80::1");

    /// <param name="init">the emulator's process, which owns the tap; one that is there already is kept, for it may hold it</param>
    /// <param name="number">of the machine's interface</param>
    public static void Place(NetworkNamespace inside, ProcessIdentity init, string name, string tap, int number, Tunnel wish, int mtu)
    {
        var owner = Processes.UidRangeOf(init.Pid) ?? throw new IOException($"process {init.Pid} has no range of user ids");
        var network = new IPNetwork(Base(wish), wish.Bits);
        inside.Ip([
            "link set lo up", $"link set {name} down", $"addr flush dev {name}",
            .. NamespaceView.Has(init.Pid, tap) ? [] : (string[])[$"tuntap add dev {tap} mode tap user {owner.First}"],
            .. NetworkNamespace.NoLinkLocal(name, tap), $"link set {tap} mtu {mtu}"]);
        // Before anything is up that could carry a packet.
        Pass(inside, name, tap);
        inside.Set("ipv4/ip_forward", "1");
        inside.Set("ipv4/conf/all/rp_filter", "1");
        inside.Set($"ipv4/conf/{tap}/proxy_arp", "1");
        inside.Set($"ipv4/neigh/{tap}/proxy_delay", "0");
        if (!wish.Address.IsIPv4())
            Open6(inside, name, tap, wish.Address);
        // A guest has no say by IPv6 where it has none; a public address of it may be here already.
        else if (NetworkNamespace.HasSix && !NamespaceView.HasSixBehind(init.Pid, tap))
            inside.Set($"ipv6/conf/{tap}/disable_ipv6", "1");
        inside.Ip([$"link set {name} up", $"link set {tap} up", $"route replace {network} dev {name}", .. Behind(wish.Address, tap, number)]);
    }

    /// <summary>It may leave by <paramref name="way"/>, as the address that this link has. What comes back was begun from within: the node's rules let nothing else through.</summary>
    public static void LeadOut(NetworkNamespace inside, string way, string tap)
    {
        Pass(inside, way, tap, $$"""
            add table ip {{TableOf(way)}}
            add chain ip {{TableOf(way)}} postrouting { type nat hook postrouting priority srcnat; }
            flush chain ip {{TableOf(way)}} postrouting
            add rule ip {{TableOf(way)}} postrouting oifname "{{way}}" masquerade
            add set ip {{TableOf(way)}} flows { type ipv4_addr; size 1; flags dynamic; }
            add chain ip {{TableOf(way)}} forward { type filter hook forward priority filter; }
            flush chain ip {{TableOf(way)}} forward
            add rule ip {{TableOf(way)}} forward oifname "{{way}}" ct state new add @flows { ip saddr ct count over {{NatEgress.MostFlows}} } drop
            """);
    }

    /// <summary>It may not any more. Without a table that translates, the namespace remembers no connections: a guest could make it remember many.</summary>
    public static void KeepIn(NetworkNamespace inside, string way, string tap)
    {
        Pass(inside, way, tap, $$"""
            {{Unpaired("ip", way, tap)}}
            add table ip {{TableOf(way)}}
            delete table ip {{TableOf(way)}}
            """);
    }

    /// <summary>A public address is the machine's on its first card. What of it passes, and in which direction, the node's own rules say.</summary>
    /// <param name="way">the end of the address's link in there</param>
    public static void Lead(NetworkNamespace inside, string way, string tap, IPAddress address)
    {
        if (address.IsIPv4())
            Pass(inside, way, tap);
        else
            Open6(inside, way, tap, address);
        inside.Ip(Behind(address, tap, 0));
    }

    /// <summary>It is not the machine's any more. The route goes last, for by that it is found again.</summary>
    public static void Leave(NetworkNamespace inside, string way, string tap, IPAddress address)
    {
        if (address.IsIPv4())
            Pass(inside, way, tap, Unpaired("ip", way, tap));
        else
            Pass6(inside, way, tap, address, $$"""
                {{Unpaired("ip6", way, tap)}}
                delete element ip6 {{Table}} addresses { "{{tap}}" . {{address}} }
                """);
        // What is not there cannot be deleted.
        inside.Ip([.. Behind(address, tap, 0), $"neigh del {address} dev {tap}", $"route del {address}/{RoutingTables.Bits(address)} dev {tap}"]);
    }

    // The route says that it is whole, and comes last.
    private static string[] Behind(IPAddress address, string tap, int number) =>
        [$"neigh replace {address} lladdr {Machine.Mac(number)} dev {tap} nud permanent", $"route replace {address}/{RoutingTables.Bits(address)} dev {tap}"];

    private static void Open6(NetworkNamespace inside, string name, string tap, IPAddress address)
    {
        Pass6(inside, name, tap, address);
        // Who forwards takes no addresses and routes from advertisements. A kernel may be told to give no new link IPv6.
        inside.Set("ipv6/conf/all/forwarding", "1");
        inside.Set($"ipv6/conf/{name}/disable_ipv6", "0");
        inside.Set($"ipv6/conf/{tap}/disable_ipv6", "0");
        inside.Ip($"addr replace {Gateway}/64 dev {tap} nodad");
    }

    private static string Unpaired(string family, string way, string tap) => $$"""delete element {{family}} {{Table}} pairs { "{{way}}" . "{{tap}}", "{{tap}}" . "{{way}}" }""";

    private static void Pass(NetworkNamespace inside, string name, string tap, string more = "") => inside.Nft(Pairs("ip", name, tap) + more + "\n");

    // The kernel answers what it cannot read before any rule sees it, and what it cannot forward before "forward" does; whoever it would answer becomes a neighbour, of
    // which it has a thousand for all of the node, and waits in a queue that all of its namespaces share. So nothing comes in from a tap but from the machine's own
    // addresses to elsewhere, and the question where the gateway is; and nothing is said to a tap but the answer, and what concerns those addresses. Of
    // link-local addresses a guest makes as many as it likes: those that the set has no room for ask in vain.
    private static void Pass6(NetworkNamespace inside, string name, string tap, IPAddress address, string more = "") => inside.Nft(Pairs("ip6", name, tap) + $$"""
        add set ip6 {{Table}} addresses { type ifname . ipv6_addr; }
        add set ip6 {{Table}} neighbours { type ifname . ipv6_addr; size 16; flags dynamic,timeout; timeout 1h; }
        add chain ip6 {{Table}} prerouting { type filter hook prerouting priority raw; }
        add chain ip6 {{Table}} output { type filter hook output priority filter; }
        add chain ip6 {{Table}} ask
        flush chain ip6 {{Table}} prerouting
        flush chain ip6 {{Table}} input
        flush chain ip6 {{Table}} output
        flush chain ip6 {{Table}} ask
        add element ip6 {{Table}} addresses { "{{tap}}" . {{address}} }
        add rule ip6 {{Table}} prerouting iifname != "{{TunnelNames.Tap}}*" accept
        add rule ip6 {{Table}} prerouting ip6 daddr { {{Gateway}}, {{Asked}} } ip6 nexthdr icmpv6 icmpv6 type nd-neighbor-solicit ip6 hoplimit 255 jump ask
        add rule ip6 {{Table}} prerouting ip6 daddr != { fe80::/10, ff00::/8 } iifname . ip6 saddr @addresses accept
        add rule ip6 {{Table}} prerouting drop
        add rule ip6 {{Table}} ask iifname . ip6 saddr @addresses accept
        add rule ip6 {{Table}} ask ip6 saddr fe80::/10 update @neighbours { iifname . ip6 saddr } accept
        add rule ip6 {{Table}} ask drop
        add rule ip6 {{Table}} input iifname "{{TunnelNames.Tap}}*" icmpv6 type nd-neighbor-solicit accept
        add rule ip6 {{Table}} output oifname != "{{TunnelNames.Tap}}*" accept
        add rule ip6 {{Table}} output icmpv6 type nd-neighbor-advert accept
        add rule ip6 {{Table}} output oifname . ip6 daddr @addresses accept
        add rule ip6 {{Table}} output drop
        {{more}}

        """);

    // In one transaction, over whatever is there: the chain is emptied and filled, the set keeps what it holds.
    private static string Pairs(string family, string name, string tap) => $$"""
        add table {{family}} {{Table}}
        add set {{family}} {{Table}} pairs { type ifname . ifname; }
        add chain {{family}} {{Table}} forward { type filter hook forward priority filter; policy drop; }
        add chain {{family}} {{Table}} input { type filter hook input priority filter; policy drop; }
        flush chain {{family}} {{Table}} forward
        add element {{family}} {{Table}} pairs { "{{name}}" . "{{tap}}", "{{tap}}" . "{{name}}" }
        add rule {{family}} {{Table}} forward iifname . oifname @pairs accept

        """;

    private static string TableOf(string way) => $"grid_{way}";

    private static IPAddress Base(Tunnel wish)
    {
        var bytes = wish.Address.GetAddressBytes();
        for (var bit = wish.Bits; bit < bytes.Length * 8; bit++)
            bytes[bit / 8] &= (byte)~(0x80 >> (bit % 8));
        return new IPAddress(bytes);
    }
}

/// <summary>The first card of a machine, seen from outside of it.</summary>
/// <param name="Mtu">how large a packet it takes</param>
internal sealed record MachineCard(string Tap, int Mtu);
