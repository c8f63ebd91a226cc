using System.Collections.Immutable;
using Grid.Networks;
using Grid.Secrets;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Machines;

/// <summary>
/// A virtual machine. Kernel and initial RAM disk are files of its flist, which is also its root file system, as an EROFS on a
/// read-only disk with the serial <see cref="RootSerial"/>, the first. What its kernel does after that is the image's matter: the file-level promise ends here.
/// </summary>
/// <param name="Kernel">absolute path in the flist of a bzImage or of an ELF file with a PVH note</param>
/// <param name="Initrd">absolute path in the flist of an initramfs</param>
/// <param name="CommandLine">the kernel's, exactly: nothing is added to it; a <c>NAME=value</c> that it does not know is in the environment of its first process; at most <see cref="MaximumCommandLine"/> printable ASCII characters</param>
/// <param name="Cpu">a hard limit; as many virtual processors as it has begun cores, at most <see cref="MostProcessors"/></param>
/// <param name="Memory">as the guest sees it, in whole MiB; <see cref="Overhead"/> comes on top</param>
/// <param name="Disks">volumes that are disks, sorted by serial; the guest finds them as <c>/dev/disk/by-id/virtio-SERIAL</c></param>
/// <param name="Restart">what follows when the guest powers off, which ends it with 0; a reboot is the guest's own matter</param>
/// <param name="Logs">how much of its serial console is kept, at most <see cref="Runnable.MostLogs"/>; nobody can write to it</param>
/// <param name="Secrets">systemd credentials, which the guest finds as firmware files below <c>opt/io.systemd.credentials</c>, sorted by name</param>
/// <param name="Networks">its addresses, which the guest gives its interfaces itself; the interface of the n-th, from 0, has the MAC address <see cref="Mac"/></param>
public sealed record Machine(
    string Name, NodeId Node, FlistId Flist, string Kernel, string Initrd, string CommandLine, MilliCores Cpu, Bytes Memory, ImmutableArray<MachineDisk> Disks,
    RestartPolicy Restart, Bytes Logs, ImmutableArray<Secret> Secrets, ImmutableArray<NetworkAddress> Networks) : Runnable(Name, Node, Flist, Restart, Secrets, Networks)
{
    public const string KindName = "vm";
    public const string RootSerial = "root";
    public const int MostProcessors = 64;
    public const int MostDisks = 16;

    /// <summary>What the x86 boot protocol has room for (Documentation/arch/x86/boot.rst, cmdline_size), without the zero at its end.</summary>
    public const int MaximumCommandLine = 2047;

    /// <summary>
    /// What the emulator and the file server take besides the guest's memory: translated code (at most 64 MiB), device state, stacks, buffers. The limit of the
    /// control group is memory and this, and it is paid for, so that a node is never sold twice.
    /// </summary>
    public static readonly Bytes Overhead = Bytes.MiB(192);

    public override string Kind => KindName;

    public override Capacity Demand => Capacity.None with { Cpu = Cpu, Memory = Memory + Overhead };

    public override IEnumerable<string> Volumes => Disks.Select(d => d.Volume);

    public int Processors => (int)((Cpu.Value + 999) / 1000);

    /// <summary>Locally administered (IEEE 802), and the same in every machine: they never meet on a wire.</summary>
    public static string Mac(int network) => $"52:54:00:67:00:{network:x2}";

    /// <summary>
    /// <code>
    /// vm = { "cpu": millicores, "kind": "vm", "logs": bytes, "name": text, "node": node-id, "disks": [*16 {"serial": text, "volume": text}], "flist": flist-id,
    ///        "initrd": path, "kernel": path, "memory": bytes, "cmdline": text, "restart": restart, "secrets": [*64 {"at": text, "sealed": bytes}],
    ///        "networks": [*16 {"address": address, "network": text}] }
    /// </code>
    /// </summary>
    public override void Write(CanonicalWriter w) => w.Map(14, m =>
    {
        m.Key("cpu").UInt(Cpu.Value);
        m.Key("kind").Text(KindName);
        m.Key("logs").UInt(Logs.Value);
        m.Key("name").Text(Name);
        m.Key("node").Id(Node);
        m.Key("disks").Array(Disks, (a, x) => a.Map(2, i =>
        {
            i.Key("serial").Text(x.Serial);
            i.Key("volume").Text(x.Volume);
        }));
        m.Key("flist").Id(Flist);
        m.Key("initrd").Text(Initrd);
        m.Key("kernel").Text(Kernel);
        m.Key("memory").UInt(Memory.Value);
        m.Key("cmdline").Text(CommandLine);
        m.Key("restart");
        Restart.Write(m);
        m.Key("secrets").Array(Secrets, (a, x) => x.Write(a));
        m.Key("networks").Array(Networks, (a, x) => x.Write(a));
    });

    internal static Machine Read(CanonicalReader r) => r.Map(m =>
    {
        const long Limit = 1_000_000_000_000_000;
        var cpu = new MilliCores(m.Field("cpu").UInt(1_000_000_000));
        m.Field("kind").Text(16);
        var logs = new Bytes(m.Field("logs").UInt(Limit));
        var name = m.Field("name").Text(64);
        var node = m.Field("node").Id<NodeId>();
        var disks = m.Field("disks").Set(MostDisks, a => a.Map(i =>
        {
            var serial = i.Field("serial").Text(64);
            return new MachineDisk(serial, i.Field("volume").Text(64));
        }), (a, b) => CanonicalReader.Order(a.Serial, b.Serial));
        var flist = ReadFlist(m);
        var initrd = m.Field("initrd").Text(Container.MaximumPath);
        var kernel = m.Field("kernel").Text(Container.MaximumPath);
        var memory = new Bytes(m.Field("memory").UInt(Limit));
        var line = m.Field("cmdline").Text(4096);
        var restart = RestartPolicy.Read(m.Field("restart"));
        var secrets = Secret.ReadAll(m.Field("secrets"));
        var networks = m.Field("networks").Set(16, NetworkAddress.Read, (a, b) => CanonicalReader.Order(a.Network, b.Network));
        return new Machine(name, node, flist, kernel, initrd, line, cpu, memory, disks, restart, logs, secrets, networks);
    });

    public bool Equals(Machine? other) => other is not null && CanonicalWriter.Encode(Write).AsSpan().SequenceEqual(CanonicalWriter.Encode(other.Write));

    public override int GetHashCode() => HashCode.Combine(Name, Node, Flist, Kernel);
}

/// <param name="Serial">1–20 of [a-z0-9-], as much as a virtio disk can say of itself</param>
/// <param name="Volume">the name of a volume of the same node, in the form of a disk</param>
public sealed record MachineDisk(string Serial, string Volume)
{
    /// <summary>VIRTIO 1.1 §5.2.6: VIRTIO_BLK_T_GET_ID.</summary>
    public const int MaximumSerial = 20;
}
