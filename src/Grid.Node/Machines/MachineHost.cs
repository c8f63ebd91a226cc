using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Grid.Flists.Mount;
using Grid.Machines;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Secrets;
using Grid.Node.Volumes;
using Grid.Node.Volumes.Interop;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Machines;

/// <summary>
/// Machines: an emulator each, in a container of its own. That container is confined as every other, with no capability, in a private range of user ids, behind the
/// same system call filter; it outlives the agent, is found again, limited, logged and ended by the same means. What is a machine's alone is here: what the
/// emulator sees of this node, and what it is asked by QMP.
/// <code>
/// run/machines/agr1….vm/root    the emulator's root: this node's /usr, the flist, its image, the disks; all read-only but the disks
/// run/machines/agr1….vm/keys    what opens the disks, and the guest's credentials
/// run/machines/agr1….vm/dev     tun when it has networks, kvm where that runs kernels, and nothing else
/// run/machines/accelerator      what was found of KVM in this boot
/// </code>
/// </summary>
public sealed class MachineHost
{
    /// <summary>The emulator's threads: a processor each, and workers for its disks.</summary>
    private const int Threads = 128;

    // Documentation/admin-guide/devices.txt: both are among the miscellaneous ones.
    private const int Miscellaneous = 10, Tun = 200, Kvm = 232;
    private static readonly Bytes RunSize = Bytes.KiB(64);

    // One that keeps its asker waiting is not asked again for so many times as long: every look waits for the slowest.
    private const int Forbearance = 10;

    /// <summary>And for no longer than this.</summary>
    internal static readonly TimeSpan BackOff = TimeSpan.FromSeconds(30);

    // Who answers just in time is no better than who does not.
    private static readonly TimeSpan Slow = TimeSpan.FromMilliseconds(500);

    private readonly string _run;
    private readonly RootImages _images;
    private readonly TimeProvider _time;

    // Looks come one after the other.
    private Dictionary<ProcessIdentity, (long Since, TimeSpan For, string Why)> _slow = [];

    private readonly Lazy<Accelerator> _accelerator;

    internal MachineHost(string run, RootImages images, TimeProvider time)
    {
        (_run, _images, _time) = (run, images, time);
        _accelerator = new Lazy<Accelerator>(() =>
        {
            MakeRun();
            return Machines.Accelerator.OfThisBoot(Path.Combine(run, "accelerator"));
        });
    }

    /// <summary>What runs the guests' instructions. Asked for the first time in a boot, it runs one for it.</summary>
    public Accelerator Accelerator => _accelerator.Value;

    /// <param name="run">a directory on a tmpfs</param>
    /// <param name="images">where flists are kept as images for as long as they are mounted</param>
    /// <returns>null, and in <paramref name="why"/> what is missing</returns>
    public static MachineHost? Open(string run, string images, TimeProvider time, out string why)
    {
        why = "";
        if (!Environment.IsPrivilegedProcess)
            why = "machines need root";
        else if (!File.Exists(Emulator.Program))
            why = $"{Emulator.Program} is not installed";
        else if (RootImages.Missing() is { } missing)
            why = missing;
        else if (!File.Exists("/dev/net/tun"))
            why = "the kernel has no tap devices";
        return why.Length == 0 ? new MachineHost(run, new RootImages(images), time) : null;
    }

    /// <summary>The machines of which there is anything here.</summary>
    public IEnumerable<ContainerId> Known() => ContainerId.NamedIn(_run);

    /// <summary>Makes everything that the emulator sees, anew, and says how it is started.</summary>
    /// <param name="flist">the flist as it is mounted, and as the emulator sees it</param>
    /// <param name="anew">false: what is there is its own, and perhaps in use</param>
    /// <param name="taps">of its networks, in their order</param>
    /// <param name="credentials">its secrets, opened</param>
    public async Task<(ContainerSpec? Spec, Outcome Outcome)> PrepareAsync(
        Wish wish, long generation, UidRange uids, (string Mount, string View) flist, VolumeHost? volumes, ImmutableArray<string> taps, int mtu,
        IReadOnlyCollection<(string Name, byte[] Value)> credentials, bool anew)
    {
        var machine = (Machine)wish.Workload;
        var id = ContainerId.Of(wish.Key);
        var outcome = anew || !Directory.Exists(Of(id)) ? await Effect.Run(() => Assemble(id, machine, uids, flist, credentials)) : new Outcome.Done();
        for (var i = 0; anew && i < machine.Disks.Length && outcome is Outcome.Done; i++)
        {
            if (volumes is null)
                return (null, new Outcome.Transient("This node has no volumes now."));
            outcome = await volumes.AttachDiskAsync(wish.Key with { Name = machine.Disks[i].Volume }, RootOf(id) + Emulator.Disks + $"/{i}", Path.Combine(Of(id), "keys", $"{i}"), uids);
        }
        if (outcome is not Outcome.Done)
            return (null, outcome);
        var spec = new ContainerSpec(
            id, new ContainerLabel(wish.Version.Value, generation, ContainerSpec.DigestOf(machine), (int)long.Min(generation - 1, int.MaxValue)), RootOf(id),
            Emulator.Shell, Emulator.Arguments(machine, taps, mtu, Accelerator.Name), [new("PATH", "/usr/bin")], "/", new ContainerUser(0, 0), machine.Cpu, machine.Memory + Machine.Overhead,
            Threads + machine.Processors, [new Scratch(Emulator.Run, RunSize)], [], uids, machine.Logs)
        {
            Devices = DevicesOf(id, machine),
        };
        return (spec, outcome);
    }

