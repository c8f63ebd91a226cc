using System.Collections.Immutable;
using System.Net;
using Grid.Addresses;
using Grid.Workloads;

namespace Grid.Reconciliation;

/// <summary>A public address as the node shows it.</summary>
/// <param name="Ports">sorted</param>
/// <param name="Workload">the name of the workload that has it; null when none does</param>
/// <param name="Whole">the world reaches that workload by it, and is answered</param>
public sealed record AddressSeen(IPAddress Ip, ImmutableArray<Port> Ports, string? Workload, bool Whole)
{
    public bool Is(PublicAddress wish) => Whole && Ip.Equals(wish.Ip) && Workload == wish.Workload && Ports.AsSpan().SequenceEqual(wish.Ports.AsSpan());
}

/// <summary>
/// The part of the plan that is about public addresses. One is bound while its workload runs, and again after each start; it stays with its
/// agreement until that lets it go, and a workload that is paused keeps it: nobody answers meanwhile. What was another address is let go before
/// the new one is asked for, whoever has that: two that an amendment exchanges would wait for each other for ever.
/// </summary>
internal static class AddressPlan
{
    public static IEnumerable<Step> Plan(Desired desired, Observed observed, DateTimeOffset now)
    {
        foreach (var wish in desired.Wishes.Values)
        {
            if (wish is { Workload: PublicAddress address, Paused: false } && IsWanting(address, observed.Addresses.GetValueOrDefault(wish.Key)) && IsFree(wish.Key, address, observed)
                && desired.Wishes.GetValueOrDefault(wish.Key with { Name = address.Workload })?.Workload is Runnable holder
                && Needs.Missing(wish, observed) is null && Reconciler.IsDue(wish, observed, now))
                yield return new Step.BindAddress(wish, holder);
        }
        foreach (var (key, sighting) in observed.Addresses)
        {
            if (sighting is Sighting<AddressSeen>.Present(var seen) && desired.Settled.Contains(key.Agreement) && !IsWished(key, seen, desired)
                && Reconciler.IsDue(null, observed.Attempts.GetValueOrDefault(key), now))
                yield return new Step.ReleaseAddress(key);
        }
    }

    private static bool IsWanting(PublicAddress wish, Sighting<AddressSeen>? sighting) => sighting switch
    {
        null => true,
        Sighting<AddressSeen>.Present(var seen) => seen.Ip.Equals(wish.Ip) && !seen.Is(wish),
        _ => false,
    };

    // What cannot be seen may have any.
    private static bool IsFree(WorkloadKey key, PublicAddress wish, Observed observed) =>
        observed.Addresses.All(a => a.Key == key || a.Value is Sighting<AddressSeen>.Present(var seen) && !seen.Ip.Equals(wish.Ip));

    private static bool IsWished(WorkloadKey key, AddressSeen seen, Desired desired) => (desired.Wishes.GetValueOrDefault(key)?.Workload as PublicAddress)?.Ip.Equals(seen.Ip) is true;
}
