using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Units;

namespace Grid.Node.Networks;

/// <summary>
/// What /proc/PID/net says of one interface in the namespace of a process: nothing is started and no namespace is entered to know it.
/// A process that has ended sees nothing.
/// </summary>
internal static class NamespaceView
{
    private const int RouteIsUp = 0x1;

    /// <summary>The interface is there, up or not.</summary>
    public static bool Has(int pid, string name) => Names(pid).Contains(name);

    /// <summary>All interfaces, up or not.</summary>
    public static IEnumerable<string> Names(int pid) => from line in Lines(pid, "dev") let colon = line.IndexOf(':') where colon > 0 select line[..colon].Trim();

    /// <returns>null unless it is up with exactly one address, and exactly one route leads through it, on-link</returns>
    public static TunnelPlace? Place(int pid, string name)
    {
        if (!Has(pid, name))
            return null;
        if (Routes(pid, name).ToList() is not [{ Via: false, To: var prefix }])
            return null;
        // fib_trie does not say which interface has an address; the networks of one agreement do not overlap.
        var addresses = (prefix.BaseAddress.IsIPv4() ? Addresses4(pid).Where(prefix.Contains) : Addresses6(pid, name)).Distinct().ToList();
        return addresses is [var address] && prefix.Contains(address) ? new TunnelPlace(address, prefix.PrefixLength) : null;
    }

    /// <summary>Bytes that went through each interface whose name begins so.</summary>
    public static ImmutableArray<LinkTraffic> Traffic(int pid, string prefix)
    {
        var links = ImmutableArray.CreateBuilder<LinkTraffic>();
        // NAME: bytes packets errs drop fifo frame compressed multicast, then the same of what was sent.
        foreach (var line in Lines(pid, "dev").Select(l => l.Trim()).Where(l => l.StartsWith(prefix, StringComparison.Ordinal)))
        {
            var colon = line.IndexOf(':');
            var fields = Fields(line[(colon + 1)..]);
            links.Add(new LinkTraffic(line[..colon], Sent: new Bytes(long.Parse(fields[8], CultureInfo.InvariantCulture)), Received: new Bytes(long.Parse(fields[0], CultureInfo.InvariantCulture))));
        }
        return links.ToImmutable();
    }

    /// <returns>null unless one on-link route leads through it, and one to a single address of that route through <paramref name="tap"/></returns>
    public static TunnelPlace? PlaceBehind(int pid, string name, string tap) =>
        Routes(pid, name).ToList() is [{ Via: false, To: var prefix }] && Behind(pid, tap).Where(prefix.Contains).ToList() is [var address] ? new TunnelPlace(address, prefix.PrefixLength) : null;

    /// <summary>It is up, and the IPv4 default route leads through it.</summary>
    public static bool LeadsOut(int pid, string name) => Routes4(pid, name).Any(r => r is { Via: true, To.PrefixLength: 0 });

    /// <summary>It is up and a default route leads through it, on-link, and the address is one of the namespace's, or of the machine's behind a tap in there.</summary>
    public static bool IsAt(int pid, string name, IPAddress address)
    {
        var isIPv4 = address.IsIPv4();
        return (isIPv4 ? Routes4(pid, name) : Routes6(pid, name)).Any(r => r is { Via: false, To.PrefixLength: 0 })
            && ((isIPv4 ? Addresses4(pid) : Addresses6(pid, name)).Contains(address) || TapOf(pid, address) is not null);
    }

    public static bool UdpIsBound(int pid, int port) => UdpPorts(Lines(pid, "udp").Concat(Lines(pid, "udp6"))).Contains(port);

    /// <param name="lines">of /proc/net/udp: <c>sl local_address rem_address …</c>, an address in hex, a colon, the port in hex</param>
    public static IEnumerable<int> UdpPorts(IEnumerable<string> lines) =>
        from line in lines
        let local = Fields(line) is { Length: > 1 } f ? f[1] : ""
        let colon = local.IndexOf(':')
        where colon > 0
        select int.TryParse(local.AsSpan(colon + 1), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var port) ? port : 0;