    /// <summary>What each machine that runs says of itself.</summary>
    public ImmutableSortedDictionary<WorkloadKey, Sighting<MachineSeen>> Observe(Containers.Sighting containers)
    {
        var running = Known().Where(id => containers[id] is Observation.Present { Phase: Phase.Running }).Select(id => (id.Key, Emulator: containers[id].Init!.Value)).ToList();
        _slow = _slow.Where(s => running.Exists(r => r.Emulator == s.Key) && _time.GetElapsedTime(s.Value.Since) < s.Value.For).ToDictionary();
        // All at once, each on a thread of its own: one that keeps its asker waiting keeps no other machine.
        var asked = running.Where(r => !_slow.ContainsKey(r.Emulator))
            .Select(r => (r.Emulator, Answer: Task.Factory.StartNew(() => Ask(r.Emulator), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)))
            .ToDictionary(a => a.Emulator, a => a.Answer);
        foreach (var (emulator, answer) in asked)
        {
            if (answer.GetAwaiter().GetResult() is var (seen, took) && took > Slow)
                _slow[emulator] = (_time.GetTimestamp(), took * Forbearance < BackOff ? took * Forbearance : BackOff, seen is Sighting<MachineSeen>.Unknown(var why) ? why : "the emulator is slow to answer");
        }
        return running.ToImmutableSortedDictionary(r => r.Key, r => asked.TryGetValue(r.Emulator, out var answer) ? answer.Result.Seen : new Sighting<MachineSeen>.Unknown(_slow[r.Emulator].Why));
    }

    /// <summary>Its processors run, and it sees each disk as large as the volume is.</summary>
    public static Task<Outcome> AdjustAsync(Machine machine, ProcessIdentity emulator, Func<string, Bytes?> sizeOf) => Effect.Run(() =>
    {
        using var qmp = Qmp.Open(emulator);
        var shown = Shown(qmp);
        for (var i = 0; i < int.Min(machine.Disks.Length, shown.Length); i++)
        {
            if (sizeOf(machine.Disks[i].Volume) is { } size && shown[i] < size)
                qmp.Tell("block_resize", new JsonObject { ["node-name"] = Emulator.Node(i), ["size"] = size.Value });
        }
        qmp.Tell("cont");
        return new Outcome.Done();
    });

    /// <summary>Its processors are held or let run; what time it is for them stands still while they are held.</summary>
    public static Task<Outcome> HoldAsync(ProcessIdentity emulator, bool held) => Effect.Run(() =>
    {
        using var qmp = Qmp.Open(emulator);
        qmp.Tell(held ? "stop" : "cont");
        return new Outcome.Done();
    });

    /// <summary>Presses its power button, and waits until it has shut itself down.</summary>
    public static Task<Outcome> PowerDownAsync(ProcessIdentity emulator, TimeSpan grace, CancellationToken cancel) => Effect.Run(() =>
    {
        using var process = Posix.OpenProcess(emulator.Pid);
        if (process is null || Processes.Identify(emulator.Pid) != emulator)
            return new Outcome.Done();
        using (var qmp = Qmp.Open(emulator))
        {
            qmp.Tell("cont");
            qmp.Tell("system_powerdown");
        }
        for (var clock = System.Diagnostics.Stopwatch.StartNew(); clock.Elapsed < grace && !cancel.IsCancellationRequested;)
        {
            if (Posix.WaitReadable(process, TimeSpan.FromMilliseconds(200)))
                return new Outcome.Done();
        }
        return new Outcome.Transient("it does not shut itself down");
    });

    /// <summary>Takes away what an emulator saw. It has ended.</summary>
    public void Hide(ContainerId id)
    {
        if (!Directory.Exists(Of(id)))
            return;
        // Never through a mount: behind one lies somebody's data.
        MountLine.DetachBelow(Of(id));
        Directory.Delete(Of(id), recursive: true);
    }

    /// <summary>An flist is no longer mounted: nor is there an image of it.</summary>
    public void Forget(FlistId flist) => _images.Remove(flist);

    private string Of(ContainerId id) => Path.Combine(_run, id.ToString());

    private string RootOf(ContainerId id) => Path.Combine(Of(id), "root");

