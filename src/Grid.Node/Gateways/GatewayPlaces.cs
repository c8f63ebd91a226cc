using System.Collections.Immutable;
using System.Diagnostics;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Networks;

namespace Grid.Node.Gateways;

/// <summary>
/// A gateway's place in its network: a network namespace with nothing in it but the gateway's tunnel, held by a process that sleeps.
/// Nobody's child, in its own session; its environment says whose it is:
/// <code>GRID_GATEWAY=agr1….door GRID_NODE=scope</code>
/// </summary>
internal sealed class GatewayPlaces(NetworkNamespace node, string scope)
{
    public const string Unshare = "/usr/bin/unshare", Sleep = "/usr/bin/sleep";

    private const string GatewayVariable = "GRID_GATEWAY=", NodeVariable = "GRID_NODE=";
    private static readonly TimeSpan Birth = TimeSpan.FromSeconds(5), Death = TimeSpan.FromSeconds(2);

    /// <summary>One for each gateway; two only where one was being made when its maker was killed.</summary>
    public ILookup<ContainerId, ProcessIdentity> Find()
    {
        var found = new List<(ContainerId Id, ProcessIdentity Process)>();
        // Before it sleeps it is not in a namespace of its own yet.
        foreach (var (process, _) in Processes.Ours(a => a[0] == Sleep))
        {
            var environment = Processes.EnvironmentOf(process.Pid);
            if (environment.Contains(NodeVariable + scope) && environment.FirstOrDefault(v => v.StartsWith(GatewayVariable, StringComparison.Ordinal)) is { } whose && ContainerId.TryParse(whose.AsSpan(GatewayVariable.Length), out var id))
                found.Add((id, process));
        }
        return found.OrderBy(f => f.Process.StartTicks).ThenBy(f => f.Process.Pid).ToLookup(f => f.Id, f => f.Process);
    }

    /// <exception cref="IOException">it does not come up</exception>
    public ProcessIdentity Make(ContainerId id)
    {
        node.Leave(Unshare, ["--net", Sleep, "infinity"], [GatewayVariable + id, NodeVariable + scope]);
        for (var clock = Stopwatch.StartNew(); clock.Elapsed < Birth; Thread.Sleep(1))
        {
            if (Find()[id].FirstOrDefault() is { Pid: > 0 } place)
                return place;
        }
        throw new IOException($"No network namespace could be made for {id}.");
    }

    /// <returns>false when it does not end</returns>
    public static bool End(ProcessIdentity process)
    {
        using var handle = Posix.OpenProcess(process.Pid);
        return handle is null || Processes.Identify(process.Pid) != process || !Posix.Signal(handle, Posix.SIGKILL) || Posix.WaitReadable(handle, Death);
    }
}
