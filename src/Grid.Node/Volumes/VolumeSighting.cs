using System.Collections.Immutable;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Volumes;

/// <summary>
/// What was seen of one volume.
/// <code>
/// Absent → Partial → Mounted ⇄ Idle → Wiped → Absent
///                       └───────┴──→ Lost
/// </code>
/// </summary>
public abstract record VolumeSighting
{
    private VolumeSighting()
    {
    }

    public sealed record Absent : VolumeSighting;

    /// <summary>Nothing may be made or destroyed because of it.</summary>
    public sealed record Unknown(string Why) : VolumeSighting;

    /// <summary>Its making was cut short; nobody's data is in it. Making it again or destroying it puts it right.</summary>
    public sealed record Partial(Media Media) : VolumeSighting;

    /// <summary>Files that are mounted, or a disk that is there for its machine.</summary>
    /// <param name="Size">as much as it really offers; less than agreed while it has to grow</param>
    /// <param name="Fault">what the file system found wrong with its disk, its own or the one that its image lies on; it may be read-only because of it</param>
    public sealed record Mounted(Bytes Size, Media Media, string? Fault) : VolumeSighting
    {
        /// <summary>How long it is kept once nobody wants it.</summary>
        public TimeSpan Keep { get; init; }
    }

    /// <param name="Since">since when it was detached; null when it was not: the machine started, or it is still held by something</param>
    public sealed record Idle(Bytes Size, Media Media, DateTimeOffset? Since) : VolumeSighting
    {
        /// <summary>How long it is kept from then.</summary>
        public TimeSpan Keep { get; init; }
    }

    /// <summary>Its key is destroyed; what is left of it has to be removed.</summary>
    public sealed record Wiped(Media Media) : VolumeSighting;

    /// <summary>Image or key is not there, or not what it was. Never replaced: whoever took it away may bring it back.</summary>
    public sealed record Lost(Media Media, string Why) : VolumeSighting;
}

/// <summary>All volumes of this machine, as one look saw them.</summary>
/// <param name="Blind">why the look was not complete; what was not seen is then unknown</param>
public sealed record VolumeSightings(ImmutableDictionary<WorkloadKey, VolumeSighting> Volumes, string? Blind)
{
    /// <summary>What is wrong with a data disk that is there, whether or not a volume lies on it; null when nothing is known to be.</summary>
    public string? Fault { get; init; }

    public VolumeSighting this[WorkloadKey key] =>
        Volumes.TryGetValue(key, out var seen) ? seen : Blind is null ? new VolumeSighting.Absent() : new VolumeSighting.Unknown(Blind);
}
