using System.ComponentModel;
using Grid.Node.Networks;

namespace Grid.Node.Tests.Networks;

/// <summary>The kernel's WireGuard is taken only where it was seen to work and can be told what to do; else wireguard-go, and why.</summary>
public sealed class WireGuardEngineTests
{
    private static readonly Action Makes = () => { };

    [Fact]
    public void A_kernel_that_makes_interfaces_is_taken_where_the_tool_is_there()
    {
        var asked = new List<string>();

        var engine = WireGuardEngine.Find(Makes, p =>
        {
            asked.Add(p);
            return true;
        });

        Assert.Equal((new WireGuardEngine(true, null), true, "WireGuard in the kernel"), (engine, engine.IsKernel, engine.Name));
        Assert.Equal([Programs.Wg], asked);
    }

    [Fact]
    public void Without_the_tool_nobody_could_tell_the_kernel()
    {
        var engine = WireGuardEngine.Find(Makes, _ => false);

        // That it has some is known all the same: tunnels of the kernel's may be there from before.
        Assert.Equal((true, false, "wireguard-go", "/usr/bin/wg is not installed"), (engine.InKernel, engine.IsKernel, engine.Name, engine.Why));
    }

    [Fact]
    public void A_kernel_that_makes_none_is_not_asked_again_and_says_why()
    {
        var engine = WireGuardEngine.Find(() => throw new IOException("ip ended with 2: Error: Unknown device type.\nmore of it"), _ => true);

        Assert.Equal((false, false, "wireguard-go", "the kernel makes no interface of WireGuard: ip ended with 2: Error: Unknown device type"), (engine.InKernel, engine.IsKernel, engine.Name, engine.Why));
    }

    [Fact]
    public void A_probe_that_cannot_be_started_counts_as_a_no_and_a_defect_does_not()
    {
        Assert.False(WireGuardEngine.Find(() => throw new Win32Exception(2), _ => true).InKernel);
        Assert.False(WireGuardEngine.Find(() => throw new UnauthorizedAccessException(), _ => true).InKernel);
        Assert.Throws<InvalidOperationException>(() => WireGuardEngine.Find(() => throw new InvalidOperationException(), _ => true));
    }
}
