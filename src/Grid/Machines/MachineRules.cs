using Grid.Agreements;
using Grid.Networks;
using Grid.Secrets;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Machines;

/// <summary>The static rules of machines and of the volumes that are their disks; part of <see cref="AgreementRules"/>.</summary>
internal static class MachineRules
{
    public static readonly Bytes SmallestMemory = Bytes.MiB(64);

    public static void Check(AgreementTerms terms, Findings found)
    {
        var attached = new Dictionary<(NodeId, string), string>();
        foreach (var machine in terms.Workloads.OfType<Machine>())
        {
            var its = found.Of(machine);
            CheckSizes(machine, its);
            CheckBoot(machine, its);
            CheckWaysOut(machine, terms, its);
            SecretRules.Check(machine, its);
            foreach (var disk in machine.Disks)
                CheckDisk(machine, disk, terms, attached, its);
        }
    }

    /// <summary>A volume is mounted by containers or is the disk of one machine. It says itself which, so that no node has to guess what is in it.</summary>
    /// <param name="item">the path or the serial by which the workload has it</param>
    public static void CheckForm(string workload, Volume volume, VolumeForm form, string item, Findings found)
    {
        if (volume.Form != form)
        {
            found.Add(form is VolumeForm.Files
                ? new(RefusalCode.VolumeConflict, $"'{workload}' cannot mount '{volume.Name}': it is a disk, for a machine.", "Let it have 'form: files', or add another volume.")
                : new(RefusalCode.VolumeConflict, $"'{workload}' cannot have '{volume.Name}' as a disk: it holds files, for containers.", "Let it have 'form: disk', or add another volume."), form is VolumeForm.Files ? "mounts" : "disks", item);
        }
    }

    private static void CheckSizes(Machine machine, Findings found)
    {
        if (machine.Cpu.Value <= 0 || machine.Processors > Machine.MostProcessors)
            found.Add(new(RefusalCode.SizeInvalid, $"'{machine.Name}' needs cpu, at most {Machine.MostProcessors} cores of it."), "cpu");
        if (machine.Memory < SmallestMemory || machine.Memory.Value % (1 << 20) != 0)
            found.Add(new(RefusalCode.SizeInvalid, $"'{machine.Name}' needs at least {SmallestMemory} of memory, in whole MiB."), "memory");
        if (machine.Restart.First <= TimeSpan.Zero || machine.Restart.Max < machine.Restart.First)
            found.Add(new(RefusalCode.TermInvalid, $"'{machine.Name}' restarts with a first wait above zero and a largest wait not below it."), "restart");
    }

    private static void CheckBoot(Machine machine, Findings found)
    {
        foreach (var (field, path) in new[] { ("kernel", machine.Kernel), ("initrd", machine.Initrd) })
        {
            if (path == "/" || !AgreementRules.IsPlainPath(path))
                found.Add(new(RefusalCode.PathInvalid, $"'{path}' in '{machine.Name}' is not an absolute path without '.', '..', empty parts or control characters."), field);
        }
        if (machine.CommandLine.Length > Machine.MaximumCommandLine || machine.CommandLine.Any(c => c is < ' ' or > '~'))
            found.Add(new(RefusalCode.Malformed, $"The command line of '{machine.Name}' has at most {Machine.MaximumCommandLine} characters, all of printable ASCII."), "cmdline");
        if (machine.CommandLine.Split(' ', '=', ':', ',').Any(AgreementRules.IsPlaceholder))
            found.Add(new(RefusalCode.EnvPlaceholder, $"The command line of '{machine.Name}' is left to be filled in at run time: '{machine.CommandLine}'.", "Write the value itself."), "cmdline");
    }

    // A container has an address for it; a machine leaves with the one that it has in the network.
    private static void CheckWaysOut(Machine machine, AgreementTerms terms, Findings found)
    {
        foreach (var place in machine.Networks.Where(a => !a.Address.IsIPv4() && terms.Workloads.OfType<Network>().Any(n => n.Name == a.Network && n.Egress is Egress.Nat)))
            found.Add(new(RefusalCode.AddressConflict, $"'{machine.Name}' cannot leave by '{place.Network}' as {place.Address}: a way out by nat is IPv4's.",
                "Give it an address in a network of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 for that, or none with 'egress: nat'."), "networks", place.Network);
    }

    private static void CheckDisk(Machine machine, MachineDisk disk, AgreementTerms terms, Dictionary<(NodeId, string), string> attached, Findings found)
    {
        if (!Names.IsValid(disk.Serial, 1, MachineDisk.MaximumSerial) || disk.Serial == Machine.RootSerial)
            found.Add(new(RefusalCode.NameInvalid, $"'{disk.Serial}' in '{machine.Name}' is not a disk's serial.", $"Use 1–{MachineDisk.MaximumSerial} of a–z, 0–9 and hyphens, none at either end, and not '{Machine.RootSerial}'."), "disks", disk.Serial);
        if (terms.On(machine.Node).OfType<Volume>().FirstOrDefault(v => v.Name == disk.Volume) is not { } volume)
            found.Add(new(RefusalCode.UnresolvedVolume, $"'{machine.Name}' has the disk '{disk.Volume}', which is no volume on its node."), "disks", disk.Serial);
        else if (!attached.TryAdd((machine.Node, disk.Volume), machine.Name))
            found.Add(new(RefusalCode.VolumeConflict, $"'{machine.Name}' and '{attached[(machine.Node, disk.Volume)]}' both have the disk '{disk.Volume}'; a disk is one machine's, once."), "disks", disk.Serial);
        else
            CheckForm(machine.Name, volume, VolumeForm.Disk, disk.Serial, found);
    }
}
