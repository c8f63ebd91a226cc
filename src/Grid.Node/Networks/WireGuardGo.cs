using System.Collections.Immutable;
using System.Diagnostics;
using System.Net.Sockets;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;

namespace Grid.Node.Networks;

/// <summary>
/// WireGuard as a process per interface, in its own session, nobody's child. Its environment says which tunnel of which node it is:
/// <code>GRID_TUNNEL=agr1…/network/workload GRID_NODE=scope</code>
/// It is born in the node's namespace, where its UDP socket stays when the interface is moved into a container's.
/// </summary>
internal sealed class WireGuardGo(NetworkNamespace node, string scope) : IWireGuard
{
    private const string TunnelVariable = "GRID_TUNNEL=", NodeVariable = "GRID_NODE=", AllowedField = "Cpus_allowed_list:";
    private static readonly TimeSpan Birth = TimeSpan.FromSeconds(5), Moment = TimeSpan.FromMilliseconds(100), Listening = TimeSpan.FromSeconds(1);

    // As cpuset(7) writes them: 0-3,8.
    private static readonly string Processors = (Processes.Read(Environment.ProcessId, "status") ?? "").Split('\n')
        .FirstOrDefault(l => l.StartsWith(AllowedField, StringComparison.Ordinal))?[AllowedField.Length..].Trim() ?? "0";

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

    public ImmutableArray<IRunningTunnel> Find()
    {
        var found = ImmutableArray.CreateBuilder<IRunningTunnel>();
        foreach (var (process, args) in Processes.Ours(a => a[0] == Programs.WireGuardGo))
        {
            var environment = Processes.EnvironmentOf(process.Pid);
            if (environment.Contains(NodeVariable + scope)
                && TunnelId.TryParse(environment.FirstOrDefault(v => v.StartsWith(TunnelVariable, StringComparison.Ordinal))?[TunnelVariable.Length..], out var id))
                found.Add(new TunnelProcess(id, args[^1], process));
        }
        return found.ToImmutable();
    }

    /// <summary>
    /// Starts it and waits until it answers. It is born on one processor and given all of them afterwards, since it makes as many threads for handshakes as it
    /// finds then, and two of them may make one session of two: the state of a handshake is read under one lock and changed under the next
    /// (device/noise-protocol.go), so a peer's call that arrives with the peer's answer leaves a session with an index that nobody knows, and the two do not
    /// hear each other until WireGuard gives it up after fifteen seconds.
    /// </summary>
    /// <exception cref="IOException">it does not</exception>
    public IRunningTunnel Start(TunnelId id, string name)
    {
        for (var clock = Stopwatch.StartNew(); clock.Elapsed < Birth;)
        {
            node.Leave(
                Programs.Taskset, ["-c", Processors.Split('-', ',')[0], Programs.WireGuardGo, "-f", name],
                [TunnelVariable + id, NodeVariable + scope, "LOG_LEVEL=silent", $"GOMAXPROCS={Environment.ProcessorCount}"]);
            do
            {
                if (TunnelProcess.Answer(name, Moment) is not null && Find().FirstOrDefault(p => p.Id == id) is TunnelProcess started)
                {
                    Tool.Run("taskset", new Command(Programs.Taskset, ["-acp", Processors, $"{started.Process.Pid}"], Programs.Environment), Birth);
                    return started;
                }
            }
            while (clock.Elapsed < Birth && Find().Any(p => p.Id == id));
            // It ended at once: one that was killed before it may still be dying, and hold a socket that looks in use.
        }
        throw new IOException($"wireguard-go does not come up for {name}, or somebody else has that name.");
    }

    /// <summary>
    /// Takes away the sockets of processes that were killed, whichever node of this machine had them: of those whose workloads are gone by now nothing else would tell.
    /// Who does not listen so long after its socket was made never will.
    /// </summary>
    public static void Sweep(DateTimeOffset now)
    {
        if (!Directory.Exists(WireGuardSocket.Directory))
            return;
        foreach (var path in Directory.EnumerateFiles(WireGuardSocket.Directory, "*.sock"))
        {
            var name = Path.GetFileNameWithoutExtension(path);
            if (TunnelNames.IsTunnel(name) && now - File.GetLastWriteTimeUtc(path) > Listening && !WireGuardSocket.IsHeard(name))
                File.Delete(path);
        }
    }

    /// <summary>A process that was killed leaves its socket.</summary>
    public void Forget(string name)
    {
        if (Directory.Exists(WireGuardSocket.Directory))
            File.Delete(WireGuardSocket.PathOf(name));
    }
}

/// <summary>A process that is a tunnel: the interface ends with it.</summary>
internal sealed record TunnelProcess(TunnelId Id, string Interface, ProcessIdentity Process) : IRunningTunnel
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2), Settle = TimeSpan.FromSeconds(5);

    public bool IsYoung(DateTimeOffset now) => now - Processes.Started(Process) < Settle;

    public WireGuardState Get() => WireGuardSocket.Get(Interface);

    /// <summary>Somebody else, an agent that was killed a moment ago perhaps, may have just started it.</summary>
    public WireGuardState? Answer() => Answer(Interface, Patience);

    public void Set(WireGuardChange change, ReadOnlySpan<byte> privateKey) => WireGuardSocket.Set(Interface, change, privateKey);

    /// <summary>It tidies up itself, unless it has to be killed.</summary>
    public bool End()
    {
        using var handle = Posix.OpenProcess(Process.Pid);
        if (handle is null || Processes.Identify(Process.Pid) != Process)
            return true;
        return (Posix.Signal(handle, Posix.SIGTERM) && Posix.WaitReadable(handle, Patience)) || !Posix.Signal(handle, Posix.SIGKILL) || Posix.WaitReadable(handle, Patience);
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
}
