using System.Collections.Immutable;
using Grid.Node.Volumes;

namespace Grid.Node.Agent;

/// <param name="Name">what it does for workloads</param>
/// <param name="Active">what does it here; null when nothing does</param>
/// <param name="Why">why nothing does, or why not something better</param>
internal sealed record Mechanism(string Name, string? Active, string? Why = null);

/// <summary>What this node has to hold workloads to what was agreed. Found once: what an agent cannot do without, it does not start without.</summary>
internal static class Mechanisms
{
    private const string SeccompActions = "/proc/sys/kernel/seccomp/actions_avail", MaximumNamespaces = "/proc/sys/user/max_user_namespaces", SecurityModules = "/sys/kernel/security/lsm";

    public static ImmutableArray<Mechanism> Find(WorkloadSight sight) =>
    [
        new("containers", sight.Runtime),
        new("limits", sight.Cgroups),
        new("system call filter", File.Exists(SeccompActions) ? "seccomp" : null, File.Exists(SeccompActions) ? null : "the kernel has no seccomp filters"),
        new("user namespaces", IsAbove(MaximumNamespaces) ? "a private range of ids each" : null, IsAbove(MaximumNamespaces) ? null : "the kernel allows none"),
        new("flist mounts", "fuse, every read verified"),
        new("networks", sight.WireGuard?.Name, sight.WireGuard is { } by ? by.Why : "this node offers none"),
        new("volumes", sight.HasVolumes ? "ext4 with fscrypt, LUKS for machines" : null, !sight.HasVolumes ? "this node offers none" : VolumeHost.CanGrow ? null : "those for containers cannot grow: the agent has no CAP_SYS_RESOURCE"),
        new("errors of disks", sight.DeafToDisks is null && sight.HasVolumes ? "the kernel's log" : null, sight.HasVolumes ? sight.DeafToDisks : "this node offers no volumes"),
        new("machines", sight.Accelerator, sight.Accelerator is null ? "this node offers none" : null),
        new("BPF LSM", null, HasBpf ? "loaded by the kernel, not used" : "the kernel has not loaded it; not used"),
    ];

    private static bool HasBpf => File.Exists(SecurityModules) && File.ReadAllText(SecurityModules).Split(',').Contains("bpf");

    private static bool IsAbove(string path) => File.Exists(path) && long.TryParse(File.ReadAllText(path).Trim(), out var number) && number > 0;
}
