using Grid.Networks;

namespace Grid.Reconciliation;

/// <summary>The part of the plan that is about the tunnels of workloads that run, and of workloads that are gone.</summary>
internal static class TunnelPlan
{
    /// <summary>Members come and go while it runs, and what carries its tunnels may die: neither is a reason to restart it.</summary>
    public static Step.Connect? Reconnect(Wish wish, Observed observed, DateTimeOffset now) =>
        Reconciler.IsDue(wish, observed, now) && IsApart(wish, observed) && IsFree(wish, observed) ? new Step.Connect(wish) : null;

    /// <summary>True when a tunnel of it is not there or not what it must be.</summary>
    public static bool IsApart(Wish wish, Observed observed) => wish.Tunnels.Any(t => observed.Tunnels.GetValueOrDefault(wish.TunnelOf(t)) switch
    {
        null => true,
        Sighting<TunnelSeen>.Present(var seen) => !seen.Is(t),
        _ => false,
    });

    /// <summary>True when no other tunnel is seen on a port of one of its. The kernel sees to those that are not seen.</summary>
    public static bool IsFree(Wish wish, Observed observed) => wish.Tunnels.All(t => !observed.Tunnels.Any(o =>
        o.Key != wish.TunnelOf(t) && o.Value is Sighting<TunnelSeen>.Present(var seen) && seen.Port == t.Port));

    /// <summary>A tunnel goes with its workload's namespace. What is left without one was cut short, or its workload is gone.</summary>
    public static IEnumerable<Step> Unused(Desired desired, Observed observed) =>
        from tunnel in observed.Tunnels
        let key = new WorkloadKey(tunnel.Key.Agreement, tunnel.Key.Of.Workload)
        where tunnel.Value is Sighting<TunnelSeen>.Present && desired.Settled.Contains(key.Agreement) && !observed.Containers.ContainsKey(key) && !observed.Gateways.ContainsKey(key)
        where !desired.Wishes.TryGetValue(key, out var wish) || !wish.Tunnels.Any(t => t.Network == tunnel.Key.Of.Network)
        select new Step.Disconnect(tunnel.Key);
}
