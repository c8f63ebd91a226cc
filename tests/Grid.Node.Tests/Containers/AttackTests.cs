using Grid.Node.Containers;
using Grid.Node.Tests.Volumes;
using Grid.Workloads;

namespace Grid.Node.Tests.Containers;

/// <summary>Nothing undescribed runs: every way that is known to get around it, tried.</summary>
[Collection(OnThisMachine.Name)]
public sealed class AttackTests(Machine machine) : IDisposable
{
    public void Dispose() => machine.Clear();

    [Theory]
    [InlineData("dropped-elf")]
    [InlineData("shm-elf")]
    [InlineData("dev-elf")]
    [InlineData("volume-elf")]
    [InlineData("root-elf")]
    [InlineData("script")]
    [InlineData("loader")]
    [InlineData("preload")]
    [InlineData("map-exec")]
    [InlineData("map-then-exec")]
    [InlineData("memfd")]
    [InlineData("memfd-exec")]
    [InlineData("memfd-sealed")]
    [InlineData("memfd-chmod")]
    [InlineData("memfd-secret")]
    [InlineData("tmpfile")]
    [InlineData("userns")]
    [InlineData("mntns")]
    [InlineData("clone-userns")]
    [InlineData("clone3")]
    [InlineData("setns")]
    [InlineData("mount")]
    [InlineData("remount")]
    [InlineData("remount-root")]
    [InlineData("umount")]
    [InlineData("open-tree")]
    [InlineData("fsopen")]
    [InlineData("ptrace")]
    [InlineData("vm-write")]
    [InlineData("bpf")]
    [InlineData("keyctl")]
    [InlineData("userfaultfd")]
    [InlineData("io-uring")]
    [InlineData("perf")]
    [InlineData("module")]
    [InlineData("kexec")]
    [InlineData("chroot")]
    [InlineData("personality")]
    [InlineData("packet-socket")]
    [InlineData("raw-socket")]
    [InlineData("alg-socket")]
    [InlineData("vsock")]
    [InlineData("device")]
    [InlineData("sysctl")]
    [InlineData("sysrq")]
    [InlineData("cgroup")]
    [InlineData("hostname")]
    public async Task It_fails(string attack)
    {
        _ = machine.Host;
        var run = await machine.RunAsync(machine.Spec("attack", attack) with { Volumes = [new VolumeBind(machine.Volume(), "/data")] });
        Assert.DoesNotContain("PWNED", run.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("PWNED", string.Join('\n', run.Errors), StringComparison.Ordinal);
        // Blocked where it was meant to be, not for want of something the attack needs.
        Assert.Contains(attack switch { "loader" => "loader ended with 127", "preload" => "fine", _ => "blocked: " }, run.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("blocked: copy", attack is "root-elf" or "dev-elf" ? "" : run.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_attacks_are_real_where_the_file_is_described() =>
        Assert.Equal(["PWNED", "fine"], (await machine.RunAsync(machine.Spec("attack", "preload-described"))).Out);

    [Fact]
    public async Task A_setuid_file_gives_nothing() =>
        Assert.Equal("euid 1000", (await machine.RunAsync(machine.Spec("attack", "setuid") with { User = new ContainerUser(1000, 1000) })).Text);

    [Fact]
    public async Task A_just_in_time_compiler_works() =>
        Assert.Equal("mapped", (await machine.RunAsync(machine.Spec("jit"))).Text);

    [Fact]
    public async Task The_process_has_no_capability_and_cannot_gain_one()
    {
        var status = (await machine.RunAsync(machine.Spec("cat", "/proc/self/status"))).Out
            .Select(l => l.Split('\t')).Where(l => l.Length > 1).ToDictionary(l => l[0], l => l[1]);
        foreach (var set in (ReadOnlySpan<string>)["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"])
            Assert.Equal("0000000000000000", status[set]);
        Assert.Equal("1", status["NoNewPrivs:"]);
        Assert.Equal("2", status["Seccomp:"]);
    }

    [Fact]
    public async Task Root_inside_is_nobody_outside()
    {
        var map = (await machine.RunAsync(machine.Spec("cat", "/proc/self/uid_map"))).Text;
        Assert.Equal(["0", $"{Machine.Uids.First}", "65536"], map.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public async Task Every_namespace_is_its_own()
    {
        var spec = machine.Spec("wait");
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
        var init = ((Phase.Running)(await machine.UntilAsync(spec.Id, p => p.Phase is Phase.Running)).Phase).Init;
        foreach (var space in (ReadOnlySpan<string>)["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"])
            Assert.NotEqual(new FileInfo($"/proc/self/ns/{space}").LinkTarget, new FileInfo($"/proc/{init.Pid}/ns/{space}").LinkTarget);
    }

    [Fact]
    public async Task There_are_no_devices_but_the_harmless() => Assert.Equal(
        ["core", "fd", "full", "null", "ptmx", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"],
        (await machine.RunAsync(machine.Spec("list", "/dev"))).Out.Order(StringComparer.Ordinal));

    [Theory]
    [InlineData(0)]
    [InlineData(1000)]
    public async Task The_hosts_own_devices_keep_their_owner_mode_and_times(int user)
    {
        _ = machine.Host;
        var before = HostDevices();
        var run = await machine.RunAsync(machine.Spec("spoil-devices") with { User = new ContainerUser(user, user) });
        Assert.Equal(before, HostDevices());
        Assert.Equal("stdin has ended", run.Text);

        // The time of the last change (%z) is in it: what was given away and taken back is seen too.
        static string HostDevices() => VolumeLab.Execute(
            "/usr/bin/stat", ["-c", "%n %u:%g %a %y %z", .. PrivateMounts.Devices.Select(d => $"/dev/{d.Name}")]);
    }

    [Fact]
    public async Task Whatever_is_writable_is_noexec_nosuid_nodev()
    {
        var mounts = MountLine.Parse((await machine.RunAsync(machine.Spec("cat", "/proc/self/mountinfo"))).Out);
        Assert.NotEmpty(mounts);
        foreach (var mount in mounts.Where(m => m.Options.Contains("rw")))
        {
            Assert.Contains("noexec", mount.Options);
            Assert.Contains("nosuid", mount.Options);
            // What is left is one device each, made for this container.
            Assert.True(mount.Options.Contains("nodev") || (mount.Type == "tmpfs" && PrivateMounts.Devices.Any(d => mount.Root == $"/{d.Name}")), mount.Point);
        }
    }
}
