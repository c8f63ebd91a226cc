using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text.Json;
using Grid.Networks;
using Grid.Node.Containers;

namespace Grid.Node.Networks;

/// <summary>
/// The kernel's own WireGuard. The interface is the tunnel, and says itself which: its alias is the id, and its name follows from id and node.
/// <code>gw0123456789ab alias agr1…/network/workload</code>
/// </summary>
/// <param name="node">a process in the node's namespace</param>
internal sealed class KernelWireGuard(ProcessIdentity node, string scope) : IWireGuard
{
    // A name follows from an id by a hash: what an alias has once said of it holds for ever. Null is another node's.
    private readonly ConcurrentDictionary<string, TunnelId?> _ids = new();

    /// <summary>Reads /proc. Where a namespace has an interface not met before, it starts one ip(8) in there.</summary>
    public ImmutableArray<IRunningTunnel> Find()
    {
        var found = ImmutableArray.CreateBuilder<IRunningTunnel>();
        var spaces = new HashSet<string>();
        // The node's first: what is being moved out of it is seen twice rather than not at all.
        foreach (var pid in Processes.Numbers().Prepend(node.Pid))
        {
            if (new FileInfo($"/proc/{pid}/ns/net").LinkTarget is not { } space || spaces.Contains(space))
                continue;
            var names = NamespaceView.Names(pid).Where(TunnelNames.IsTunnel).ToList();
            // One that ended meanwhile has seen nothing; another in the same namespace is asked then.
            if (Processes.Identify(pid) is not { } within || !Read(within, names))
                continue;
            spaces.Add(space);
            found.AddRange(from name in names where _ids.GetValueOrDefault(name) is not null select new KernelTunnel(_ids[name]!.Value, name, within));
        }
        return found.ToImmutable();
    }

    public IRunningTunnel Start(TunnelId id, string name)
    {
        Forget(name);
        using var space = NetworkNamespace.Of(node) ?? throw KernelTunnel.Over(node);
        // The alias is not taken when it is made. That the agent is killed between the two does not stop ip(8).
        space.Ip($"link add {name} type wireguard", $"link set {name} alias {id}");
        _ids[name] = id;
        return new KernelTunnel(id, name, node);
    }

    /// <summary>One without an alias is of nobody, and its name is this node's.</summary>
    public void Forget(string name)
    {
        if (!NamespaceView.Has(node.Pid, name) || NetworkNamespace.Of(node) is not { } space)
            return;
        using (space)
        {
            if (Aliases(space).Any(a => a.Name == name && a.Alias is null))
                space.Ip($"link del {name}");
        }
    }

    /// <returns>false when the process has ended</returns>
    private bool Read(ProcessIdentity within, List<string> names)
    {
        if (names.TrueForAll(_ids.ContainsKey))
            return true;
        using var space = NetworkNamespace.Of(within);
        if (space is null)
            return false;
        foreach (var (name, alias) in Aliases(space).Where(a => a.Alias is not null))
            _ids[name] = TunnelId.TryParse(alias, out var id) && id.InterfaceName(TunnelNames.Tunnel, scope) == name ? id : null;
        return true;
    }

    private static List<(string Name, string? Alias)> Aliases(NetworkNamespace space)
    {
        using var links = JsonDocument.Parse(space.Run(Programs.Ip, ["-j", "link", "show", "type", "wireguard"]));
        // ip(8) writes an empty object for what it leaves out.
        return
        [
            .. from link in links.RootElement.EnumerateArray()
               where link.TryGetProperty("ifname", out _)
               select (link.GetProperty("ifname").GetString()!, link.TryGetProperty("ifalias", out var alias) ? alias.GetString() : null),
        ];
    }
}

/// <param name="Within">a process in the namespace that it is in</param>
internal sealed record KernelTunnel(TunnelId Id, string Interface, ProcessIdentity Within) : IRunningTunnel
{
    public static IOException Over(ProcessIdentity process) => new($"process {process.Pid} has ended");

    /// <summary>Never: the kernel listens from the moment that it is up.</summary>
    public bool IsYoung(DateTimeOffset now) => false;

    public WireGuardState Get()
    {
        using var space = NetworkNamespace.Of(Within) ?? throw Over(Within);
        var dump = space.RunForSecret(Programs.Wg, ["show", Interface, "dump"]);
        try
        {
            return WireGuardTool.Parse(dump.Span);
        }
        catch (FormatException e)
        {
            throw new IOException($"wg says of {Interface} what cannot be read: {e.Message}", e);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(dump.Span);
        }
    }

    // What is in the kernel does not hang: a failure is wg's, and making another one would drop its sessions.
    public WireGuardState? Answer() => Get();

    public void Set(WireGuardChange change, ReadOnlySpan<byte> privateKey)
    {
        using var space = NetworkNamespace.Of(Within) ?? throw Over(Within);
        var key = change.Key ? WireGuardTool.Text(privateKey) : [];
        try
        {
            space.Run(Programs.Wg, WireGuardTool.Set(Interface, change), key);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
        }
    }

    public bool End()
    {
        // Without the process the namespace is over, and the interface with it.
        using var space = NetworkNamespace.Of(Within);
        if (space is not null && NamespaceView.Has(Within.Pid, Interface))
            space.Ip($"link del {Interface}");
        return true;
    }
}