    private Outcome Assemble(ContainerId id, Machine machine, UidRange uids, (string Mount, string View) flist, IEnumerable<(string Name, byte[] Value)> credentials)
    {
        var image = _images.Make(machine.Flist, flist.Mount);
        Hide(id);
        ContainerPlace.Make(Of(id), uids);
        var (tree, root, keys) = (Path.Combine(Of(id), "tree"), RootOf(id), Path.Combine(Of(id), "keys"));
        foreach (var directory in (ReadOnlySpan<string>)[root, keys])
            Directory.CreateDirectory(directory, DirectoryModes.Private);
        foreach (var (name, value) in credentials)
            SecretPlaces.Write(Path.Combine(keys, Emulator.Credential(name)), value);
        foreach (var directory in (ReadOnlySpan<string>)["", "usr", "proc", "sys", "dev", Emulator.Run[1..], Emulator.Flist[1..], Emulator.Disks[1..], Emulator.Keys[1..]])
            Directory.CreateDirectory(Path.Combine(tree, directory), DirectoryModes.Passed);
        foreach (var name in (ReadOnlySpan<string>)["bin", "lib", "lib64", "sbin"])
            File.CreateSymbolicLink(Path.Combine(tree, name), $"usr/{name}");
        foreach (var file in machine.Disks.Select((_, i) => $"{Emulator.Disks[1..]}/{i}").Prepend(Emulator.Root[1..]))
            File.Create(Path.Combine(tree, file)).Dispose();
        // In memory, of which a view with mapped ids cannot be had everywhere (tmpfs: Linux 6.3).
        Give(tree, uids);
        Give(keys, uids);
        MountApi.Show(tree, root);
        IdmappedBind.Create("/usr", root + "/usr", uids.Ids);
        MountApi.Show(keys, root + Emulator.Keys);
        IdmappedBind.Create(image, root + Emulator.Root, uids.Ids);
        MountApi.Show(flist.View, root + Emulator.Flist);
        if (DevicesOf(id, machine) is { IsEmpty: false } devices)
            MakeDevices(Path.Combine(Of(id), "dev"), devices, uids);
        return new Outcome.Done();
    }

    private static void Give(string directory, UidRange uids)
    {
        foreach (var path in Directory.EnumerateFileSystemEntries(directory, "*", SearchOption.AllDirectories).Prepend(directory))
            SysStat.SetOwner(path, uids.First, uids.First);
    }

    private void MakeRun() => Directory.CreateDirectory(_run, DirectoryModes.Passed);

    private ImmutableArray<DeviceBind> DevicesOf(ContainerId id, Machine machine)
    {
        var directory = Path.Combine(Of(id), "dev");
        return
        [
            .. machine.Networks.IsEmpty ? [] : (DeviceBind[])[new(Path.Combine(directory, "tun"), "/dev/net/tun", Miscellaneous, Tun)],
            .. Accelerator.IsEmulated ? [] : (DeviceBind[])[new(Path.Combine(directory, "kvm"), "/dev/kvm", Miscellaneous, Kvm)],
        ];
    }

    /// <summary>Nodes of its own, which its range of ids owns; those of this node are root's.</summary>
    private static void MakeDevices(string directory, ImmutableArray<DeviceBind> devices, UidRange uids)
    {
        Directory.CreateDirectory(directory, DirectoryModes.Private);
        using var mount = MountApi.Mount("tmpfs", "devices", [("size", "4k"), ("mode", "0700")], devices: true);
        foreach (var device in devices)
            SysStat.MakeDevice($"/proc/self/fd/{Posix.Number(mount)}/{Path.GetFileName(device.Source)}", device.Major, device.Minor, uids.First);
        MountApi.MakeReadOnly(mount);
        MountApi.Place(mount, directory);
    }

    private (Sighting<MachineSeen> Seen, TimeSpan Took) Ask(ProcessIdentity emulator)
    {
        var began = _time.GetTimestamp();
        try
        {
            using var qmp = Qmp.Open(emulator);
            var seen = new MachineSeen(qmp.Ask("query-status", s => s?["running"]?.GetValue<bool>() is true), Shown(qmp));
            return (new Sighting<MachineSeen>.Present(seen), _time.GetElapsedTime(began));
        }
        catch (Exception e) when (Effect.IsOfTheMachine(e))
        {
            return (new Sighting<MachineSeen>.Unknown(e.Message), _time.GetElapsedTime(began));
        }
    }

    private static ImmutableArray<Bytes> Shown(Qmp qmp) => qmp.Ask("query-named-block-nodes", ImmutableArray<Bytes> (found) =>
    {
        var sizes = found?.AsArray().ToDictionary(n => n?["node-name"]?.GetValue<string>() ?? "", n => n?["image"]?["virtual-size"]?.GetValue<long>() ?? 0) ?? [];
        return [.. Enumerable.Range(0, Machine.MostDisks).TakeWhile(i => sizes.ContainsKey(Emulator.Node(i))).Select(i => new Bytes(sizes[Emulator.Node(i)]))];
    }, new JsonObject { ["flat"] = true });
}
