using System.Collections.Immutable;
using System.Diagnostics;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using Grid.Networks;
using Grid.Node.Containers;

namespace Grid.Node.Networks;

/// <summary>
/// Makes, observes, repairs and removes the tunnels of this node; decides nothing. Every effect may run twice and may be cut short anywhere.
/// Effects on one tunnel must not overlap; on different ones they may.
/// <code>
/// node's namespace       WireGuard's UDP socket ── underlay
///                             │ the kernel, or wireguard-go
/// container's namespace    gw…: address/bits, on-link route; lo; nothing else
/// emulator's namespace     gw…: on-link route ── gt…: a tap, behind which the machine has the address, see <see cref="MachineLink"/>
/// </code>
/// </summary>
public sealed class TunnelHost : IDisposable
{
    // RFC 8200 §5: what carries IPv6 takes as much as the smaller. What then does not fit into a packet of the underlay is sent in two.
    private const int SmallestMtu = 1280, LargestMtu = 1420, WireGuardOverhead = 80;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    // A handshake that is half done looks as if it had crossed another; and of calls that follow within 20 ms the second is dropped as a flood, and not
    // repeated for five seconds.
    private static readonly TimeSpan Lull = TimeSpan.FromMilliseconds(50);

    private readonly TunnelKeys _keys;
    private readonly NetworkNamespace _node;
    private readonly int _inNode;
    private readonly IWireGuard _wireGuard;
    private readonly ImmutableArray<IWireGuard> _all;
    private readonly WaysOut _waysOut;
    private readonly UdpPorts _ports;

    private readonly string _scope;
    private readonly TimeProvider _time;

    private TunnelHost(TunnelKeys keys, NetworkNamespace node, ProcessIdentity inNode, string scope, WireGuardEngine engine, TimeProvider time)
    {
        (_keys, _node, _inNode, _scope, Engine, _time) = (keys, node, inNode.Pid, scope, engine, time);
        // Tunnels that an earlier agent made of the other are kept for as long as they are wished.
        _all = [.. engine.InKernel ? (IWireGuard[])[new KernelWireGuard(inNode, scope)] : [], new WireGuardGo(node, scope)];
        _wireGuard = engine.IsKernel ? _all[0] : _all[^1];
        _waysOut = new WaysOut(node, inNode.Pid, scope);
        _ports = new UdpPorts(node);
    }

    /// <summary>What new tunnels are made of.</summary>
    public WireGuardEngine Engine { get; }

    /// <summary>Looks for what this machine offers: the kernel's own WireGuard where it has one, otherwise wireguard-go.</summary>
    /// <param name="scope">tells this node's tunnels from those of other nodes of the machine; its run directory, say</param>
    /// <param name="inNode">a process in the network namespace in which the node is reached, for as long as this one runs: the agent itself, or another</param>
    /// <returns>null, and in <paramref name="why"/> what is missing</returns>
    public static TunnelHost? Open(string scope, TunnelKeys keys, int inNode, TimeProvider time, out string why) => Open(scope, keys, inNode, null, time, out why);

    /// <param name="engine">null: whichever is found</param>
    internal static TunnelHost? Open(string scope, TunnelKeys keys, int inNode, WireGuardEngine? engine, TimeProvider time, out string why)
    {
        why = "";
        if (!Environment.IsPrivilegedProcess)
            why = "tunnels need root";
        else if (new[] { Programs.Ip, Programs.Nsenter, Programs.Setsid, Programs.Nft }.FirstOrDefault(p => !File.Exists(p)) is { } program)
            why = $"{program} is not installed";
        else if (Processes.Identify(inNode) is not { } process || NetworkNamespace.Of(process) is not { } node)
            why = $"process {inNode} has ended";
        else
        {
            engine ??= WireGuardEngine.Find();
            if (engine.IsKernel || WireGuardGo.Missing() is not { } missing)
            {
                var host = new TunnelHost(keys, node, process, scope, engine, time);
                host._waysOut.Sweep();
                return host;
            }
            node.Dispose();
            why = $"{engine.Why}, and {missing}";
        }
        return null;
    }

