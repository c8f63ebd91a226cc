using System.Collections.Immutable;
using Grid.Networks;
using Grid.Units;

namespace Grid.Reconciliation;

/// <summary>What looking at a thing gave. Unknown is not absent: it never causes anything.</summary>
public abstract record Sighting<T>
{
    private Sighting()
    {
    }

    public sealed record Present(T Thing) : Sighting<T>;

    public sealed record Unknown(string Why) : Sighting<T>;
}

public enum ContainerPhase
{
    /// <summary>Half made or half removed: no process of it is there, and it never ended.</summary>
    Partial,

    /// <summary>Its first process waits for the word to begin.</summary>
    Created,

    /// <summary>It has had the word and is about to begin: its entry is being read, which takes as long as the flist takes. Nothing is left to do for it.</summary>
    Starting,
    Running,
    Paused,
    Exited,
}

/// <summary>A container, or the one that a machine's emulator is in, as the kernel shows it.</summary>
/// <param name="Spec">the digest it was started from, as written on it</param>
/// <param name="Generation">counts the starts of this workload, from 1</param>
/// <param name="EndedAt">when its process ended, for <see cref="ContainerPhase.Exited"/></param>
/// <param name="Health">what was found of its health since this start; null while nothing was</param>
/// <param name="Rootless">its root is shown by a mount of its own, behind which nobody answers any more</param>
public sealed record ContainerSeen(
    Digest Spec, FlistId Flist, long Generation, ContainerPhase Phase, int? ExitCode = null, bool OomKilled = false, DateTimeOffset? EndedAt = null, HealthMark? Health = null,
    bool Rootless = false);

/// <summary>How often a workload failed since it last stayed up, when and why it failed last.</summary>
public sealed record Attempts(int Failures, DateTimeOffset Last, string? Why = null)
{
    /// <summary>The version in which it was refused: it cannot be as that says, and only another version is worth a try. Null when trying again may help.</summary>
    public StatementId? RefusedIn { get; init; }
}

/// <summary>Everything that is on the node, in one look. What was looked for and is not listed is absent.</summary>
/// <param name="Blind">why nothing at all can be said about containers or mounts; null when the look succeeded</param>
public sealed record Observed(
    ImmutableSortedDictionary<WorkloadKey, Sighting<ContainerSeen>> Containers,
    ImmutableDictionary<FlistId, Sighting<FlistSeen>> Flists,
    ImmutableDictionary<WorkloadKey, Attempts> Attempts,
    string? Blind = null)
{
    public static readonly Observed Nothing = new(
        ImmutableSortedDictionary<WorkloadKey, Sighting<ContainerSeen>>.Empty,
        ImmutableDictionary<FlistId, Sighting<FlistSeen>>.Empty,
        ImmutableDictionary<WorkloadKey, Attempts>.Empty);

    public ImmutableSortedDictionary<WorkloadKey, Sighting<VolumeSeen>> Volumes { get; init; } = ImmutableSortedDictionary<WorkloadKey, Sighting<VolumeSeen>>.Empty;

    /// <summary>Why not all volumes could be looked for: one that is not listed is then unknown. Null when all could.</summary>
    public string? VolumesUnseen { get; init; }

    /// <summary>What is wrong with a disk for volumes, whether or not there is one on it; null when nothing is known to be.</summary>
    public string? DiskFault { get; init; }

    /// <returns>null when it is absent</returns>
    public Sighting<VolumeSeen>? VolumeOf(WorkloadKey key) => Volumes.GetValueOrDefault(key) ?? (VolumesUnseen is { } why ? new Sighting<VolumeSeen>.Unknown(why) : null);

    public ImmutableSortedDictionary<WorkloadKey, Sighting<GatewaySeen>> Gateways { get; init; } = ImmutableSortedDictionary<WorkloadKey, Sighting<GatewaySeen>>.Empty;

    public ImmutableSortedDictionary<WorkloadKey, Sighting<AddressSeen>> Addresses { get; init; } = ImmutableSortedDictionary<WorkloadKey, Sighting<AddressSeen>>.Empty;

    /// <summary>What the containers that run and are asked how they are answered; of what is not listed nothing is known.</summary>
    public ImmutableSortedDictionary<WorkloadKey, HealthSeen> Health { get; init; } = ImmutableSortedDictionary<WorkloadKey, HealthSeen>.Empty;

    /// <summary>What the machines that run say of themselves.</summary>
    public ImmutableSortedDictionary<WorkloadKey, Sighting<MachineSeen>> Machines { get; init; } = ImmutableSortedDictionary<WorkloadKey, Sighting<MachineSeen>>.Empty;

    public ImmutableSortedDictionary<TunnelId, Sighting<TunnelSeen>> Tunnels { get; init; } = ImmutableSortedDictionary<TunnelId, Sighting<TunnelSeen>>.Empty;

    /// <summary>What was found to run in workloads without being of them.</summary>
    public ImmutableArray<StrangerSeen> Strangers { get; init; } = [];

    /// <summary>The agreements of which something is here.</summary>
    public IEnumerable<AgreementId> Agreements => Containers.Keys.Concat(Volumes.Keys).Concat(Gateways.Keys).Concat(Addresses.Keys).Select(k => k.Agreement).Concat(Tunnels.Keys.Select(t => t.Agreement)).Distinct();
}

/// <summary>A process in a workload's control groups that runs what is none of its files.</summary>
/// <param name="Started">by the kernel's count: with the number it is that process and no later one</param>
/// <param name="Path">of the file, as the process sees it</param>
/// <param name="IsApart">it executes that file and is not the workload's first process: it can be ended, and the workload goes on</param>
public sealed record StrangerSeen(WorkloadKey Workload, int Pid, ulong Started, string Path, bool IsApart)
{
    public override string ToString() => $"{Workload}: process {Pid}, {Path}";
}

/// <param name="Serving">false when the mount is there and nothing answers behind it</param>
public sealed record FlistSeen(bool Serving);
