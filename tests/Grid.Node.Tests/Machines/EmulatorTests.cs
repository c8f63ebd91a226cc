using System.Net;
using Grid.Machines;
using Grid.Networks;
using Grid.Node.Machines;
using Grid.Secrets;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Machines;

public sealed class EmulatorTests
{
    internal static readonly Machine Machine = new(
        "vm", default, default, "/boot/vmlinuz", "/boot/initrd.img", "console=ttyS0 a,b=c \"d\" $(e)", new MilliCores(1001), Bytes.MiB(300), [new MachineDisk("data", "volume")],
        new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1)), Bytes.MiB(1), [new Secret("api.token", new byte[112])], [new NetworkAddress("net", IPAddress.Parse("10.42.0.2"))]);

    [Fact]
    public void The_emulator_is_given_what_was_agreed_and_nothing_else()
    {
        var args = Emulator.Arguments(Machine, ["gt0"], 1420, "tcg");
        string After(string option) => args[args.IndexOf(option) + 1];
        IEnumerable<string> AllAfter(string option) => args.Zip(args.Skip(1)).Where(p => p.First == option).Select(p => p.Second);

        // One argument, as it stands: neither a shell nor the emulator makes anything of it.
        Assert.Equal(Machine.CommandLine, After("-append"));
        Assert.Equal(("/flist/boot/vmlinuz", "/flist/boot/initrd.img"), (After("-kernel"), After("-initrd")));
        Assert.Equal(("2", "300M"), (After("-smp"), After("-m")));
        Assert.Equal(Emulator.Program, args[3]);
        Assert.Contains("-nodefaults", args);
        Assert.Contains("virtio-blk-pci,drive=disk0,serial=data", args);
        Assert.Contains("tap,id=net0,ifname=gt0,script=no,downscript=no", args);
        Assert.Contains("virtio-net-pci,netdev=net0,mac=52:54:00:67:00:00,host_mtu=1420,romfile=", args);
        Assert.Contains("name=opt/io.systemd.credentials/api.token,file=/keys/credential.api.token", args);
        Assert.Equal(5, args.Count(a => a == "-device"));
        // What the guest says goes into a file, a pipe in there. A pty, a socket or "input-path" would be a way in; the one socket is ours, and no console's.
        Assert.Equal(["file,id=console,path=/run/console", "socket,id=control,path=/run/qmp,server=on,wait=off"], AllAfter("-chardev"));
        Assert.Equal(["isa-serial,chardev=console", "chardev=control,mode=control"], args.Where(a => a.Contains("chardev=", StringComparison.Ordinal)));
        Assert.DoesNotContain(args, a => a is "-serial" or "-monitor" or "-qmp" or "-parallel" or "-debugcon" or "-nographic");
        Assert.DoesNotContain(args, a => a.Contains("vnc", StringComparison.Ordinal) || a.Contains("vhost", StringComparison.Ordinal) || a.Contains("user,", StringComparison.Ordinal));
    }
}
