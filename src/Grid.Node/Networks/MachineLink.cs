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
/// Whom the machine looks for the tap answers for (proxy ARP, RFC 1027), if a way leads there: a guest's gateway is any address of the network. A packet from
/// another address than its own is not taken (rp_filter), and nothing goes from a tap but into its own tunnel and by the ways out that are agreed, nor the other way.
/// </summary>
internal static class MachineLink
{
    private const string Table = "grid_machine";

    /// <param name="init">the emulator's process, which owns the tap; one that is there already is kept, for it may hold it</param>
    /// <param name="number">of the machine's interface</param>
    public static void Place(NetworkNamespace inside, ProcessIdentity init, string name, string tap, int number, Tunnel wish, int mtu)
    {
        var owner = Processes.UidRangeOf(init.Pid) ?? throw new IOException($"process {init.Pid} has no range of user ids");
        string[] noLinkLocal = File.Exists("/proc/self/net/if_inet6") ? [$"link set {name} addrgenmode none", $"link set {tap} addrgenmode none"] : [];
        var network = new IPNetwork(Base(wish), wish.Bits);
        inside.Ip([
            "link set lo up", $"link set {name} down", $"addr flush dev {name}",
            .. NamespaceView.Has(init.Pid, tap) ? [] : (string[])[$"tuntap add dev {tap} mode tap user {owner.First}"],
            .. noLinkLocal, $"link set {tap} mtu {mtu}"]);
        // Before anything is up that could carry a packet.
        Pass(inside, name, tap);
        // A guest could give the namespace addresses and routes, by advertisements.
        if (noLinkLocal.Length > 0)
            Set(inside, $"ipv6/conf/{tap}/disable_ipv6", "1");
        Set(inside, "ipv4/ip_forward", "1");
        Set(inside, "ipv4/conf/all/rp_filter", "1");
        Set(inside, $"ipv4/conf/{tap}/proxy_arp", "1");
        Set(inside, $"ipv4/neigh/{tap}/proxy_delay", "0");
        inside.Ip($"link set {name} up", $"link set {tap} up", $"route replace {network} dev {name} scope link", $"route replace {wish.Address}/32 dev {tap} scope link",
            $"neigh replace {wish.Address} lladdr {Machine.Mac(number)} dev {tap} nud permanent");
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
            {{Unpaired(way, tap)}}
            add table ip {{TableOf(way)}}
            delete table ip {{TableOf(way)}}
            """);
    }

    /// <summary>A public address is the machine's on its first card. What of it passes, and in which direction, the node's own rules say.</summary>
    /// <param name="way">the end of the address's link in there</param>
    public static void Lead(NetworkNamespace inside, string way, string tap, IPAddress address)
    {
        Pass(inside, way, tap);
        inside.Ip($"route replace {address}/32 dev {tap} scope link", $"neigh replace {address} lladdr {Machine.Mac(0)} dev {tap} nud permanent");
    }

    /// <summary>It is not the machine's any more.</summary>
    public static void Leave(NetworkNamespace inside, string way, string tap, IPAddress address)
    {
        inside.Ip($"route del {address}/32 dev {tap}", $"neigh del {address} dev {tap}");
        Pass(inside, way, tap, Unpaired(way, tap));
    }

    private static string Unpaired(string way, string tap) => $$"""delete element ip {{Table}} pairs { "{{way}}" . "{{tap}}", "{{tap}}" . "{{way}}" }""";

    // In one transaction, over whatever is there: the chain is emptied and filled, the set keeps what it holds.
    private static void Pass(NetworkNamespace inside, string name, string tap, string more = "") => inside.Run(Programs.Nft, ["-f", "/proc/self/fd/3"], $$"""
        add table ip {{Table}}
        add set ip {{Table}} pairs { type ifname . ifname; }
        add chain ip {{Table}} forward { type filter hook forward priority filter; policy drop; }
        add chain ip {{Table}} input { type filter hook input priority filter; policy drop; }
        flush chain ip {{Table}} forward
        add element ip {{Table}} pairs { "{{name}}" . "{{tap}}", "{{tap}}" . "{{name}}" }
        add rule ip {{Table}} forward iifname . oifname @pairs accept
        {{more}}

        """);

    private static string TableOf(string way) => $"grid_{way}";

    // A setting is the namespace's of whoever writes it.
    private static void Set(NetworkNamespace inside, string setting, string value) =>
        inside.Run("/usr/bin/dd", ["if=/proc/self/fd/3", $"of=/proc/sys/net/{setting}", "status=none"], value + "\n");

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
