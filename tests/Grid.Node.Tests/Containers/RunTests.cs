using System.Net;
using System.Net.Sockets;
using System.Text;
using Grid.Node.Containers;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Containers;

[Collection(OnThisMachine.Name)]
public sealed class RunTests(Machine machine) : IDisposable
{
    public void Dispose() => machine.Clear();

    [Theory]
    [InlineData(0)]
    [InlineData(42)]
    [InlineData(255)]
    public async Task The_exit_code_is_the_entrys(int code) =>
        Assert.Equal(code, (await machine.RunAsync(machine.Spec("exit", $"{code}"))).Code);

    [Fact]
    public async Task Both_streams_are_kept_apart_and_in_order()
    {
        var run = await machine.RunAsync(machine.Spec("say", "to stdout", "to stderr"));
        Assert.Equal(["to stdout"], run.Out);
        Assert.Equal(["to stderr"], run.Errors);
    }

    [Fact]
    public async Task The_environment_is_what_was_signed_and_a_home() =>
        Assert.Equal(["GREETING=hello", "HOME=/"], (await machine.RunAsync(machine.Spec("env"))).Out);

    [Fact]
    public async Task A_line_longer_than_the_shims_buffer_comes_in_one_piece() =>
        Assert.Equal(new string('x', 100_000), (await machine.RunAsync(machine.Spec("long", "100000"))).Text);

    [Fact]
    public async Task An_entry_that_is_not_there_is_refused()
    {
        var spec = machine.Spec("exit", "0") with { Entry = "/bin/nothing" };
        var refused = Assert.IsType<Outcome.Refused>(await machine.Host.StartAsync(spec));
        Assert.Equal(RefusalCode.EntryNotDescribed, refused.Refusal.Code);
        Assert.Equal(new Observation.Absent(), machine.Host.Observe(spec.Id));
    }

    [Fact]
    public async Task A_mount_point_that_is_not_in_the_flist_is_refused()
    {
        var spec = machine.Spec("exit", "0") with { Scratch = [new Scratch("/nowhere", Bytes.MiB(1))] };
        var refused = Assert.IsType<Outcome.Refused>(await machine.Host.StartAsync(spec));
        Assert.Equal(RefusalCode.PathInvalid, refused.Refusal.Code);
    }

    [Fact]
    public async Task A_root_that_could_be_written_is_not_run()
    {
        _ = machine.Host;
        var outcome = await machine.Host.StartAsync(machine.Spec("exit", "0") with { Rootfs = "/usr" });
        Assert.IsType<Outcome.Transient>(outcome);
    }

    [Fact]
    public async Task A_volume_from_which_could_be_executed_is_not_run()
    {
        _ = machine.Host;
        var spec = machine.Spec("exit", "0") with { Volumes = [new VolumeBind(machine.Volume(executable: true), "/data")] };
        Assert.Contains("noexec", Assert.IsType<Outcome.Transient>(await machine.Host.StartAsync(spec)).Why, StringComparison.Ordinal);
        Assert.Equal(new Observation.Absent(), machine.Host.Observe(spec.Id));
    }

