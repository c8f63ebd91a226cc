using System.Diagnostics;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Gateways;
using Grid.Node.Networks;

namespace Grid.Node.Tests.Containers;

/// <summary>A workload may call itself what it likes, and give itself any environment: it is never taken for what the agent started itself.</summary>
[Collection(OnThisMachine.Name)]
public sealed class ImpostorTests(Machine machine) : IDisposable
{
    private const string Scope = "/run/grid-impostors";

    private readonly List<Process> _started = [];

    public void Dispose()
    {
        foreach (var process in _started)
        {
            process.Kill();
            process.WaitForExit();
            process.Dispose();
        }
        machine.Clear();
    }

    [Theory]
    [InlineData("conmon")]
    [InlineData("crun")]
    public async Task It_is_nobodys_shim_and_nobodys_runtime(string kind)
    {
        var id = machine.Spec().Id;
        string[] args = kind == "conmon"
            ? ["/usr/bin/conmon", "-c", $"{id}", "-n", $"{machine.Spec().Label}", machine.Paths.State]
            : [machine.Host.Runtime, "--root", machine.Paths.State, "run", $"{id}"];
        await BelievedOnlyOfOurOwnAsync(args, [], () => machine.Host.Observe(id) is not Observation.Absent);
    }

    [Fact]
    public async Task It_holds_no_gateways_place()
    {
        var places = new GatewayPlaces(null!, Scope);
        var id = machine.Spec().Id;
        await BelievedOnlyOfOurOwnAsync([GatewayPlaces.Sleep, "infinity"], [("GRID_GATEWAY", $"{id}"), ("GRID_NODE", Scope)], () => places.Find()[id].Any());
    }

    [Fact]
    public async Task It_is_nobodys_tunnel()
    {
        var tunnels = new WireGuardGo(null!, Scope);
        var id = new TunnelId(machine.Spec().Id.Agreement, new Membership("net", "web"));
        await BelievedOnlyOfOurOwnAsync([Programs.WireGuardGo, "-f", new string('x', 200)], [("GRID_TUNNEL", $"{id}"), ("GRID_NODE", Scope)], () => tunnels.Find().Any(t => t.Id == id));
    }

    [Fact]
    public async Task It_costs_no_more_memory_than_it_may_say()
    {
        var process = await StartAsync(Path.Combine(machine.Tree, "bin/probe"), ["claims", $"{1L << 28}"], []);
        Assert.Equal("ready", await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.DoesNotContain(process.Id, Processes.All().Select(p => p.Pid));
        Assert.Empty(Processes.EnvironmentOf(process.Id));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 26);
    }

    [Fact]
    public async Task It_holds_up_no_census()
    {
        // As many as the kernel allows (vm.max_map_count), by each of ten.
        foreach (var _ in Enumerable.Range(0, 10))
            Assert.Equal("ready", await (await StartAsync(Path.Combine(machine.Tree, "bin/probe"), ["maps", "60000"], [])).StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
        var clock = Stopwatch.StartNew();
        var found = Census.Take(Processes.Identify(Environment.ProcessId)!.Value, _started.Select(p => p.Id));
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(4), $"It took {clock.Elapsed}.");
        // What each executes is looked at all the same.
        Assert.Equal(_started.Count, found.Count(s => s.Executed));
    }

    /// <param name="args">that of its name among them</param>
    private async Task BelievedOnlyOfOurOwnAsync(string[] args, (string, string)[] environment, Func<bool> isBelieved)
    {
        // perl stays asleep whatever stands after what it does, and is of every Debian.
        string[] sleeper = ["/bin/bash", "-c", "exec -a \"$0\" /usr/bin/perl -e 'sleep 1000' -- \"$@\"", .. args];
        await StartAsync("/usr/bin/unshare", ["--user", "--map-root-user", .. sleeper], environment, $"{args[0]}\0-e\0");
        Assert.False(isBelieved());
        // Not for want of the right words.
        await StartAsync(sleeper[0], sleeper[1..], environment, $"{args[0]}\0-e\0");
        Assert.True(isBelieved());
    }

    private async Task<Process> StartAsync(string program, string[] args, (string Name, string Value)[] environment, string? says = null)
    {
        var start = new ProcessStartInfo(program, args) { RedirectStandardOutput = true };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        var process = Process.Start(start)!;
        _started.Add(process);
        for (var clock = Stopwatch.StartNew(); says is not null && !File.ReadAllText($"/proc/{process.Id}/cmdline").StartsWith(says, StringComparison.Ordinal) && clock.Elapsed < TimeSpan.FromSeconds(10);)
            await Task.Yield();
        return process;
    }
}
