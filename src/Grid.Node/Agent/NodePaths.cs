using System.Collections.Immutable;
using Grid.Node.Containers;
using Grid.Node.Volumes;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Agent;

/// <summary>Where one node keeps what it makes. Two nodes on one machine differ in every path and in the cgroup.</summary>
/// <param name="Data">survives a reboot: keys, bundles, the flist cache, receipts, logs</param>
/// <param name="Run">does not: mounts, bundles, sockets</param>
/// <param name="Cgroup">the group that holds every container's</param>
public sealed record NodePaths(string Data, string Run, string Cgroup)
{
    public string Agreements => Path.Combine(Data, "agreements");

    public string Cache => Path.Combine(Data, "flists");

    public string Receipts => Path.Combine(Data, "receipts");

    /// <summary>What the next receipts rest on.</summary>
    public string ReceiptState => Path.Combine(Run, "receipts.json");

    public string Logs => Path.Combine(Data, "logs");

    public string Status => Path.Combine(Data, "status.json");

    public string Drained => Path.Combine(Data, "drained");

    public string KnownDisks => Path.Combine(Data, "disks");

    public string Heard => Path.Combine(Data, "heard");

    public string Key => Path.Combine(Data, "node.key");

    internal ContainerPaths Containers => new(Run, Logs, Cgroup);

    public string FlistMounts => Path.Combine(Run, "flists");

    public string FlistMount(FlistId flist) => Path.Combine(FlistMounts, flist.ToString());

    public string FlistLog(FlistId flist) => Path.Combine(Logs, $"{flist}.log");

    public string Secrets => Path.Combine(Run, "secrets");

    public string Views => Path.Combine(Run, "views");

    /// <summary>The data disks that were named; without any a directory beside the rest, which counts as ssd.</summary>
    internal ImmutableArray<DataDisk> Disks(ImmutableArray<DataDisk> named)
    {
        if (!named.IsEmpty)
            return named;
        var own = Path.Combine(Data, "volumes");
        Directory.CreateDirectory(own, DirectoryModes.Private);
        return [new DataDisk(own, Media.Ssd)];
    }

    public string Machines => Path.Combine(Run, "machines");

    public string MachineRoots => Path.Combine(Data, "machine-roots");

    public string Roots => Path.Combine(Run, "roots");

    /// <summary>The flist as one container sees it: its files owned by the container's own range of ids.</summary>
    public string Root(ContainerId id) => Path.Combine(RootPlace(id), "root");

    /// <summary>What the view is mounted in; see <see cref="ContainerPlace"/>.</summary>
    internal string RootPlace(ContainerId id) => Path.Combine(Roots, id.ToString());
}
