using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grid.Addresses;
using Grid.Flists.Cache;
using Grid.Gateways;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Agent;

/// <summary>
/// What the node says of itself to whoever may read its data directory; the agent has no inbound interface. Replaced whole at each look.
/// </summary>
/// <param name="available">what agreements may take of this node</param>
/// <param name="cache">where flists are kept</param>
internal sealed class StatusFile(
    string path, NodeVoice voice, WorkloadSight sight, Answers answers, Receipts receipts, Drain drain, Strangers strangers, Capacity available, string cache, LedgerContact contact, TimeProvider time)
{
    // A cache has many files.
    private static readonly TimeSpan CountEvery = TimeSpan.FromMinutes(1);

    private readonly ImmutableArray<Mechanism> _mechanisms = Mechanisms.Find(sight);
    private (long Bytes, long At)? _cached;
    private string _last = "";

    /// <summary>What was said at the last look; null before the first.</summary>
    public NodeStatus? Last { get; private set; }

    public void Write(AgreementFeed feed, Observed observed, Desired desired)
    {
        var workloads = feed.Agreements.SelectMany(a => a.Version.Terms.On(voice.Node).Select(w =>
        {
            var key = new WorkloadKey(a.Id, w.Name);
            var attempts = observed.Attempts.GetValueOrDefault(key);
            var sighting = observed.Containers.GetValueOrDefault(key);
            var health = observed.Health.GetValueOrDefault(key);
            return new WorkloadStatus(
                a.Id.ToString(), w.Name, w.Kind, a.Status, desired.Wishes.ContainsKey(key),
                w switch
                {
                    PublicAddress => PhaseOf(observed.Addresses.GetValueOrDefault(key), s => s.Whole ? "bound" : "unbound"),
                    Gateway => PhaseOf(observed.Gateways.GetValueOrDefault(key), g => g.Serving ? "serving" : "opening"),
                    Volume => PhaseOf(observed.VolumeOf(key), v => v.Attached ? "attached" : "kept"),
                    _ => PhaseOf(sighting, c => (c.Phase is ContainerPhase.Running && !HealthPlan.Serves(w, c, health) ? ContainerPhase.Starting : c.Phase).ToString().ToLowerInvariant()),
                },
                sight.PidOf(key), (sighting as Sighting<ContainerSeen>.Present)?.Thing.Generation ?? 0, attempts?.Failures ?? 0, WhyOf(key, w, observed),
                attempts is { Failures: > 0 } && desired.Wishes.GetValueOrDefault(key) is { } wish && attempts.RefusedIn != wish.Version ? Reconciler.NotBefore(w, attempts) : null);
        })).ToImmutableArray();
        var document = new NodeStatus(
            voice.Node.ToString(), sight.Runtime, sight.Accelerator, contact.Heard, feed.Trouble, observed.Blind, workloads)
        {
            Mechanisms = _mechanisms,
            Offered = CapacityStatus.Of(available),
            Held = CapacityStatus.Of(feed.Agreements.Aggregate(Capacity.None, (sum, a) => sum + a.HeldOn(voice.Node))),
            ReceiptsWaiting = receipts.Waits,
            CacheBytes = Cached(),
            Broken = drain.Why,
            Strangers = strangers.Known,
        };
        Last = document;
        var text = JsonSerializer.Serialize(document, StatusContext.Default.NodeStatus);
        if (text == _last)
            return;
        var aside = path + ".new";
        File.WriteAllText(aside, text);
        File.SetUnixFileMode(aside, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead);
        File.Move(aside, path, overwrite: true);
        _last = text;
    }

    private long Cached()
    {
        if (_cached is not { } counted || time.GetElapsedTime(counted.At) > CountEvery)
            _cached = counted = (FlistCache.SizeOf(cache), time.GetTimestamp());
        return counted.Bytes;
    }

    // What is nearest to it first.
    private string? WhyOf(WorkloadKey key, Workload workload, Observed observed)
    {
        var health = observed.Health.GetValueOrDefault(key);
        var seen = (observed.Containers.GetValueOrDefault(key) as Sighting<ContainerSeen>.Present)?.Thing;
        return (seen is null ? null : HealthPlan.Why(workload, seen, health))
            ?? (health is { Failures: > 0 } ? $"{health}" : null)
            ?? observed.WhyOfVolumes(key, workload)
            // What runs has got over what kept it from running.
            ?? (seen is { Phase: ContainerPhase.Running } ? sight.Unread(workload, time.GetUtcNow()) : null)
            ?? observed.Attempts.GetValueOrDefault(key)?.Why
            ?? (workload is Volume ? observed.VolumeOf(key)?.Why() : null)
            ?? (observed.Gateways.GetValueOrDefault(key) as Sighting<GatewaySeen>.Present)?.Thing.Why
            ?? answers.Unanswered.GetValueOrDefault(key.Agreement)
            ?? sight.Unread(workload, time.GetUtcNow());
    }

    private static string PhaseOf<T>(Sighting<T>? sighting, Func<T, string> present) => sighting switch
    {
        Sighting<T>.Present(var seen) => present(seen),
        Sighting<T>.Unknown => "unknown",
        _ => "absent",
    };
}

/// <param name="Accelerator">what machines run on: kvm, or tcg and why; null where there are none</param>
/// <param name="Heard">when the ledger last proved itself; null when it never did</param>
/// <param name="Blind">why nothing can be said of what runs; null when it can</param>
internal sealed record NodeStatus(
    string Node, string Runtime, string? Accelerator, DateTimeOffset? Heard, string? LedgerTrouble, string? Blind, ImmutableArray<WorkloadStatus> Workloads)
{
    public ImmutableArray<Mechanism> Mechanisms { get; init; } = [];

    public CapacityStatus? Offered { get; init; }

    /// <summary>By agreements, whether or not it is used.</summary>
    public CapacityStatus? Held { get; init; }

    public int ReceiptsWaiting { get; init; }

    /// <summary>What of flists is kept, counted once a minute.</summary>
    public long CacheBytes { get; init; }

    /// <summary>Why the node itself says that nothing new shall come; null when it does not.</summary>
    public string? Broken { get; init; }

    /// <summary>The last that were found to run in workloads without being of them.</summary>
    public ImmutableArray<StrangerStatus> Strangers { get; init; } = [];
}

/// <param name="Path">of the file, as the process sees it</param>
/// <param name="Found">when it was seen first</param>
/// <param name="There">false once it is gone: those that can be ended without the workload are</param>
internal sealed record StrangerStatus(string Agreement, string Workload, int Pid, string Path, DateTimeOffset Found, bool There);

/// <param name="Cpu">millicores</param>
/// <param name="Memory">bytes, as the others</param>
internal sealed record CapacityStatus(long Cpu, long Memory, long Ssd, long Hdd, int PublicIPv4)
{
    public static CapacityStatus Of(Capacity all) => new(all.Cpu.Value, all.Memory.Value, all.Ssd.Value, all.Hdd.Value, all.PublicIPv4);
}

/// <param name="Failures">since it last stayed up</param>
/// <param name="NextTry">when it is tried again, at the earliest; null when it has not failed, or waits for an amendment</param>
internal sealed record WorkloadStatus(
    string Agreement, string Name, string Kind, string AgreementStatus, bool Wished, string Phase, int? Pid, long Generation, int Failures, string? Why, DateTimeOffset? NextTry);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true, Converters = [typeof(Units.UtcTimeConverter)])]
[JsonSerializable(typeof(NodeStatus))]
internal sealed partial class StatusContext : JsonSerializerContext;
