using System.Diagnostics;
using System.Text.Json.Nodes;
using Grid.Node.Agent;
using Grid.Node.Containers;

namespace Grid.Bench.Start;

/// <summary>An OCI runtime alone, on copies of bundles that the node wrote: the same roots, limits, namespaces and filters, cgroups of their own.</summary>
internal sealed class BareRuntime
{
    public const string Crun = "/usr/bin/crun", Runc = "/usr/sbin/runc";

    private const string Unified = "/sys/fs/cgroup/unified";

    private readonly NodePaths _paths;
    private readonly string _directory, _program, _hide;

    /// <param name="directory">where it keeps all that it makes</param>
    public BareRuntime(NodePaths paths, string directory, string program = Crun)
    {
        (_paths, _directory, _program) = (paths, Directory.CreateDirectory(directory).FullName, program);
        // crun 1.8 refuses version 1 cgroups beside version 2: there it runs where the latter cannot be seen, as the node has it.
        _hide = program == Crun && Directory.Exists(Unified) ? $"mount -t tmpfs none {Unified} && " : "";
    }

    /// <returns>milliseconds from the runtime's start until the workload's program is executed</returns>
    public async Task<double> RunAsync(ContainerId id)
    {
        using var shell = await PrepareAsync(id);
        var process = Task.Factory.StartNew(() => Executing.Watch(PidFile(id)), TaskCreationOptions.LongRunning);
        var started = Stopwatch.GetTimestamp();
        await GoAsync(shell, id);
        var (_, executed) = await process;
        await DeleteAsync(id);
        return Stopwatch.GetElapsedTime(started, executed).TotalMilliseconds;
    }

    /// <param name="together">how many runtimes at a time</param>
    /// <returns>milliseconds from the first's start until all workloads' programs are executed</returns>
    public async Task<double> RunAsync(IReadOnlyCollection<ContainerId> ids, int together)
    {
        var shells = new List<(Process Shell, ContainerId Id)>();
        foreach (var id in ids)
            shells.Add((await PrepareAsync(id), id));
        var process = Task.Factory.StartNew(() => Executing.WatchAll(ids.Select(PidFile)), TaskCreationOptions.LongRunning);
        var started = Stopwatch.GetTimestamp();
        await Parallel.ForEachAsync(shells, new ParallelOptions { MaxDegreeOfParallelism = together }, async (s, _) => await GoAsync(s.Shell, s.Id));
        var executed = await process;
        foreach (var (shell, id) in shells)
        {
            shell.Dispose();
            await DeleteAsync(id);
        }
        return Stopwatch.GetElapsedTime(started, executed).TotalMilliseconds;
    }

    /// <summary>Removes the group that its containers' groups were in.</summary>
    public static void Leave(NodePaths paths) => CgroupTree.Remove(Cgroup(paths));

    // All but the runtime, before the clock starts.
    private async Task<Process> PrepareAsync(ContainerId id)
    {
        var bundle = Directory.CreateDirectory(Path.Combine(_directory, $"{id}")).FullName;
        var config = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(_paths.Run, "containers", $"{id}", "config.json")))!;
        config["linux"]!["cgroupsPath"] = $"/{Cgroup(_paths)}/{id}";
        await File.WriteAllTextAsync(Path.Combine(bundle, "config.json"), config.ToJsonString());
        File.Delete(PidFile(id));
        // The runtime gives what it is called with to the container's user (fchown), and the machine's /dev/null is nobody's to give.
        var nothing = Path.Combine(bundle, "nothing");
        await File.WriteAllBytesAsync(nothing, []);
        var shell = Process.Start(new ProcessStartInfo("/usr/bin/unshare", ["--mount", "/bin/sh", "-c",
            $"{_hide}echo prepared && read go && exec {_program} --root {State} run --detach --bundle {bundle} --pid-file {PidFile(id)} {id} <{nothing} >>{nothing} 2>{bundle}/said"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        return await shell.StandardOutput.ReadLineAsync() == "prepared" ? shell : throw new InvalidOperationException("The runtime's mounts could not be prepared.");
    }

    private async Task GoAsync(Process shell, ContainerId id)
    {
        await shell.StandardInput.WriteLineAsync("go");
        await shell.StandardInput.FlushAsync();
        await shell.WaitForExitAsync();
        if (shell.ExitCode != 0)
            throw new InvalidOperationException(await File.ReadAllTextAsync(Path.Combine(_directory, $"{id}", "said")));
    }

    private async Task DeleteAsync(ContainerId id)
    {
        using var delete = Process.Start("/usr/bin/unshare", ["--mount", "/bin/sh", "-c", $"{_hide}exec {_program} --root {State} delete --force {id}"]);
        await delete.WaitForExitAsync();
    }

    private string State => Path.Combine(_directory, "state");

    private string PidFile(ContainerId id) => Path.Combine(_directory, $"{id}.pid");

    private static string Cgroup(NodePaths paths) => $"{paths.Cgroup}-bare";
}
