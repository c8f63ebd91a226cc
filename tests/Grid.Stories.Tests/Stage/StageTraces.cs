using Grid.Flists.Mount;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Networks;
using Grid.Units;

namespace Grid.Stories.Tests.Stage;

/// <summary>What is left of workloads on a node.</summary>
public sealed partial class StageNode
{
    /// <summary>Everything of any container that is left here: containers, mounts, roots, tunnels.</summary>
    public IReadOnlyList<string> Traces()
    {
        var host = ContainerHost.Open(Paths, TimeProvider.System, out var why);
        Assert.True(host is not null, why);
        return
        [
            .. host.Observe().Containers.Select(c => $"container {c.Key}: {c.Value}"),
            .. FlistMount.All().Where(m => m.Mountpoint.StartsWith(Run + "/", StringComparison.Ordinal)).Select(m => $"mount {m.Mountpoint}"),
            .. new[] { "roots", "views", "machines", "secrets" }.Select(p => Path.Combine(Run, p)).Where(Directory.Exists).SelectMany(Directory.EnumerateDirectories).Select(p => $"place {p}"),
            .. Tunnels().Select(p => $"tunnel {p}"),
            .. Gateways().Select(p => $"gateway {p}"),
            .. Within(Path.Combine(Run, "gateways")).Select(f => $"route {f}"),
            .. Within(Path.Combine(Data, "gateways")).Where(f => Path.GetFileName(f) != "account.pem").Select(f => $"certificate {f}"),
        ];
    }

    /// <summary>How many of its flists a daemon serves, with its supervisor beside it; the kernel shows the others by itself.</summary>
    public int Served() => FlistMount.All().Where(m => m.Mountpoint.StartsWith(Run + "/", StringComparison.Ordinal) && !m.IsComposed).DistinctBy(m => m.Device).Count();

    /// <summary>What <see cref="Traces"/> says, and what else a workload may leave: cgroups, loop devices, links, rules and routes, volumes and their keys on whatever disk, sockets of WireGuard.</summary>
    public IReadOnlyList<string> EveryTrace() =>
    [
        .. Traces(),
        .. Cgroups().Where(g => Path.GetFileName(g) != Cgroup).Select(g => $"cgroup {g}"),
        .. Directory.EnumerateDirectories("/sys/block", "loop*").Select(d => Reads(Path.Combine(d, "loop/backing_file"))).Where(f => Disks.Any(d => f.StartsWith(d + "/", StringComparison.Ordinal))).Select(f => $"loop device over {f.Trim()}"),
        .. Disks.SelectMany(Within).Where(f => Path.GetFileName(f) != "lost+found").Select(f => $"file {f}"),
        .. UnderlayNetwork.Inside(Space, () => System.Net.NetworkInformation.NetworkInterface.GetAllNetworkInterfaces().Select(i => i.Name).ToList())
            .Where(n => wire is not null && n is not ("lo" or "eth0")).Select(n => $"interface {n}"),
        .. Cli.Up.Place.Mounts(Run).Select(m => $"mounted {m}"),
        .. wire is null ? [] : UnderlayNetwork.Rules(Space).Select(r => $"rule {r}"),
        .. Sockets().Where(File.Exists).Select(s => $"socket {s}"),
        .. Namespaces().Select(n => $"namespace {n}"),
    ];

    // Those that it was told of, beside what it uses when it is told of none.
    private IEnumerable<string> Disks =>
        (_options ?? []).Zip((_options ?? []).Skip(1)).Where(o => o.First == "--disk").Select(o => o.Second[(o.Second.IndexOf(':', StringComparison.Ordinal) + 1)..]).Append(Path.Combine(Data, "volumes"));

    // All nodes of a machine share their directory: whose one is, its name alone says.
    private IEnumerable<string> Sockets() =>
        from agreed in stage.Proposed
        from place in agreed.Terms.MembershipsOn(Id)
        select WireGuardSocket.PathOf(new TunnelId(agreed.Id, place).InterfaceName(TunnelNames.Tunnel, Run));

    /// <summary>The namespaces that were not there before this node was, and that a process of it is in with one of its threads or holds open, each with who does.</summary>
    private IEnumerable<string> Namespaces() =>
        (from entry in Directory.EnumerateDirectories("/proc")
         where int.TryParse(Path.GetFileName(entry), out var pid) && pid != Environment.ProcessId
            && (IsInGroups(entry) || (Reads(Path.Combine(entry, "cmdline")) + Reads(Path.Combine(entry, "environ"))).Contains(Run, StringComparison.Ordinal))
         from held in Namespaces(entry)
         where _before?.Contains(held.Space) is false
         select $"{held.Space} held by {held.Holder}: {(Reads(Path.Combine(held.Holder, "comm")) is { Length: > 0 } thread ? thread : Reads(Path.Combine(entry, "comm"))).TrimEnd()}").ToList();

    // Each thread is in its own; a descriptor of one keeps it as well (namespaces(7)).
    private static IEnumerable<(string Space, string Holder)> Namespaces(string process) =>
        from held in Entries(Path.Combine(process, "task")).SelectMany(t => new[] { "net", "mnt", "user", "pid" }.Select(n => (Space: Link(Path.Combine(t, "ns", n)), Holder: t)))
            .Concat(Entries(Path.Combine(process, "fd")).Select(d => (Space: Link(d), Holder: d)))
        where held.Space?.EndsWith(']') is true && held.Space.Split(":[")[0] is "net" or "mnt" or "user" or "pid"
        select (held.Space!, held.Holder);

    private static string? Link(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static string[] Entries(string directory)
    {
        try
        {
            return Directory.GetFileSystemEntries(directory);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It ended meanwhile.
            return [];
        }
    }

    private static IEnumerable<string> Within(string directory) => Directory.Exists(directory) ? Directory.EnumerateFileSystemEntries(directory) : [];

    /// <summary>The control groups of a workload, one in each hierarchy.</summary>
    public IEnumerable<string> Groups(AgreementId agreement, string workload) => Cgroups().Where(g => Path.GetFileName(g) == $"{agreement}.{workload}");

    private IEnumerable<string> Cgroups() => Directory.EnumerateDirectories("/sys/fs/cgroup", Cgroup, new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 1 })
        .SelectMany(g => Directory.EnumerateDirectories(g, "*", SearchOption.AllDirectories).Append(g)).ToList();
}