    private static IEnumerable<(IPNetwork To, bool Via)> Routes(int pid, string name) => Routes4(pid, name).Concat(Routes6(pid, name));

    // Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT; addresses as a little-endian word in hex.
    private static IEnumerable<(IPNetwork To, bool Via)> Routes4(int pid, string name) =>
        from line in Lines(pid, "route")
        let f = Fields(line)
        where f.Length >= 8 && f[0] == name && (Hex(f[3]) & RouteIsUp) != 0
        select (new IPNetwork(new IPAddress(Hex(f[1])), System.Numerics.BitOperations.PopCount(Hex(f[7]))), Hex(f[2]) != 0);

    // destination length source length next-hop metric refcount use flags device. Multicast has its route on every interface.
    private static IEnumerable<(IPNetwork To, bool Via)> Routes6(int pid, string name) =>
        from line in Lines(pid, "ipv6_route")
        let f = Fields(line)
        where f.Length >= 10 && f[9] == name && (Hex(f[8]) & RouteIsUp) != 0 && !IsLocal(f[8]) && !f[0].StartsWith("ff", StringComparison.Ordinal)
        select (new IPNetwork(Address6(f[0]), (int)Hex(f[1])), f[4].AsSpan().ContainsAnyExcept('0'));

    /// <returns>the tap behind which an address is; null when it is behind none</returns>
    public static string? TapOf(int pid, IPAddress address) => Names(pid).Where(n => n.StartsWith(TunnelNames.Tap, StringComparison.Ordinal)).FirstOrDefault(tap => Behind(pid, tap).Contains(address));

    /// <summary>An IPv6 address is behind it.</summary>
    public static bool HasSixBehind(int pid, string tap) => Behind(pid, tap).Any(a => !a.IsIPv4());

    private static IEnumerable<IPAddress> Behind(int pid, string tap) =>
        from route in Routes(pid, tap) where !route.Via && route.To.PrefixLength == RoutingTables.Bits(route.To.BaseAddress) select route.To.BaseAddress;

    // "Local:", then for each leaf "|-- ADDRESS" and what it is; "/32 host LOCAL" is an address of an interface.
    private static IEnumerable<IPAddress> Addresses4(int pid)
    {
        IPAddress? leaf = null;
        foreach (var line in Lines(pid, "fib_trie").Select(l => l.Trim()))
        {
            if (line.StartsWith("|-- ", StringComparison.Ordinal))
                leaf = IPAddress.Parse(line.AsSpan(4));
            else if (line == "/32 host LOCAL" && leaf is not null)
                yield return leaf;
        }
    }

    // address index prefix scope flags device.
    private static IEnumerable<IPAddress> Addresses6(int pid, string name) =>
        from line in Lines(pid, "if_inet6")
        let f = Fields(line)
        where f.Length >= 6 && f[5] == name
        select Address6(f[0]);

    // RTF_LOCAL: the interface's own address, which is no route into the tunnel.
    private static bool IsLocal(string flags) => (Hex(flags) & 0x8000_0000) != 0;

    private static IPAddress Address6(string hex) => new(Convert.FromHexString(hex));

    private static uint Hex(string text) => uint.Parse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    private static string[] Fields(string line) => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    private static IEnumerable<string> Lines(int pid, string file)
    {
        try
        {
            return Processes.Read(pid, "net/" + file)?.Split('\n', StringSplitOptions.RemoveEmptyEntries) ?? [];
        }
        catch (IOException e) when ((e.HResult & 0xFFFF) is 22)
        {
            // EINVAL: the namespace of a process that is just ending.
            return [];
        }
    }
}

/// <summary>What went through a link since it was made.</summary>
internal readonly record struct LinkTraffic(string Name, Bytes Sent, Bytes Received);
