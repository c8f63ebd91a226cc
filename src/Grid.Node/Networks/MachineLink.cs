using Grid.Machines;
using Grid.Networks;
using Grid.Node.Containers;

namespace Grid.Node.Networks;

/// <summary>
/// How a machine has an address in a network: the namespace of its emulator hands on what comes, and has no address itself.
/// <code>
/// WireGuard ── gw… (the network's range) ── forwarding ── gt… (the one address) ── the machine
/// </code>
/// Whom the machine looks for in the range the tap answers for (proxy ARP, RFC 1027). A packet from another address than its own is not taken
/// (rp_filter), and nothing goes from a tap but into its own tunnel, nor the other way.
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
        var network = new System.Net.IPNetwork(Base(wish), wish.Bits);
        inside.Ip([
            "link set lo up", $"link set {name} down", $"addr flush dev {name}",
            .. NamespaceView.Has(init.Pid, tap) ? [] : (string[])[$"tuntap add dev {tap} mode tap user {owner.First}"],
            .. noLinkLocal, $"link set {tap} mtu {mtu}"]);
        // Before anything is up that could carry a packet.
        inside.Run(Programs.Nft, ["-f", "/proc/self/fd/3"], Rules(name, tap));
        Set(inside, "ipv4/ip_forward", "1");
        Set(inside, "ipv4/conf/all/rp_filter", "1");
        Set(inside, $"ipv4/conf/{tap}/proxy_arp", "1");
        Set(inside, $"ipv4/neigh/{tap}/proxy_delay", "0");
        inside.Ip($"link set {name} up", $"link set {tap} up", $"route replace {network} dev {name} scope link", $"route replace {wish.Address}/32 dev {tap} scope link",
            $"neigh replace {wish.Address} lladdr {Machine.Mac(number)} dev {tap} nud permanent");
    }

    private static string Rules(string name, string tap) => $$"""
        add table ip {{Table}}
        add set ip {{Table}} pairs { type ifname . ifname; }
        add chain ip {{Table}} forward { type filter hook forward priority filter; policy drop; }
        add chain ip {{Table}} input { type filter hook input priority filter; policy drop; }
        flush chain ip {{Table}} forward
        add element ip {{Table}} pairs { "{{name}}" . "{{tap}}", "{{tap}}" . "{{name}}" }
        add rule ip {{Table}} forward iifname . oifname @pairs accept

        """;

    // A setting is the namespace's of whoever writes it.
    private static void Set(NetworkNamespace inside, string setting, string value) =>
        inside.Run("/usr/bin/dd", ["if=/proc/self/fd/3", $"of=/proc/sys/net/{setting}", "status=none"], value + "\n");

    private static System.Net.IPAddress Base(Tunnel wish)
    {
        var bytes = wish.Address.GetAddressBytes();
        for (var bit = wish.Bits; bit < bytes.Length * 8; bit++)
            bytes[bit / 8] &= (byte)~(0x80 >> (bit % 8));
        return new System.Net.IPAddress(bytes);
    }
}
