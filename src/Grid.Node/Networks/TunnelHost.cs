using System.Buffers;
using System.ComponentModel;
using System.Net.Sockets;
using System.Text.Json;
using Grid.Networks;
using Grid.Node.Containers;

namespace Grid.Node.Networks;

/// <summary>
/// Makes, observes, repairs and removes the tunnels of this node; decides nothing. Every effect may run twice and may be cut short anywhere.
/// Effects on one tunnel must not overlap; on different ones they may.
/// <code>
/// node's namespace       wireguard-go ── UDP socket ── underlay
///                             │ TUN
/// container's namespace    gw…: address/bits, on-link route; lo; nothing else
/// emulator's namespace     gw…: on-link route ── gt…: a tap, behind which the machine has the address, see <see cref="MachineLink"/>
/// </code>
/// </summary>
public sealed class TunnelHost : IDisposable
{
    private const int LargestMtu = 1420, WireGuardOverhead = 80;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2), Settle = TimeSpan.FromSeconds(5);
    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    private readonly TunnelKeys _keys;
    private readonly NetworkNamespace _node;
    private readonly WireGuardGo _wireGuard;
    private readonly NatEgress _egress;
    private readonly UdpPorts _ports;
    private readonly string _scope;
    private readonly TimeProvider _time;

    private TunnelHost(TunnelKeys keys, NetworkNamespace node, string scope, TimeProvider time)
    {
        (_keys, _node, _scope, _time) = (keys, node, scope, time);
        _wireGuard = new WireGuardGo(node, scope);
        _egress = new NatEgress(node, scope);
        _ports = new UdpPorts(node);
    }

    /// <summary>Looks for what this machine offers. A kernel's own WireGuard is not used, even where there is one.</summary>
    /// <param name="scope">tells this node's tunnels from those of other nodes of the machine; its run directory, say</param>
    /// <param name="underlay">the network namespace in which the node is reached: /proc/self/ns/net, the agent's own, or another</param>
    /// <returns>null, and in <paramref name="why"/> what is missing</returns>
    public static TunnelHost? Open(string scope, TunnelKeys keys, string underlay, TimeProvider time, out string why)
    {
        why = "";
        if (!Environment.IsPrivilegedProcess)
            why = "tunnels need root";
        else if (new[] { Programs.Ip, Programs.Nsenter, Programs.Setsid, Programs.Nft }.FirstOrDefault(p => !File.Exists(p)) is { } program)
            why = $"{program} is not installed";
        else if (WireGuardGo.Missing() is { } missing)
            why = missing;
        else
            return new TunnelHost(keys, NetworkNamespace.Open(underlay), scope, time);
        return null;
    }

    /// <summary>Reads /proc and asks every tunnel. Nothing is started, but for one nft(8) when any of them has a way out.</summary>
    /// <param name="init">the first process of the container that a tunnel belongs to; null when there is none</param>
    public IReadOnlyDictionary<TunnelId, TunnelSighting> Observe(Func<TunnelId, ProcessIdentity?> init)
    {
        var seen = new Dictionary<TunnelId, TunnelSighting>();
        foreach (var tunnel in _wireGuard.Find())
            seen[tunnel.Id] = Observe(tunnel, init(tunnel.Id));
        return Confirmed(seen);
    }

    /// <summary>Makes it, or makes of it what is wished. Sessions with peers that stay are not dropped, and nothing in the container is restarted.</summary>
    /// <param name="init">a process in the namespace that gets the interface: the first of the container, before or after its entry runs</param>
    public Task<Outcome> ApplyAsync(TunnelId id, Tunnel tunnel, ProcessIdentity init) => Effect.Run(() =>
    {
        if (_keys.PublicOf(id) != tunnel.Key)
            return new Outcome.Refused(new Refusal(RefusalCode.TunnelMismatch, $"The key published for {id.Of} is not this node's.", "The node has to publish its tunnels anew."));
        using var inside = NetworkNamespace.Of(init);
        return inside is null ? new Outcome.Transient($"process {init.Pid} has ended") : Apply(id, tunnel, init, inside);
    });

    /// <summary>Ends it and its way out. The interface goes with the process, the address and the route with the interface.</summary>
    public Task<Outcome> RemoveAsync(TunnelId id) => Effect.Run(() =>
    {
        foreach (var process in _wireGuard.Find().Where(t => t.Id == id))
        {
            if (!WireGuardGo.End(process))
                return new Outcome.Transient($"the process of {id} does not end");
        }
        _egress.Close(id);
        File.Delete(WireGuardSocket.PathOf(NameOf(id)));
        return new Outcome.Done();
    });

    /// <summary>A UDP port for a new tunnel, the same every time while it is free: from its hash on, the next that is not taken.</summary>
    /// <param name="taken">by other tunnels of this node that are agreed but may not run yet</param>
    /// <exception cref="IOException">every one is taken</exception>
    public int ChoosePort(TunnelId id, IReadOnlySet<int> taken) => _ports.Choose(id, taken);

    public void Dispose() => _node.Dispose();

    internal string NameOf(TunnelId id) => id.InterfaceName("gw", _scope);

    /// <summary>The end of a machine's interface that is outside of the machine, in the namespace of its emulator.</summary>
    public string TapOf(TunnelId id) => id.InterfaceName("gt", _scope);

    private TunnelPlace? PlaceOf(int pid, TunnelId id) => NamespaceView.PlaceBehind(pid, NameOf(id), TapOf(id)) ?? NamespaceView.Place(pid, NameOf(id));

    private TunnelSighting Observe(TunnelProcess tunnel, ProcessIdentity? init)
    {
        try
        {
            var state = WireGuardSocket.Get(tunnel.Interface);
            return new TunnelSighting.Present(
                state, state.Port != 0 && NamespaceView.UdpIsBound(tunnel.Process.Pid, state.Port),
                init is { } process && Processes.Identify(process.Pid) == process ? PlaceOf(process.Pid, tunnel.Id) : null,
                init is { } first && _egress.IsLinked(tunnel.Id, tunnel.Process.Pid, first))
            {
                IsYoung = IsYoung(tunnel),
            };
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            return new TunnelSighting.Unknown(e.Message);
        }
    }

    private bool IsYoung(TunnelProcess tunnel) => _time.GetUtcNow() - Processes.Started(tunnel.Process) < Settle;

    /// <summary>Links alone are no way out: what flushed the node's rules took the way with them.</summary>
    private Dictionary<TunnelId, TunnelSighting> Confirmed(Dictionary<TunnelId, TunnelSighting> seen)
    {
        var linked = seen.Where(s => s.Value is TunnelSighting.Present { Nat: true }).ToList();
        if (linked.Count == 0)
            return seen;
        IReadOnlySet<string>? passing = null;
        var why = "";
        try
        {
            passing = _egress.Passing();
        }
        catch (Exception e) when (e is IOException or Win32Exception)
        {
            why = e.Message;
        }
        foreach (var (id, sighting) in linked)
            seen[id] = passing is null ? new TunnelSighting.Unknown(why) : (TunnelSighting.Present)sighting with { Nat = passing.Contains(_egress.Outside(id)) };
        return seen;
    }

    private Outcome Apply(TunnelId id, Tunnel wish, ProcessIdentity init, NetworkNamespace inside)
    {
        var name = NameOf(id);
        var running = _wireGuard.Find().Where(t => t.Id == id).ToList();
        if (running is not [var tunnel] || !IsUsable(tunnel, init))
        {
            if (!running.TrueForAll(WireGuardGo.End))
                return new Outcome.Transient($"the process of {id} does not end");
            tunnel = _wireGuard.Start(id, name);
        }
        Configure(id, name, wish);
        if (!NamespaceView.Has(init.Pid, name))
            _node.Ip($"link set {name} mtu {Mtu()}", $"link set {name} netns {inside.Path}");
        if (PlaceOf(init.Pid, id) != new TunnelPlace(wish.Address, wish.Bits))
        {
            if (wish.Interface is { } number)
                MachineLink.Place(inside, init, name, TapOf(id), number, wish, Mtu());
            else
                Place(inside, name, wish);
        }
        if (wish.Egress is Egress.None)
        {
            if (NamespaceView.Has(tunnel.Process.Pid, _egress.Outside(id)))
                _egress.Close(id);
        }
        else if (!_egress.IsLinked(id, tunnel.Process.Pid, init) || !_egress.Passing().Contains(_egress.Outside(id)))
            _egress.Open(id, inside);
        return new Outcome.Done();
    }

    /// <summary>False when only a new process can put it right.</summary>
    private bool IsUsable(TunnelProcess tunnel, ProcessIdentity init)
    {
        // In neither namespace: the container was made anew, and what it was moved into is going or gone.
        if (!NamespaceView.Has(init.Pid, tunnel.Interface) && !NamespaceView.Has(tunnel.Process.Pid, tunnel.Interface))
            return false;
        // Somebody else, an agent that was killed a moment ago perhaps, may have just started it.
        if (WireGuardGo.Answer(tunnel.Interface, Patience) is not { } state)
            return false;
        // wireguard-go binds its socket once, when it sees the interface go up. Had another that port then, it does not try again.
        return PlaceOf(init.Pid, tunnel.Id) is null || NamespaceView.UdpIsBound(tunnel.Process.Pid, state.Port)
            || IsYoung(tunnel);
    }

    /// <summary>The interface is in the container's namespace, down or not what it must be. Nothing that was in it is kept.</summary>
    private static void Place(NetworkNamespace inside, string name, Tunnel wish)
    {
        List<string> commands = ["link set lo up", $"link set {name} down", $"addr flush dev {name}"];
        // No link-local address: it would answer to more than it was given. Set while down, for it takes effect on the way up.
        if (File.Exists("/proc/self/net/if_inet6"))
            commands.Add($"link set {name} addrgenmode none");
        var noDuplicates = wish.Address.AddressFamily is AddressFamily.InterNetworkV6 ? " nodad" : "";
        // The kernel makes the on-link route with the address, and no other is made.
        inside.Ip([.. commands, $"addr add {wish.Address}/{wish.Bits} dev {name}{noDuplicates}", $"link set {name} up"]);
    }

    /// <summary>As much as fits into a packet of the smallest underlay with WireGuard's 80 bytes over IPv6; 1420 on Ethernet.</summary>
    public int Mtu()
    {
        using var links = JsonDocument.Parse(_node.Run(Programs.Ip, ["-j", "link", "show", "up"]));
        // ip(8) writes an empty object for what it leaves out.
        var underlay = from link in links.RootElement.EnumerateArray()
                       where link.TryGetProperty("ifname", out _) && !link.GetProperty("flags").EnumerateArray().Any(f => f.GetString() == "LOOPBACK") && !IsOurs(link.GetProperty("ifname").GetString()!)
                       select link.GetProperty("mtu").GetInt32() - WireGuardOverhead;
        return underlay.Append(LargestMtu).Min();
    }

    // Ours are not the underlay, whichever node of the machine made them.
    private static bool IsOurs(string name) => name.Length == 14 && name[0] == 'g' && name.AsSpan(2).IndexOfAnyExcept(HexDigits) < 0;

    private void Configure(TunnelId id, string name, Tunnel wish)
    {
        if (WireGuardChange.Between(WireGuardSocket.Get(name), wish, _time.GetUtcNow()) is not { } change)
            return;
        Span<byte> key = stackalloc byte[TunnelKeys.SecretSize];
        _keys.WritePrivate(id, key);
        WireGuardSocket.Set(name, change, key);
        System.Security.Cryptography.CryptographicOperations.ZeroMemory(key);
    }
}