    /// <summary>Takes away what was left by tunnels that were killed and whose workloads are gone. Where that cannot be told now, the next agent tells.</summary>
    public void Sweep()
    {
        try
        {
            WireGuardGo.Sweep(_time.GetUtcNow());
        }
        catch (Exception e) when (Effect.IsOfTheMachine(e))
        {
            // As above.
        }
    }

    /// <summary>
    /// Reads /proc and asks every tunnel, one of the kernel's by wg(8). Nothing else is started, but for one nft(8) when any of them has a way out and
    /// one ip(8) for a namespace with tunnels not met before.
    /// </summary>
    /// <param name="init">the first process of the container that a tunnel belongs to; null when there is none</param>
    /// <exception cref="IOException">what is there cannot be told</exception>
    public IReadOnlyDictionary<TunnelId, TunnelSighting> Observe(Func<TunnelId, ProcessIdentity?> init)
    {
        var seen = new Dictionary<TunnelId, TunnelSighting>();
        foreach (var tunnel in Find())
            seen[tunnel.Id] = Observe(tunnel, init(tunnel.Id));
        _waysOut.Confirm(seen);
        return seen;
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

    /// <summary>Ends it and its way out. The address and the route go with the interface.</summary>
    public Task<Outcome> RemoveAsync(TunnelId id) => Effect.Run(() =>
    {
        if (!Find(id).TrueForAll(t => t.End()))
            return new Outcome.Transient($"{id} does not end");
        foreach (var wireGuard in _all)
            wireGuard.Forget(NameOf(id));
        _waysOut.Close(id);
        return new Outcome.Done();
    });

    /// <summary>Ends what is left of a container's ways out, once the container is gone.</summary>
    public async Task<Outcome> ReleaseAsync(ContainerId container)
    {
        foreach (var id in _waysOut.Of(container))
        {
            if (await RemoveAsync(id) is not Outcome.Done and var failed)
                return failed;
        }
        return new Outcome.Done();
    }

    /// <summary>A UDP port for a new tunnel, the same every time while it is free: from its hash on, the next that is not taken.</summary>
    /// <param name="taken">by other tunnels of this node that are agreed but may not run yet</param>
    /// <exception cref="IOException">every one is taken</exception>
    public int ChoosePort(TunnelId id, IReadOnlySet<int> taken) => _ports.Choose(id, taken);

    public void Dispose() => _node.Dispose();

    internal string NameOf(TunnelId id) => id.InterfaceName(TunnelNames.Tunnel, _scope);

    internal IWireGuard WireGuard => _wireGuard;

    /// <summary>The end of a machine's interface that is outside of the machine, in the namespace of its emulator.</summary>
    public string TapOf(TunnelId id) => id.InterfaceName(TunnelNames.Tap, _scope);

    private TunnelPlace? PlaceOf(int pid, TunnelId id) => NamespaceView.PlaceBehind(pid, NameOf(id), TapOf(id)) ?? NamespaceView.Place(pid, NameOf(id));

    private IEnumerable<IRunningTunnel> Find() => _all.SelectMany(w => w.Find());

    private List<IRunningTunnel> Find(TunnelId id) => [.. Find().Where(t => t.Id == id)];

    private TunnelSighting Observe(IRunningTunnel tunnel, ProcessIdentity? init)
    {
        try
        {
            var state = tunnel.Get();
            return new TunnelSighting.Present(
                state, state.Port != 0 && NamespaceView.UdpIsBound(_inNode, state.Port),
                init is { } process && Processes.Identify(process.Pid) == process ? PlaceOf(process.Pid, tunnel.Id) : null,
                init is { } first ? _waysOut.Of(tunnel.Id, first) : Egress.None)
            {
                IsYoung = tunnel.IsYoung(_time.GetUtcNow()),
            };
        }
        catch (Exception e) when (Effect.IsOfTheMachine(e))
        {
            return new TunnelSighting.Unknown(e.Message);
        }
    }

    private Outcome Apply(TunnelId id, Tunnel wish, ProcessIdentity init, NetworkNamespace inside)
    {
        var name = NameOf(id);
        var running = Find(id);
        if (running is not [var tunnel] || !IsUsable(tunnel, init))
        {
            if (!running.TrueForAll(t => t.End()))
                return new Outcome.Transient($"{id} does not end");
            AwaitPort(wish.Port);
            tunnel = _wireGuard.Start(id, name);
        }
        Configure(tunnel, wish);
        if (!NamespaceView.Has(init.Pid, name))
            _node.Ip($"link set {name} mtu {Mtu()}", $"link set {name} netns {inside.Path}");
        if (PlaceOf(init.Pid, id) != new TunnelPlace(wish.Address, wish.Bits))
        {
            if (wish.Interface is { } number)
                MachineLink.Place(inside, init, name, TapOf(id), number, wish, Mtu());
            else
                Place(inside, name, wish);
        }
        // Before the link that leads out is there, and as long as it is.
        if (wish is { Interface: not null, Egress: Egress.Nat })
            MachineLink.LeadOut(inside, _waysOut.NameOf(id), TapOf(id));
        else if (wish.Interface is not null)
            MachineLink.KeepIn(inside, _waysOut.NameOf(id), TapOf(id));
        _waysOut.Apply(id, wish.Egress, init, inside);
        return new Outcome.Done();
    }

    // The kernel's is bound until the last of a container's namespace is gone, which is some time after its last process. Who else has it is met later.
    private void AwaitPort(int port)
    {
        for (var clock = Stopwatch.StartNew(); NamespaceView.UdpIsBound(_inNode, port) && clock.Elapsed < Patience; Thread.Sleep(1))
        {
        }
    }

    /// <summary>False when only a new one can put it right.</summary>
    private bool IsUsable(IRunningTunnel tunnel, ProcessIdentity init)
    {
        // In neither namespace: the container was made anew, and what it was moved into is going or gone.
        if (!NamespaceView.Has(init.Pid, tunnel.Interface) && !NamespaceView.Has(_inNode, tunnel.Interface))
            return false;
        if (tunnel.Answer() is not { } state)
            return false;
        // wireguard-go binds its socket once, when it sees the interface go up. Had another that port then, it does not try again.
        return PlaceOf(init.Pid, tunnel.Id) is null || NamespaceView.UdpIsBound(_inNode, state.Port) || tunnel.IsYoung(_time.GetUtcNow());
    }

    /// <summary>The interface is in the container's namespace, down or not what it must be. Nothing that was in it is kept.</summary>
    private static void Place(NetworkNamespace inside, string name, Tunnel wish)
    {
        var noDuplicates = wish.Address.IsIPv4() ? "" : " nodad";
        // The kernel makes the on-link route with the address, and no other is made.
        inside.Ip([
            "link set lo up", $"link set {name} down", $"addr flush dev {name}", .. NetworkNamespace.NoLinkLocal(name),
            $"addr add {wish.Address}/{wish.Bits} dev {name}{noDuplicates}", $"link set {name} up"]);
    }

    /// <summary>As much as fits into a packet of the smallest underlay with WireGuard's 80 bytes over IPv6, and no less than IPv6 needs; 1420 on Ethernet.</summary>
    public int Mtu()
    {
        using var links = JsonDocument.Parse(_node.Run(Programs.Ip, ["-j", "link", "show", "up"]));
        // ip(8) writes an empty object for what it leaves out. Ours are not the underlay.
        var underlay = from link in links.RootElement.EnumerateArray()
                       where link.TryGetProperty("ifname", out _) && !link.GetProperty("flags").EnumerateArray().Any(f => f.GetString() == "LOOPBACK") && !TunnelNames.IsOurs(link.GetProperty("ifname").GetString()!)
                       select link.GetProperty("mtu").GetInt32() - WireGuardOverhead;
        return int.Max(SmallestMtu, underlay.Append(LargestMtu).Min());
    }

    private void Configure(IRunningTunnel tunnel, Tunnel wish)
    {
        var change = WireGuardChange.Between(tunnel.Get(), wish, _time.GetUtcNow());
        if (change?.CallsAnew == true)
        {
            Thread.Sleep(Lull);
            change = WireGuardChange.Between(tunnel.Get(), wish, _time.GetUtcNow());
        }
        if (change is null)
            return;
        Span<byte> key = stackalloc byte[TunnelKeys.SecretSize];
        try
        {
            _keys.WritePrivate(tunnel.Id, key);
            tunnel.Set(change, key);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
        }
    }
}
