using System.Collections.Immutable;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Containers;

/// <summary>Everything that is needed to start one container. Nothing of it is looked up later.</summary>
/// <param name="Rootfs">
/// absolute path of the mounted flist, read-only, nosuid and nodev, its files owned by <paramref name="Uids"/> (an idmapped mount)
/// </param>
/// <param name="Entry">absolute path inside <paramref name="Rootfs"/>; argv[0]</param>
/// <param name="Environment">complete: nothing is added but HOME=/ when there is no HOME; may hold opened secrets</param>
/// <param name="Memory">hard limit, without swap; counts scratch too</param>
/// <param name="Logs">at most so many bytes of stdout and stderr are kept</param>
public sealed record ContainerSpec(
    ContainerId Id, ContainerLabel Label, string Rootfs, string Entry, ImmutableArray<string> Args,
    ImmutableArray<KeyValuePair<string, string>> Environment, string WorkDir, ContainerUser User, MilliCores Cpu, Bytes Memory, int Pids,
    ImmutableArray<Scratch> Scratch, ImmutableArray<VolumeBind> Volumes, UidRange Uids, Bytes Logs)
{
    /// <summary>Device nodes that it may open; none for what an agreement describes as a container.</summary>
    public ImmutableArray<DeviceBind> Devices { get; init; } = [];

    /// <summary>What <see cref="ContainerLabel.Spec"/> holds: the hash of the workload's canonical bytes.</summary>
    public static Digest DigestOf(Runnable workload) => Digest.Of(CanonicalWriter.Encode(workload.Write));

    /// <param name="volumes">where each volume that the workload mounts is on this machine</param>
    public static ContainerSpec From(
        AgreementId agreement, Digest version, long generation, int restarts, Container workload, string rootfs, UidRange uids,
        IReadOnlyDictionary<string, string> volumes) => new(
            new ContainerId(agreement, workload.Name),
            new ContainerLabel(version, generation, DigestOf(workload), restarts),
            rootfs, workload.Entry, workload.Args, workload.Environment, workload.WorkDir, workload.User, workload.Cpu, workload.Memory, workload.Pids,
            workload.Scratch, [.. workload.Mounts.Select(m => new VolumeBind(volumes[m.Volume], m.Path))], uids, workload.Logs);

    // A record compares arrays by reference; two specs are the same when their configuration is.
    public bool Equals(ContainerSpec? other) => other is not null && OciConfig.Write(this).AsSpan().SequenceEqual(OciConfig.Write(other));

    public override int GetHashCode() => HashCode.Combine(Id, Label);
}

/// <param name="Source">
/// absolute path of the prepared volume or place of secrets, on a mount that is noexec, nosuid and nodev, its files owned by the container's range of ids
/// </param>
/// <param name="ReadOnly">the source is as well</param>
public sealed record VolumeBind(string Source, string Path, bool ReadOnly = false);

/// <param name="Source">absolute path of the node, its owner in the container's range of ids, on a mount without nodev</param>
/// <param name="Path">below /dev</param>
public sealed record DeviceBind(string Source, string Path, int Major, int Minor);
