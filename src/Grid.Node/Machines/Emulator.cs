using System.Collections.Immutable;
using System.Globalization;
using Grid.Machines;

namespace Grid.Node.Machines;

/// <summary>
/// How the emulator is called, a pure function of the machine. Nothing is on by default: no device, no display, no monitor but QMP, no network but the taps. The serial
/// console is a pipe that nobody writes to. It comes byte by byte, which the shim would keep byte by byte, each with its time; so lines are made of it first.
/// <code>
/// /flist        the flist                 /run          in a tmpfs of its own: console, and qmp
/// /root.erofs   the flist as one file     /disks/n      disks, and in /keys/n what opens them; beside that, credentials
/// </code>
/// </summary>
internal static class Emulator
{
    public const string Program = "/usr/bin/qemu-system-x86_64";

    /// <summary>What the container executes, before the emulator and its arguments: its end is the emulator's, once all that was said has been written.</summary>
    public const string Shell = "/usr/bin/sh";

    private const string Script = """
        mkfifo /run/console || exit 125
        stdbuf -oL tr -d '\r' < /run/console &
        "$@" &
        emulator=$!
        trap 'kill -TERM $emulator' TERM
        while wait $emulator; code=$?; kill -0 $emulator 2>/dev/null; do :; done
        wait
        exit $code
        """;
    public const string Flist = "/flist", Root = "/root.erofs", Disks = "/disks", Keys = "/keys", Run = "/run", Control = "/run/qmp";

    /// <summary>What is translated from the guest's code is kept in so many MiB; part of <see cref="Machine.Overhead"/>.</summary>
    private const int TranslatedCode = 64;

    /// <summary>What every machine is built on: a chipset, a processor, and nothing else.</summary>
    /// <param name="accelerator"><see cref="Accelerator.Kvm"/> or <see cref="Accelerator.Tcg"/></param>
    public static ImmutableArray<string> Board(string accelerator) =>
    [
        "-nodefaults", "-no-user-config", "-display", "none", "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-machine", "q35,usb=off,vmport=off,smbus=off,sata=off,i8042=off,hpet=off,dump-guest-core=off,graphics=off",
        "-accel", accelerator == Accelerator.Tcg ? $"tcg,tb-size={TranslatedCode}" : accelerator, "-cpu", accelerator == Accelerator.Tcg ? "max" : "host",
    ];

    /// <param name="taps">one for each network, in their order</param>
    /// <param name="accelerator">as for the board</param>
    public static ImmutableArray<string> Arguments(Machine machine, IReadOnlyList<string> taps, int mtu, string accelerator)
    {
        var args = ImmutableArray.CreateBuilder<string>();
        args.AddRange("-c", Script, "machine", Program);
        args.AddRange(Board(accelerator));
        args.AddRange(
            "-name", machine.Name, "-smp", Text(machine.Processors), "-m", $"{Text(machine.Memory.Value >> 20)}M",
            "-kernel", Flist + machine.Kernel, "-initrd", Flist + machine.Initrd, "-append", machine.CommandLine,
            "-chardev", $"file,id=console,path={Run}/console", "-device", "isa-serial,chardev=console",
            "-chardev", $"socket,id=control,path={Control},server=on,wait=off", "-mon", "chardev=control,mode=control",
            "-device", "virtio-rng-pci",
            "-blockdev", $"driver=file,node-name=root,filename={Root},read-only=on,locking=off", "-device", $"virtio-blk-pci,drive=root,serial={Machine.RootSerial}");
        for (var i = 0; i < machine.Disks.Length; i++)
        {
            args.AddRange(
                "-object", $"secret,id=key{i},file={Keys}/{i}", "-blockdev", $"driver=file,node-name=file{i},filename={Disks}/{i}",
                "-blockdev", $"driver=luks,node-name={Node(i)},file=file{i},key-secret=key{i}", "-device", $"virtio-blk-pci,drive={Node(i)},serial={machine.Disks[i].Serial}");
        }
        // systemd.system-credentials(7): a guest's systemd finds them by itself, any other below /sys/firmware/qemu_fw_cfg.
        foreach (var secret in machine.Secrets)
            args.AddRange("-fw_cfg", $"name=opt/io.systemd.credentials/{secret.At},file={Keys}/{Credential(secret.At)}");
        for (var i = 0; i < machine.Networks.Length; i++)
        {
            args.AddRange(
                "-netdev", $"tap,id=net{i},ifname={taps[i]},script=no,downscript=no",
                "-device", $"virtio-net-pci,netdev=net{i},mac={Machine.Mac(i)},host_mtu={Text(mtu)},romfile=");
        }
        return args.ToImmutable();
    }

    /// <summary>The file of a credential, among those that open disks, which are numbers.</summary>
    public static string Credential(string name) => $"credential.{name}";

    /// <summary>What the n-th disk is called between the emulator and us.</summary>
    public static string Node(int disk) => $"disk{disk}";

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