    [Fact]
    public async Task What_is_written_to_a_volume_stays()
    {
        _ = machine.Host;
        var volume = machine.Volume();
        Assert.Equal("wrote", (await machine.RunAsync(machine.Spec("write", "/data/f") with { Volumes = [new VolumeBind(volume, "/data")] })).Text);
        Assert.Equal("x", await File.ReadAllTextAsync(Path.Combine(volume, "f"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Too_much_memory_ends_that_workload_alone()
    {
        var neighbour = machine.Spec("wait");
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(neighbour));
        await machine.UntilAsync(neighbour.Id, p => p.Phase is Phase.Running);
        var other = Machine.Spec(900, machine.View("second", Second), "eat", "256") with { Uids = Second };
        var run = await machine.RunAsync(other);
        Assert.Equal(137, run.Code);
        Assert.True(run.End.OomKills > 0);
        Assert.InRange(run.Usage.MemoryPeak.Value, Bytes.MiB(100).Value, Bytes.MiB(128).Value);
        Assert.IsType<Phase.Running>(Assert.IsType<Observation.Present>(machine.Host.Observe(neighbour.Id)).Phase);
    }

    [Fact]
    public async Task Two_containers_never_share_user_ids()
    {
        var first = machine.Spec("wait");
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(first));
        Assert.IsType<Outcome.Transient>(await machine.Host.StartAsync(machine.Spec("exit", "0")));
        Assert.Contains(Machine.Uids, machine.Host.Observe().UidRanges);
    }

    [Fact]
    public async Task A_child_killed_for_memory_is_counted()
    {
        var run = await machine.RunAsync(machine.Spec("child-eats", "256"));
        Assert.Equal("child ended by 9", run.Text);
        Assert.Equal(1, run.End.OomKills);
    }

    [Fact]
    public async Task Processes_and_threads_are_limited()
    {
        var run = await machine.RunAsync(machine.Spec("forks") with { Pids = 20 });
        Assert.Equal("forked 19", run.Text);
        Assert.Equal("threads 5", (await machine.RunAsync(machine.Spec("threads"))).Text);
    }

    [Fact]
    public async Task Processor_time_is_limited()
    {
        var run = await machine.RunAsync(machine.Spec("spin", "1000") with { Cpu = new MilliCores(200) });
        Assert.InRange(int.Parse(run.Text, System.Globalization.CultureInfo.InvariantCulture), 50, 320);
        Assert.InRange(run.Usage.Cpu.TotalMilliseconds, 50, 350);
    }

    [Fact]
    public async Task Scratch_is_writable_up_to_its_size_and_the_root_is_not()
    {
        Assert.Equal("wrote", (await machine.RunAsync(machine.Spec("write", "/scratch/f"))).Text);
        Assert.Contains("Read-only", (await machine.RunAsync(machine.Spec("write", "/bin/f"))).Text, StringComparison.Ordinal);
        Assert.Contains("Read-only", (await machine.RunAsync(machine.Spec("write", "/f"))).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_network_there_is_loopback_and_it_is_up()
    {
        var devices = (await machine.RunAsync(machine.Spec("cat", "/proc/net/dev"))).Out;
        Assert.Equal(["lo"], devices.Skip(2).Select(l => l.Split(':')[0].Trim()).Where(n => !Fallback.Contains(n)));
        var addresses = (await machine.RunAsync(machine.Spec("cat", "/proc/net/fib_trie"))).Text;
        Assert.Contains("127.0.0.1", addresses, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_page_can_be_fetched_from_inside_and_from_nowhere_else()
    {
        var spec = machine.Spec("serve", "8080");
        var endpoint = new IPEndPoint(IPAddress.Loopback, 8080);
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
        await machine.SaysAsync(spec.Id, "listening");
        var init = ((Phase.Running)(await machine.UntilAsync(spec.Id, p => p.Phase is Phase.Running)).Phase).Init;
        for (var i = 0; i < 20; i++)
        {
            using var socket = await NamespaceDialer.ConnectAsync(init, endpoint, TestContext.Current.CancellationToken);
            var buffer = new byte[64];
            var count = await socket.ReceiveAsync(buffer, TestContext.Current.CancellationToken);
            Assert.Equal("hello from inside\n", Encoding.UTF8.GetString(buffer, 0, count));
        }
        await Assert.ThrowsAsync<SocketException>(() => NamespaceDialer.ConnectAsync(init, new IPEndPoint(IPAddress.Loopback, 8081), TestContext.Current.CancellationToken));
        await Assert.ThrowsAsync<IOException>(() => NamespaceDialer.ConnectAsync(init with { StartTicks = 1 }, endpoint, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Stop_asks_first_and_kills_what_does_not_listen()
    {
        var polite = machine.Spec("wait");
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(polite));
        await machine.SaysAsync(polite.Id, "ready");
        Assert.IsType<Outcome.Done>(await machine.Host.StopAsync(polite.Id, TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
        Assert.Equal(7, Assert.IsType<Phase.Exited>((await machine.UntilAsync(polite.Id, _ => true)).Phase).Code);
        Assert.Single(await machine.LinesAsync(polite.Id));
        await machine.Host.RemoveAsync(polite.Id, keepLog: false);

        var deaf = machine.Spec("deaf");
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(deaf));
        await machine.SaysAsync(deaf.Id, "ready");
        Assert.IsType<Outcome.Done>(await machine.Host.StopAsync(deaf.Id, TimeSpan.FromMilliseconds(50), TestContext.Current.CancellationToken));
        Assert.Equal(137, Assert.IsType<Phase.Exited>((await machine.UntilAsync(deaf.Id, _ => true)).Phase).Code);
        await machine.Host.RemoveAsync(deaf.Id, keepLog: false);
    }

    [Fact]
    public async Task Paused_is_seen_resumed_and_stopped()
    {
        var spec = machine.Spec("wait");
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
        await machine.SaysAsync(spec.Id, "ready");
        var before = Assert.IsType<Phase.Running>((await machine.UntilAsync(spec.Id, _ => true)).Phase);
        Assert.IsType<Outcome.Done>(await machine.Host.PauseAsync(spec.Id));
        Assert.Equal(new Phase.Paused(before.Init, before.Since), (await machine.UntilAsync(spec.Id, _ => true)).Phase);
        Assert.IsType<Outcome.Done>(await machine.Host.ResumeAsync(spec.Id));
        Assert.Equal(before, (await machine.UntilAsync(spec.Id, _ => true)).Phase);
        Assert.IsType<Outcome.Done>(await machine.Host.PauseAsync(spec.Id));
        Assert.IsType<Outcome.Done>(await machine.Host.StopAsync(spec.Id, TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
        Assert.Equal(7, Assert.IsType<Phase.Exited>((await machine.UntilAsync(spec.Id, _ => true)).Phase).Code);
        Assert.IsType<Outcome.Done>(await machine.Host.RemoveAsync(spec.Id, keepLog: false));
    }

    [Fact]
    public async Task Started_twice_is_once_even_after_its_end()
    {
        var spec = machine.Spec("wait");
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
        var first = await machine.UntilAsync(spec.Id, p => p.Phase is Phase.Running);
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
        Assert.Equal(first, machine.Host.Observe(spec.Id));
        Assert.IsType<Outcome.Transient>(await machine.Host.StartAsync(spec with { Label = spec.Label with { Generation = 2 } }));
        Assert.IsType<Outcome.Done>(await machine.Host.StopAsync(spec.Id, TimeSpan.Zero, TestContext.Current.CancellationToken));
        var ended = machine.Host.Observe(spec.Id);
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
        Assert.Equal(ended, machine.Host.Observe(spec.Id));
        Assert.IsType<Outcome.Done>(await machine.Host.RemoveAsync(spec.Id, keepLog: false));
        Assert.IsType<Outcome.Done>(await machine.Host.RemoveAsync(spec.Id, keepLog: false));
        Assert.Equal(new Observation.Absent(), machine.Host.Observe(spec.Id));
    }

    private static readonly UidRange Second = new(UidRange.Base + 1001 * UidRange.Count);

    // Tunnels that some kernels put into every new namespace, down.
    private static readonly string[] Fallback = ["tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0"];
}
