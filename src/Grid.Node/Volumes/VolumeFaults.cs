using System.Collections.Immutable;

namespace Grid.Node.Volumes;

/// <summary>What is wrong with the data disks though they are there. What lies on such a disk stays in use; nothing new comes to lie there.</summary>
public sealed partial class VolumeHost
{
    private readonly KernelLog? _log;
    private readonly Lock _hearing = new();

    /// <summary>Why errors under somebody's files are not seen here; null when they are.</summary>
    public string? Deaf { get; }

    /// <param name="mounts">lines of mountinfo</param>
    private ImmutableDictionary<OpenDisk, string> Faults(string[] mounts)
    {
        lock (_hearing)
        {
            foreach (var error in _log?.Read() ?? [])
            {
                foreach (var disk in _disks)
                    disk.Hear(error, mounts, _time.GetUtcNow());
            }
        }
        var faults = ImmutableDictionary.CreateBuilder<OpenDisk, string>();
        foreach (var disk in _disks)
        {
            if (disk.Fault(mounts) is { } fault)
                faults[disk] = fault;
        }
        return faults.ToImmutable();
    }

    private ImmutableDictionary<OpenDisk, string> Faults() => Faults(ReadMounts());

    private static string[] ReadMounts() => File.ReadAllLines("/proc/self/mountinfo");

    private static string? Said(ImmutableDictionary<OpenDisk, string> faults) =>
        faults.OrderBy(f => f.Key.Directory, StringComparer.Ordinal).Select(f => $"the data disk {f.Key.Directory}: {f.Value}").FirstOrDefault();
}
