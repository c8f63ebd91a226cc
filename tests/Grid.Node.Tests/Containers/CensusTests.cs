using System.Diagnostics;
using Grid.Node.Agent;
using Grid.Node.Containers;
using Grid.Reconciliation;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Node.Tests.Containers;

/// <summary>What is in a container's control groups and executes none of its files is named, and ended; the container does not notice.</summary>
[Collection(OnThisMachine.Name)]
public sealed class CensusTests(Machine machine) : IDisposable
{
    private readonly string _file = $"/dev/shm/grid-stranger-{Environment.ProcessId}";
    private readonly List<Process> _strangers = [];

    public void Dispose()
    {
        foreach (var stranger in _strangers)
        {
            stranger.Kill();
            stranger.Dispose();
        }
        File.Delete(_file);
        machine.Clear();
    }

    [Fact]
    public async Task Nothing_is_found_in_an_honest_container()
    {
        var (id, init) = await StartAsync("/bin/dynamic");
        Assert.Empty(machine.Host.Census(id, init));
        // It was looked at: with another's mounts it is all strange, itself and what it has mapped.
        using var other = Process.GetCurrentProcess();
        var found = Census.Take(Processes.Identify(other.Id)!.Value, [init.Pid]);
        Assert.Contains(new Stranger(init, "/bin/dynamic", Executed: true), found);
        Assert.Contains(found, s => s is { Executed: false } && s.Path.EndsWith("/libc.so.6", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("from elsewhere")]
    [InlineData("from a file that is gone")]
    // The same file by another way: nothing says that this way is read-only.
    [InlineData("from the tree itself")]
    // As the shell of the machine is: its own root has it, and the container's has not.
    [InlineData("of the machine")]
    public async Task A_process_that_joins_its_groups_is_named_and_ended_and_it_keeps_its_own(string kind)
    {
        var (id, init) = await StartAsync("/bin/probe");
        var path = kind switch { "of the machine" => "/usr/bin/sleep", "from the tree itself" => Path.Combine(machine.Tree, "bin/probe"), _ => _file };
        if (path == _file)
            File.Copy("/usr/bin/sleep", _file);
        var stranger = await RunAsync(path, path.EndsWith("probe", StringComparison.Ordinal) ? "wait" : "1000");
        if (kind == "from a file that is gone")
            File.Delete(_file);
        Assert.Empty(machine.Host.Census(id, init));
        Join(id, stranger);

        var seen = Assert.Single(machine.Host.Census(id, init), s => s.Executed);
        Assert.Equal((stranger.Id, kind == "from a file that is gone" ? $"{path} (deleted)" : path), (seen.Process.Pid, seen.Path));
        Assert.Equal(new Outcome.Done(), await machine.Host.EndStrangerAsync(id, seen.Process));
        await stranger.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Empty(machine.Host.Census(id, init));
        Assert.Equal(init, ((Phase.Running)((Observation.Present)machine.Host.Observe(id)).Phase).Init);
    }

    [Fact]
    public async Task What_belongs_or_left_or_is_the_first_is_not_ended()
    {
        var (id, init) = await StartAsync("/bin/probe");
        var stranger = await RunAsync("/usr/bin/sleep", "1000");
        var outside = Processes.Identify(stranger.Id)!.Value;
        Assert.Equal(new Outcome.Done(), await machine.Host.EndStrangerAsync(id, outside));
        Assert.Equal(new Outcome.Done(), await machine.Host.EndStrangerAsync(id, init));
        // One that has its number and began at another time.
        Join(id, stranger);
        Assert.Equal(new Outcome.Done(), await machine.Host.EndStrangerAsync(id, outside with { StartTicks = outside.StartTicks + 1 }));
        Assert.False(stranger.HasExited);
        Assert.Equal(init, Processes.Identify(init.Pid));
    }

    [Fact]
    public async Task The_agent_looks_once_a_sweep_and_remembers_whom_it_found()
    {
        var (id, _) = await StartAsync("/bin/probe");
        var (time, sight) = (new Time(), new WorkloadSight(machine.Hosts));
        var strangers = new Strangers(sight, time, NullLogger.Instance);
        sight.Observe();
        Assert.Empty(strangers.Look());
        Assert.Equal(NodeAgent.Sweep, strangers.Next);
        var stranger = await RunAsync("/usr/bin/sleep", "1000");
        Join(id, stranger);
        time.Pass(NodeAgent.Sweep - TimeSpan.FromSeconds(1));
        Assert.Empty(strangers.Look());
        time.Pass(TimeSpan.FromSeconds(1));
        sight.Observe();
        var seen = Assert.Single(strangers.Look());
        Assert.True(seen.IsApart);
        Assert.Equal((id.Key, stranger.Id, "/usr/bin/sleep"), (seen.Workload, seen.Pid, seen.Path));
        Assert.True(Assert.Single(strangers.Known).There);

        stranger.Kill();
        await stranger.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Empty(strangers.Look());
        Assert.False(Assert.Single(strangers.Known).There);
    }

    private async Task<(ContainerId, ProcessIdentity)> StartAsync(string entry)
    {
        var spec = machine.Spec("wait") with { Entry = entry };
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
        await machine.SaysAsync(spec.Id, "ready");
        return (spec.Id, ((Phase.Running)(await machine.UntilAsync(spec.Id, p => p.Phase is Phase.Running)).Phase).Init);
    }

    private async Task<Process> RunAsync(string path, string argument)
    {
        var stranger = Process.Start(new ProcessStartInfo(path, [argument]) { RedirectStandardOutput = true })!;
        _strangers.Add(stranger);
        // It executes its own file from here on, and not ours.
        var clock = Stopwatch.StartNew();
        while (new FileInfo($"/proc/{stranger.Id}/exe").LinkTarget != path && clock.Elapsed < TimeSpan.FromSeconds(10))
            await Task.Yield();
        return stranger;
    }

    private void Join(ContainerId id, Process process)
    {
        var groups = Directory.EnumerateDirectories("/sys/fs/cgroup").Prepend("/sys/fs/cgroup").Select(h => Path.Combine(h, machine.Paths.CgroupParent, id.ToString(), "cgroup.procs")).Where(File.Exists).ToList();
        Assert.NotEmpty(groups);
        foreach (var group in groups)
            File.WriteAllText(group, $"{process.Id}");
    }

    private sealed class Time : TimeProvider
    {
        private TimeSpan _passed;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _passed.Ticks;

        public void Pass(TimeSpan time) => _passed += time;
    }
}
