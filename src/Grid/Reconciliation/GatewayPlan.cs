using Grid.Gateways;

namespace Grid.Reconciliation;

/// <summary>A gateway as the node shows it.</summary>
/// <param name="Route">as it was written; null when there is none</param>
/// <param name="Whole">its place in its network, its route and what serves it are there</param>
/// <param name="Serving">whoever asks for its name is led to its backend</param>
/// <param name="Why">why it is not serving, when that is known</param>
public sealed record GatewaySeen(Route? Route, bool Whole, bool Serving, string? Why = null);

/// <summary>The part of the plan that is about gateways. A gateway does not wait for its backend: who asks meanwhile is told that it is not there.</summary>
internal static class GatewayPlan
{
    public static IEnumerable<Step> Plan(Desired desired, Observed observed, DateTimeOffset now)
    {
        foreach (var wish in desired.Wishes.Values)
        {
            if (wish is { Workload: Gateway gateway, Paused: false } && IsWanting(wish, observed) && now >= Reconciler.NotBefore(gateway, observed.Attempts.GetValueOrDefault(wish.Key)))
                yield return new Step.OpenGateway(wish);
        }
        foreach (var (key, sighting) in observed.Gateways)
        {
            // What is paused has no route: it is closed, and opened when the ledger is heard again.
            if (desired.Settled.Contains(key.Agreement) && !(desired.Wishes.TryGetValue(key, out var wish) && !wish.Paused) && sighting is Sighting<GatewaySeen>.Present
                && now >= Reconciler.NotBefore(wish?.Workload, observed.Attempts.GetValueOrDefault(key)))
                yield return new Step.CloseGateway(key);
        }
    }

    private static bool IsWanting(Wish wish, Observed observed) => observed.Gateways.GetValueOrDefault(wish.Key) switch
    {
        null => true,
        Sighting<GatewaySeen>.Present(var seen) => !seen.Whole || seen.Route != wish.Route || TunnelPlan.IsApart(wish, observed),
        _ => false,
    };
}
