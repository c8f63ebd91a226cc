using System.Collections.Immutable;
using System.Diagnostics;
using System.Net.Sockets;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;

namespace Grid.Node.Networks;

/// <summary>A process that is a tunnel: the interface ends with it.</summary>
internal sealed record TunnelProcess(TunnelId Id, ProcessIdentity Process, string Interface);

/// <summary>
/// WireGuard as a process per interface, in its own session, nobody's child. Its environment says which tunnel of which node it is:
/// <code>GRID_TUNNEL=agr1…/network/workload GRID_NODE=scope</code>
/// It is born in the node's namespace, where its UDP socket stays when the interface is moved into a container's.
/// </summary>
internal sealed class WireGuardGo(NetworkNamespace node, string scope)
{
    private const string TunnelVariable = "GRID_TUNNEL=", NodeVariable = "GRID_NODE=";
    private static readonly TimeSpan Birth = TimeSpan.FromSeconds(5), Death = TimeSpan.FromSeconds(2), Moment = TimeSpan.FromMilliseconds(100);

    /// <returns>what is missing, or null</returns>
    public static string? Missing()
    {
        if (!File.Exists(Programs.WireGuardGo))
            return $"{Programs.WireGuardGo} is not installed";
        try
        {
            using var tun = File.OpenHandle("/dev/net/tun", FileMode.Open, FileAccess.ReadWrite);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"the kernel has no TUN: {e.Message}";
        }
    }

    public ImmutableArray<TunnelProcess> Find()
    {
        var found = ImmutableArray.CreateBuilder<TunnelProcess>();
        foreach (var (pid, args) in Processes.All())
        {
            if (args[0] != Programs.WireGuardGo || Processes.Identify(pid) is not { } process || Processes.Read(pid, "environ")?.Split('\0') is not { } environment)
                continue;
            if (environment.Contains(NodeVariable + scope)
                && TunnelId.TryParse(environment.FirstOrDefault(v => v.StartsWith(TunnelVariable, StringComparison.Ordinal))?[TunnelVariable.Length..], out var id))
                found.Add(new TunnelProcess(id, process, args[^1]));
        }
        return found.ToImmutable();
    }

    /// <summary>Starts it and waits until it answers.</summary>
    /// <exception cref="IOException">it does not</exception>
    public TunnelProcess Start(TunnelId id, string name)
    {
        for (var clock = Stopwatch.StartNew(); clock.Elapsed < Birth;)
        {
            node.Leave(Programs.WireGuardGo, ["-f", name], [TunnelVariable + id, NodeVariable + scope, "LOG_LEVEL=silent"]);
            do
            {
                if (Answer(name, Moment) is not null && Find().FirstOrDefault(p => p.Id == id) is { } started)
                    return started;
            }
            while (clock.Elapsed < Birth && Find().Any(p => p.Id == id));
            // It ended at once: one that was killed before it may still be dying, and hold a socket that looks in use.
        }
        throw new IOException($"wireguard-go does not come up for {name}, or somebody else has that name.");
    }

    /// <summary>Asks until it answers.</summary>
    /// <returns>null when it has not within <paramref name="patience"/></returns>
    public static WireGuardState? Answer(string name, TimeSpan patience)
    {
        for (var clock = Stopwatch.StartNew(); ; Thread.Sleep(1))
        {
            try
            {
                return WireGuardSocket.Get(name);
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                if (clock.Elapsed > patience)
                    return null;
            }
        }
    }

    /// <summary>Ends it, and what it leaves when it could not tidy up itself.</summary>
    /// <returns>false when it does not end</returns>
    public static bool End(TunnelProcess tunnel)
    {
        using var handle = Posix.OpenProcess(tunnel.Process.Pid);
        if (handle is null || Processes.Identify(tunnel.Process.Pid) != tunnel.Process)
            return true;
        return (Posix.Signal(handle, Posix.SIGTERM) && Posix.WaitReadable(handle, Death)) || !Posix.Signal(handle, Posix.SIGKILL) || Posix.WaitReadable(handle, Death);
    }
}
