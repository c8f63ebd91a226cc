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

    private protected override void Kill(Member member) => Processes.Signal(((TunnelProcess)Running(member)).Process, Posix.SIGKILL);

    private protected override object Identity(Member member) => ((TunnelProcess)Running(member)).Process;

    private protected override bool Lives(IRunningTunnel tunnel) => Processes.Identify(((TunnelProcess)tunnel).Process.Pid) is not null;
}
