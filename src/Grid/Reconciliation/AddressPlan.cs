using System.Collections.Immutable;
using System.Net;
using Grid.Addresses;

namespace Grid.Reconciliation;

/// <summary>A public address as the node shows it.</summary>
/// <param name="Ports">sorted</param>
/// <param name="Workload">the name of the container that has it; null when none does</param>
/// <param name="Whole">the world reaches that container by it, and is answered</param>
public sealed record AddressSeen(IPAddress Ip, ImmutableArray<Port> Ports, string? Workload, bool Whole)
{
    public bool Is(PublicAddress wish) => Whole && Ip.Equals(wish.Ip) && Workload == wish.Workload && Ports.AsSpan().SequenceEqual(wish.Ports.AsSpan());
}

/// <summary>
/// The part of the plan that is about public addresses. One is bound while its container runs, and again after each start; it stays with its
/// agreement until that lets it go, and a container that is paused keeps it: nobody answers meanwhile.
/// </summary>
internal static class AddressPlan
{
    public static IEnumerable<Step> Plan(Desired desired, Observed observed, DateTimeOffset now)
    {
        foreach (var wish in desired.Wishes.Values)
        {
            if (wish is { Workload: PublicAddress address, Paused: false } && IsWanting(address, observed.Addresses.GetValueOrDefault(wish.Key))
                && observed.Containers.GetValueOrDefault(wish.Key with { Name = address.Workload }) is Sighting<ContainerSeen>.Present({ Phase: ContainerPhase.Running })
                && now >= Reconciler.NotBefore(address, observed.Attempts.GetValueOrDefault(wish.Key)))
                yield return new Step.BindAddress(wish);
        }
        foreach (var (key, sighting) in observed.Addresses)
        {
            if (desired.Settled.Contains(key.Agreement) && !desired.Wishes.ContainsKey(key) && sighting is Sighting<AddressSeen>.Present
                && now >= Reconciler.NotBefore((Workloads.Placed?)null, observed.Attempts.GetValueOrDefault(key)))
                yield return new Step.ReleaseAddress(key);
        }
    }

    private static bool IsWanting(PublicAddress wish, Sighting<AddressSeen>? sighting) => sighting switch
    {
        null => true,
        Sighting<AddressSeen>.Present(var seen) => !seen.Is(wish),
        _ => false,
    };
}
