using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Grid.Stories.Tests.Stage;

/// <summary>
/// A whole Debian 12, emulated: its packages, its kernel, its systemd and one tree of control groups, with the programs and the .NET runtime of this machine and an
/// address behind this machine's. It does one thing as root, says what came of it on two serial ports, and turns itself off.
/// </summary>
internal sealed class DebianMachine : IDisposable
{
    /// <summary>Where the programs are in it.</summary>
    public const string Installed = "/opt/grid";

    private const string Emulator = "/usr/bin/qemu-system-x86_64", Mmdebstrap = "/usr/bin/mmdebstrap", Mke2fs = "/usr/sbin/mke2fs";

    // Those of tools/packages.txt that the main job uses, and what makes a machine of them.
    private const string Packages = "crun,conmon,postgresql-15,libzstd1,iproute2,nftables,e2fsprogs,wireguard-tools,mmdebstrap,linux-image-cloud-amd64,systemd-sysv,udev,kmod";

    // The ledger brings its own cluster, as after tools/setup.
    private const string NoCluster = """mkdir -p "$1/etc/postgresql-common"; echo 'create_main_cluster = false' >"$1/etc/postgresql-common/createcluster.conf" """;

    // QEMU's own network: https://www.qemu.org/docs/master/system/devices/net.html#using-the-user-mode-network-stack
    private const string Job = """
        #!/bin/sh
        ip link set eth0 up
        ip address add 10.0.2.15/24 dev eth0
        ip route add default via 10.0.2.2
        export HOME=/root PATH=/usr/sbin:/usr/bin
        cd /root
        JOB >/dev/ttyS1 2>/dev/ttyS0
        { echo "exit $?"; uname -r; ls -d /tmp/grid* /run/grid* /sys/fs/cgroup/grid* 2>/dev/null; grep -o grid:fl1 /proc/mounts; ip -o link | grep -v -e ' lo:' -e ' eth0:'; } >/dev/ttyS2
        systemctl poweroff --force
        """;

    private const string Unit = """
        [Unit]
        Description=What this machine is for
        [Service]
        Type=oneshot
        ExecStart=/root/job
        [Install]
        WantedBy=multi-user.target
        """;

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(25);

    private readonly string _home = Directory.CreateTempSubdirectory("grid-story-debian-").FullName;

    /// <param name="job">one command of the shell</param>
    public static async Task<DebianMachine> MakeAsync(string job)
    {
        foreach (var program in new[] { Emulator, Mmdebstrap, Mke2fs })
            Assert.SkipUnless(File.Exists(program), $"A machine of Debian's needs {program}; run tools/setup.");
        Assert.SkipUnless(RuntimeInformation.OSArchitecture is Architecture.X64, "It runs this machine's programs, and is an x86-64.");
        var machine = new DebianMachine();
        await machine.InstallAsync(job);
        return machine;
    }

    /// <summary>From power on to power off.</summary>
    /// <returns>what the job wrote; its exit code, the kernel's version and what it left, a line each; and what it said to people</returns>
    public async Task<(string Output, string[] After, string Console)> RunAsync()
    {
        // Both processors, and an emulator that knows all that they can do: a TCG thread each.
        using var emulator = Process.Start(new ProcessStartInfo(Emulator,
        [
            "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "4096", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-kernel", At("vmlinuz"), "-initrd", At("initrd.img"), "-append", "console=ttyS0 root=/dev/vda rw panic=-1 net.ifnames=0 mitigations=off systemd.getty_auto=no",
            "-drive", $"file={At("disk")},format=raw,if=virtio,cache=unsafe", "-netdev", "user,id=net", "-device", "virtio-net,netdev=net",
            "-serial", $"file:{At("console")}", "-serial", $"file:{At("output")}", "-serial", $"file:{At("after")}",
        ])
        { RedirectStandardError = true })!;
        var said = emulator.StandardError.ReadToEndAsync();
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            await emulator.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            emulator.Kill();
            Assert.Fail($"It has not turned itself off within {Patience.TotalMinutes} minutes.\n{Read("console")}");
        }
        Assert.True(emulator.ExitCode == 0, await said);
        return (Read("output"), Read("after").Split('\n', StringSplitOptions.RemoveEmptyEntries), Read("console"));
    }

    public void Dispose() => Directory.Delete(_home, recursive: true);

    private string At(string name) => Path.Combine(_home, name);

    private string Read(string port) => File.Exists(At(port)) ? File.ReadAllText(At(port)).Replace("\r", "", StringComparison.Ordinal) : "";

    private async Task InstallAsync(string job)
    {
        var root = At("root");
        await Command.DoAsync(Mmdebstrap, "--variant=minbase", $"--include={Packages}", $"--essential-hook={NoCluster}", "--quiet", "bookworm", root);
        var runtime = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../.."));
        foreach (var (from, to) in new[] { (Path.GetDirectoryName(Programs.Find("grid-cli"))!, Installed), (Path.Combine(runtime, "shared"), "/usr/share/dotnet/shared"), (Path.Combine(runtime, "host"), "/usr/share/dotnet/host") })
        {
            Directory.CreateDirectory(Path.GetDirectoryName(root + to)!);
            await Command.DoAsync("/usr/bin/cp", "-a", from, root + to);
        }
        await File.WriteAllTextAsync(root + "/root/job", Job.Replace("JOB", job, StringComparison.Ordinal) + '\n');
        File.SetUnixFileMode(root + "/root/job", (UnixFileMode)0b111_000_000);
        await File.WriteAllTextAsync(root + "/etc/systemd/system/job.service", Unit + '\n');
        Directory.CreateDirectory(root + "/etc/systemd/system/multi-user.target.wants");
        File.CreateSymbolicLink(root + "/etc/systemd/system/multi-user.target.wants/job.service", "../job.service");
        await File.WriteAllTextAsync(root + "/etc/resolv.conf", "nameserver 10.0.2.3\n");
        await File.WriteAllTextAsync(root + "/etc/fstab", "/dev/vda / ext4 defaults 0 1\n");
        File.Copy(Directory.GetFiles(root + "/boot", "vmlinuz-*").Single(), At("vmlinuz"));
        File.Copy(Directory.GetFiles(root + "/boot", "initrd.img-*").Single(), At("initrd.img"));
        using (var disk = new FileStream(At("disk"), FileMode.CreateNew))
            disk.SetLength(12L << 30);
        await Command.DoAsync(Mke2fs, "-q", "-t", "ext4", "-d", root, At("disk"));
        Directory.Delete(root, recursive: true);
    }
}
