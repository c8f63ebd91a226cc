using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Networks;

namespace Grid.Node.Tests.Networks;

public sealed class ProcessTunnelTests() : TunnelTests(By.Process)
{
    [Fact]
    public async Task A_tunnel_that_hangs_is_unknown_and_then_replaced()
    {
        using var lab = new Lab(By.Process);
        var a = lab.Join(lab.A, "a", "10.20.0.1");
        await a.ApplyAsync();
        var hanging = ((TunnelProcess)Running(a)).Process;
        Processes.Signal(hanging, 19);
        Assert.IsType<TunnelSighting.Unknown>(a.Seen);
        await a.ApplyAsync();
        Assert.NotEqual(hanging, Identity(a));
        Wait.For(() => a.Present.Fits(a.Wish([]), DateTimeOffset.UtcNow), "tunnel");
    }

    [Fact]
    public async Task It_runs_on_every_processor_that_its_agent_may_run_on()
    {
        using var lab = new Lab(By.Process);
        var a = lab.Join(lab.A, "a", "10.20.0.1");
        await a.ApplyAsync();
        var threads = Directory.GetDirectories($"/proc/{((TunnelProcess)Running(a)).Process.Pid}/task");
        Assert.NotEmpty(threads);
        Assert.All(threads, t => Assert.Equal(Allowed("/proc/self/status"), Allowed($"{t}/status")));

        static string Allowed(string status) => File.ReadLines(status).Single(l => l.StartsWith("Cpus_allowed_list", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_a_killed_one_leaves_is_swept_and_who_listens_or_is_young_or_another_program_s_is_not()
    {
        using var lab = new Lab(By.Process);
        var (a, b) = (lab.Join(lab.A, "a", "10.20.0.1"), lab.Join(lab.A, "b", "10.20.0.2"));
        await a.ApplyAsync();
        await b.ApplyAsync();
        Kill(a);
        Wait.For(() => !WireGuardSocket.IsHeard(a.Interface), "it to be gone");
        var another = WireGuardSocket.PathOf($"grid-test-{Environment.ProcessId}");
        File.WriteAllBytes(another, []);
        var made = File.GetLastWriteTimeUtc(WireGuardSocket.PathOf(a.Interface));
        WireGuardGo.Sweep(made);
        Assert.True(File.Exists(WireGuardSocket.PathOf(a.Interface)));
        WireGuardGo.Sweep(made.AddMinutes(1));
        Assert.Equal([false, true, true], new[] { WireGuardSocket.PathOf(a.Interface), WireGuardSocket.PathOf(b.Interface), another }.Select(File.Exists));
        File.Delete(another);
        Assert.NotNull(Running(b).Answer());
    }

    private protected override void Kill(Member member) => Processes.Signal(((TunnelProcess)Running(member)).Process, Posix.SIGKILL);

    private protected override object Identity(Member member) => ((TunnelProcess)Running(member)).Process;

    private protected override bool Lives(IRunningTunnel tunnel) => Processes.Identify(((TunnelProcess)tunnel).Process.Pid) is not null;
}
