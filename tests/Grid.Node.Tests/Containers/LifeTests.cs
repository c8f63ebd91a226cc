using System.Diagnostics;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Units;

namespace Grid.Node.Tests.Containers;

/// <summary>What a container needs to be found again is on the container itself: agents die, files vanish, steps are cut short.</summary>
[Collection(OnThisMachine.Name)]
public sealed class LifeTests(Machine machine) : IDisposable
{
    private readonly List<Process> _agents = [];

    public void Dispose()
    {
        foreach (var agent in _agents)
        {
            agent.Kill();
            agent.Dispose();
        }
        machine.Clear();
    }

    [Fact]
    public async Task A_container_outlives_the_agent_that_started_it_and_the_next_one_takes_over()
    {
        _ = machine.Host;
        var agent = Agent(1000, "once");
        Assert.Equal("starting", await Line(agent));
        Assert.Equal(new Outcome.Done().ToString(), await Line(agent));
        var spec = Machine.Spec(1000, machine.Rootfs, "wait");
        await machine.SaysAsync(spec.Id, "ready");
        var before = machine.Host.Observe(spec.Id);
        agent.Kill();
        await agent.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.Equal(before, machine.Host.Observe(spec.Id));
        Assert.IsType<Phase.Running>(Assert.IsType<Observation.Present>(before).Phase);
        Assert.Equal(spec.Label, ((Observation.Present)before).Label);
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
        Assert.Equal(before, machine.Host.Observe(spec.Id));
        Assert.IsType<Outcome.Done>(await machine.Host.StopAsync(spec.Id, TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
        Assert.Equal(7, Assert.IsType<Phase.Exited>(Assert.IsType<Observation.Present>(machine.Host.Observe(spec.Id)).Phase).Code);
    }

    [Fact]
    public async Task Killed_at_any_moment_an_agent_leaves_nothing_that_cannot_be_found_finished_or_removed()
    {
        _ = machine.Host;
        var clean = machine.Look();
        var random = new Random(20);
        var found = new List<string>();
        for (var round = 0; round < 20; round++)
        {
            var agent = Agent(2000 + round, "for-ever");
            Assert.Equal("starting", await Line(agent));
            var until = Stopwatch.GetTimestamp() + (long)(random.NextDouble() * 0.3 * Stopwatch.Frequency);
            while (Stopwatch.GetTimestamp() < until)
                Thread.SpinWait(100);
            agent.Kill();
            await agent.WaitForExitAsync(TestContext.Current.CancellationToken);

            var spec = Machine.Spec(2000 + round, machine.Rootfs, "wait");
            found.Add(machine.Host.Observe(spec.Id) switch
            {
                Observation.Present p => p.Phase.GetType().Name,
                var other => other.GetType().Name,
            });
            if (round % 2 == 0)
            {
                // A removal that was cut short looks like an end, and is finished before the next start.
                if (await Settled(spec.Id) is Observation.Present { Phase: Phase.Exited })
                    await Effects.DoneAsync(() => machine.Host.RemoveAsync(spec.Id, keepLog: true));
                await Effects.DoneAsync(() => machine.Host.StartAsync(spec));
                Assert.Equal(spec.Label, (await machine.UntilAsync(spec.Id, p => p.Phase is Phase.Running)).Label);
            }
            await Effects.DoneAsync(() => machine.Host.RemoveAsync(spec.Id, keepLog: false));
        }
        // A shim that its agent was just about to execute when it was killed shows itself after the first removal; a later sweep finds it.
        var clock = Stopwatch.StartNew();
        while (machine.Look() != clean && clock.Elapsed < TimeSpan.FromSeconds(10))
        {
            foreach (var id in machine.Host.Observe().Containers.Keys)
                await Effects.DoneAsync(() => machine.Host.RemoveAsync(id, keepLog: false));
        }
        Assert.Equal(clean, machine.Look());
        TestContext.Current.TestOutputHelper!.WriteLine(string.Join(' ', found));
        Assert.True(found.Distinct().Count() > 1, $"Every kill came at the same moment: {found[0]}");
    }

    [Fact]
    public async Task Fifty_lives_leave_nothing_behind()
    {
        Assert.Equal(0, (await machine.RunAsync(machine.Spec("exit", "0"))).Code);
        var clean = machine.Look();
        for (var i = 0; i < 50; i++)
        {
            var run = i % 5;
            if (run == 4)
            {
                var spec = machine.Spec("wait");
                Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
                Assert.IsType<Outcome.Done>(await machine.Host.RemoveAsync(spec.Id, keepLog: false));
            }
            else
            {
                Assert.Equal(run, (await machine.RunAsync(machine.Spec("exit", $"{run}"))).Code);
            }
        }
        await Equal(clean);
        Assert.Empty(Directory.EnumerateFileSystemEntries(machine.Paths.Logs));
    }

    [Fact]
    public async Task What_is_half_made_is_found_and_started_or_removed()
    {
        _ = machine.Host;
        var clean = machine.Look();
        foreach (var (step, finish) in from step in Enum.GetValues<Step>() from finish in new[] { true, false } select (step, finish))
        {
            var spec = machine.Spec("wait");
            Make(spec, step);
            var seen = Assert.IsType<Observation.Present>(await Settled(spec.Id));
            Assert.True(step is Step.Created ? seen.Phase is Phase.Created { LetGo: false } : seen.Phase is Phase.Partial, $"{step}: {seen}");
            if (finish)
            {
                Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
                Assert.IsType<Phase.Running>((await machine.UntilAsync(spec.Id, p => p.Phase is not Phase.Created)).Phase);
            }
            Assert.IsType<Outcome.Done>(await machine.Host.RemoveAsync(spec.Id, keepLog: false));
            Assert.Equal(new Observation.Absent(), machine.Host.Observe(spec.Id));
        }
        await Equal(clean);
    }

    [Fact]
    public async Task With_all_of_the_agents_files_gone_everything_is_still_known()
    {
        var spec = machine.Spec("wait") with { Label = new ContainerLabel(Digest.Of("v"u8), 42, Digest.Of("s"u8), 3) };
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
        await machine.SaysAsync(spec.Id, "ready");
        var before = machine.Host.Observe(spec.Id);
        Directory.Delete(machine.Paths.Bundles, recursive: true);
        Directory.Delete(machine.Paths.State, recursive: true);

        Assert.Equal(before, machine.Host.Observe(spec.Id));
        Assert.Equal(spec.Label, ((Observation.Present)before).Label);
        Assert.Equal(spec.Uids, ((Observation.Present)before).Uids);
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
        Assert.Equal(before, machine.Host.Observe(spec.Id));
        Assert.IsType<Outcome.Done>(await machine.Host.StopAsync(spec.Id, TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
        Assert.IsType<Outcome.Done>(await machine.Host.RemoveAsync(spec.Id, keepLog: false));
        Assert.Equal(new Observation.Absent(), machine.Host.Observe(spec.Id));
    }

    [Fact]
    public async Task With_the_shim_killed_the_workload_goes_on_and_is_known()
    {
        var spec = machine.Spec("wait");
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
        await machine.SaysAsync(spec.Id, "ready");
        var before = machine.Host.Observe(spec.Id);
        var shim = Shim(spec.Id);
        Processes.Signal(Processes.Identify(shim)!.Value, Posix.SIGKILL);
        while (Processes.Identify(shim) is not null)
            await Task.Yield();

        Assert.Equal(before, machine.Host.Observe(spec.Id));
        Assert.IsType<Outcome.Done>(await machine.Host.StopAsync(spec.Id, TimeSpan.Zero, TestContext.Current.CancellationToken));
        Assert.Null(Assert.IsType<Phase.Exited>(Assert.IsType<Observation.Present>(machine.Host.Observe(spec.Id)).Phase).Code);
        Assert.IsType<Outcome.Done>(await machine.Host.RemoveAsync(spec.Id, keepLog: false));
    }

    [Fact]
    public async Task A_shim_whose_agent_is_killed_before_it_could_answer_stays_with_its_container()
    {
        _ = machine.Host;
        for (var round = 0; round < 5; round++)
        {
            var spec = Machine.Spec(3000 + round, machine.Rootfs, "wait");
            var agent = Agent(3000 + round, "once");
            // The shim answers when the runtime has ended; that one has only just begun.
            Assert.True(SpinWait.SpinUntil(() => Processes.All().Any(p => p.Args[0].EndsWith("crun", StringComparison.Ordinal) && p.Args[^1] == spec.Id.ToString()), TimeSpan.FromSeconds(20)));
            agent.Kill();
            await agent.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.IsType<Phase.Created>(Assert.IsType<Observation.Present>(await Settled(spec.Id)).Phase);
            Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
            Shim(spec.Id);
            await machine.SaysAsync(spec.Id, "ready");
            Assert.IsType<Outcome.Done>(await machine.Host.RemoveAsync(spec.Id, keepLog: false));
        }
    }

    [Fact]
    public async Task A_shim_holds_no_mount_of_another_workload()
    {
        var other = machine.Volume();
        var spec = machine.Spec("wait");
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
        await machine.SaysAsync(spec.Id, "ready");
        var shim = Shim(spec.Id);
        Assert.NotEqual(Link("self"), Link($"{shim}"));
        var mounts = MountLine.Read($"{shim}").Select(m => m.Point).ToList();
        Assert.Contains(machine.Rootfs, mounts);
        Assert.DoesNotContain(other, mounts);
        Assert.DoesNotContain(MountLine.Read("self"), m => m.Point == "/sys/fs/cgroup/unified" && m.Type != "cgroup2");

        static string? Link(string process) => new FileInfo($"/proc/{process}/ns/mnt").LinkTarget;
    }

    [Fact]
    public async Task Logs_are_bounded_and_stay_until_they_are_removed()
    {
        var spec = machine.Spec("lines", "20000") with { Logs = Bytes.KiB(64) };
        Assert.IsType<Outcome.Done>(await machine.Host.StartAsync(spec));
        await machine.UntilAsync(spec.Id, p => p.Phase is Phase.Exited);
        var lines = await machine.LinesAsync(spec.Id);
        Assert.Equal("line 19999", lines[^1].Text);
        Assert.InRange(new FileInfo(Directory.EnumerateFiles(machine.Paths.Logs).Single()).Length, 1, Bytes.KiB(64).Value);
        Assert.Equal(["line 19998", "line 19999"], (await machine.LinesAsync(spec.Id, tail: 2)).Select(l => l.Text));
        Assert.Equal(lines.Where(l => l.At >= lines[^10].At), await machine.LinesAsync(spec.Id, since: lines[^10].At));
        Assert.Equal(lines, await machine.LinesAsync(spec.Id, follow: true));

        Assert.IsType<Outcome.Done>(await machine.Host.RemoveAsync(spec.Id, keepLog: true));
        Assert.Equal(lines, await machine.LinesAsync(spec.Id));
        Assert.IsType<Outcome.Done>(await machine.Host.RemoveAsync(spec.Id, keepLog: false));
        Assert.Empty(await machine.LinesAsync(spec.Id));
    }

    private enum Step
    {
        Directory,
        HalfConfig,
        Config,
        Cgroup,
        Created,
    }

    /// <summary>What an agent leaves that was killed after this step.</summary>
    private void Make(ContainerSpec spec, Step step)
    {
        var paths = machine.Paths;
        var cgroups = Cgroups.Probe(MountLine.Read("self"), paths.CgroupParent, out _)!;
        Directory.CreateDirectory(paths.State);
        Directory.CreateDirectory(paths.Logs);
        Directory.CreateDirectory(paths.Bundle(spec.Id));
        var config = OciConfig.Write(spec, cgroups.PathOf(spec.Id));
        if (step >= Step.HalfConfig)
            File.WriteAllBytes(Path.Combine(paths.Bundle(spec.Id), "config.json"), step == Step.HalfConfig ? config[..100] : config);
        if (step == Step.Cgroup)
            Directory.CreateDirectory(cgroups.Hierarchies[0] + cgroups.PathOf(spec.Id));
        if (step == Step.Created)
            Assert.NotNull(ContainerRuntime.Probe(cgroups, paths, out _)!.Create(spec).Init);
    }

    private async Task<Observation> Settled(ContainerId id)
    {
        var clock = Stopwatch.StartNew();
        Observation seen;
        while ((seen = machine.Host.Observe(id)) is Observation.Unknown && clock.Elapsed < TimeSpan.FromSeconds(20))
            await Task.Yield();
        return seen;
    }

    // A shim's zombie, and the namespaces of a process that just died, go when the kernel gets to it.
    private async Task Equal(Remains clean)
    {
        var clock = Stopwatch.StartNew();
        while (machine.Look() != clean && clock.Elapsed < TimeSpan.FromSeconds(10))
            await Task.Yield();
        Assert.Equal(clean, machine.Look());
    }

    private static int Shim(ContainerId id) => Assert.Single(Processes.All(), p => p.Args.Contains(id.ToString()) && p.Args[0].EndsWith("conmon", StringComparison.Ordinal)).Pid;

    private Process Agent(int seed, string how)
    {
        var start = new ProcessStartInfo(
            Environment.ProcessPath!, [Victim.Verb, machine.Paths.Run, machine.Paths.Logs, machine.Paths.CgroupParent, machine.Rootfs, $"{seed}", how])
        { RedirectStandardOutput = true };
        _agents.Add(Process.Start(start)!);
        return _agents[^1];
    }

    private static async Task<string?> Line(Process agent) => await agent.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken);
}
