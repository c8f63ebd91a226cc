using Grid.Gateways;

namespace Grid.Reconciliation;

/// <summary>A gateway as the node shows it.</summary>
/// <param name="Route">as it was written; null when there is none</param>
/// <param name="Whole">its place in its network, its route and what serves it are there</param>
/// <param name="Serving">whoever asks for its name is led to its backend</param>
/// <param name="Why">why it is not serving, when that is known</param>
public sealed record GatewaySeen(Route? Route, bool Whole, bool Serving, string? Why = null);

/// <summary>
/// The part of the plan that is about gateways. A gateway does not wait for its backend: who asks meanwhile is told that it is not there. It waits for
/// its name, and lets go at once of one that another is to have: two that an amendment exchanges would wait for each other for ever.
/// </summary>
internal static class GatewayPlan
{
    public static IEnumerable<Step> Plan(Desired desired, Observed observed, DateTimeOffset now)
    {
        foreach (var wish in desired.Wishes.Values)
        {
            if (wish is { Workload: Gateway gateway, Paused: false } && IsWanting(wish, observed) && IsFree(wish.Key, gateway.Hostname, observed) && !IsInTheWay(wish.Key, desired, observed)
                && TunnelPlan.IsFree(wish, observed) && Reconciler.IsDue(wish, observed, now))
                yield return new Step.OpenGateway(wish);
        }
        foreach (var (key, sighting) in observed.Gateways)
        {
            // What is paused has no route: it is closed, and opened when the ledger is heard again.
            if (desired.Settled.Contains(key.Agreement) && (!(desired.Wishes.TryGetValue(key, out var wish) && !wish.Paused) || IsInTheWay(key, desired, observed)) && sighting is Sighting<GatewaySeen>.Present
                && Reconciler.IsDue(wish?.Workload, observed.Attempts.GetValueOrDefault(key), now))
                yield return new Step.CloseGateway(key);
        }
    }

    private static bool IsWanting(Wish wish, Observed observed) => observed.Gateways.GetValueOrDefault(wish.Key) switch
    {
        null => true,
        Sighting<GatewaySeen>.Present(var seen) => !seen.Whole || seen.Route != wish.Route || TunnelPlan.IsApart(wish, observed),
        _ => false,
    };

    // What cannot be seen may have any.
    private static bool IsFree(WorkloadKey key, string hostname, Observed observed) =>
        observed.Gateways.All(g => g.Key == key || g.Value is Sighting<GatewaySeen>.Present(var seen) && seen.Route?.Hostname != hostname);

    private static bool IsInTheWay(WorkloadKey key, Desired desired, Observed observed) =>
        observed.Gateways.GetValueOrDefault(key) is Sighting<GatewaySeen>.Present({ Route.Hostname: var held }) && desired.Wishes.Values.Any(w => w.Key != key && w.Workload is Gateway other && other.Hostname == held);
}
