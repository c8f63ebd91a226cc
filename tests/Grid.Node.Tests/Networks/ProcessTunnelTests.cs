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

    private protected override void Kill(Member member) => Processes.Signal(((TunnelProcess)Running(member)).Process, Posix.SIGKILL);

    private protected override object Identity(Member member) => ((TunnelProcess)Running(member)).Process;

    private protected override bool Lives(IRunningTunnel tunnel) => Processes.Identify(((TunnelProcess)tunnel).Process.Pid) is not null;
}
