using Grid.Reconciliation;
using Grid.Units;

namespace Grid.Node.Containers;

/// <summary>What was seen of one container. Unknown is not absent: nothing may be torn down or doubled because of it.</summary>
public abstract record Observation
{
    private Observation()
    {
    }

    /// <summary>The first process, while there is one.</summary>
    public ProcessIdentity? Init => (this as Present)?.Phase.Process;

    public sealed record Absent : Observation;

    public sealed record Unknown(string Why) : Observation;

    /// <param name="Label">null when everything that carried it is gone</param>
    /// <param name="Uids">null when neither a process nor the bundle says it</param>
    /// <param name="OomKills">how many of its processes were killed for exceeding its memory</param>
    public sealed record Present(ContainerLabel? Label, UidRange? Uids, Phase Phase, long OomKills) : Observation
    {
        /// <summary>What was found of its health and written on it; null while nothing was.</summary>
        public HealthMark? Health { get; init; }
    }
}

/// <summary>
/// <code>
/// Partial → Created → Running ⇄ Paused
///                        └────────┴──→ Exited
/// </code>
/// </summary>
public abstract record Phase
{
    private Phase()
    {
    }

    /// <summary>The first process, while there is one.</summary>
    public ProcessIdentity? Process => this switch
    {
        Created c => c.Init,
        Running r => r.Init,
        Paused p => p.Init,
        _ => null,
    };

    /// <summary>Something is there, no process of the workload is, and it never ended: a step that was cut short.</summary>
    public sealed record Partial : Phase;

    /// <summary>Its first process waits for the word to execute the entry, or has had it and is about to.</summary>
    public sealed record Created(ProcessIdentity Init, bool LetGo = false) : Phase;

    public sealed record Running(ProcessIdentity Init, DateTimeOffset Since) : Phase;

    public sealed record Paused(ProcessIdentity Init, DateTimeOffset Since) : Phase;

    /// <param name="Code">as a shell counts: 128 + signal when killed by one; null when nobody saw it</param>
    public sealed record Exited(int? Code, DateTimeOffset? At) : Phase;
}

/// <summary>A process id alone may be reused; with its start it is not.</summary>
/// <param name="StartTicks">field 22 of /proc/PID/stat: clock ticks after boot</param>
public readonly record struct ProcessIdentity(int Pid, ulong StartTicks);

/// <summary>All containers of this machine, as one look saw them.</summary>
/// <param name="Blind">why the look was not complete; what was not seen is then unknown</param>
public sealed record Sighting(IReadOnlyDictionary<ContainerId, Observation> Containers, string? Blind)
{
    /// <summary>The numbers of the processes that were in the control groups of each.</summary>
    public IReadOnlyDictionary<ContainerId, IReadOnlySet<int>> Members { get; init; } = new Dictionary<ContainerId, IReadOnlySet<int>>();

    public Observation this[ContainerId id] =>
        Containers.TryGetValue(id, out var seen) ? seen : Blind is null ? new Observation.Absent() : new Observation.Unknown(Blind);

    public IReadOnlySet<UidRange> UidRanges =>
        Containers.Values.OfType<Observation.Present>().Where(p => p.Uids is not null).Select(p => p.Uids!.Value).ToHashSet();
}

/// <param name="Cpu">processor time used since its start</param>
/// <param name="MemoryPeak">the most it ever held</param>
public sealed record Usage(TimeSpan Cpu, Bytes Memory, Bytes MemoryPeak);
