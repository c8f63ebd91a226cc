using System.Diagnostics;
using System.Text.Json.Nodes;
using Grid.Node.Agent;
using Grid.Node.Containers;

namespace Grid.Bench.Start;

/// <summary>The OCI runtime alone, on a copy of a bundle that the node wrote: the same root, limits, namespaces and filters, a cgroup of its own.</summary>
internal static class BareRuntime
{
    private const string Crun = "/usr/bin/crun";
    private const string Unified = "/sys/fs/cgroup/unified";

    /// <returns>milliseconds from the runtime's start until the workload's program is executed</returns>
    public static async Task<double> RunAsync(NodePaths paths, ContainerId id, string directory)
    {
        var bundle = Directory.CreateDirectory(Path.Combine(directory, "bundle")).FullName;
        var (state, pid) = (Path.Combine(directory, "state"), Path.Combine(directory, "pid"));
        var config = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(paths.Run, "containers", $"{id}", "config.json")))!;
        config["linux"]!["cgroupsPath"] = $"/{Cgroup(paths)}/{id}";
        await File.WriteAllTextAsync(Path.Combine(bundle, "config.json"), config.ToJsonString());
        File.Delete(pid);
        // crun gives what it is called with to the container's user (fchown), and the machine's /dev/null is nobody's to give.
        var nothing = Path.Combine(directory, "nothing");
        await File.WriteAllBytesAsync(nothing, []);

        // crun 1.8 refuses version 1 cgroups beside version 2: there it runs where the latter cannot be seen, as the node has it. That is prepared before the clock starts.
        var hide = Directory.Exists(Unified) ? $"mount -t tmpfs none {Unified} && " : "";
        using var shell = Process.Start(new ProcessStartInfo("/usr/bin/unshare", ["--mount", "/bin/sh", "-c",
            $"{hide}echo prepared && read go && exec {Crun} --root {state} run --detach --bundle {bundle} --pid-file {pid} bare <{nothing} >>{nothing} 2>{directory}/said"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        if (await shell.StandardOutput.ReadLineAsync() != "prepared")
            throw new InvalidOperationException("The runtime's mounts could not be prepared.");
        var process = Task.Factory.StartNew(() => Executing.Watch(pid), TaskCreationOptions.LongRunning);
        var started = Stopwatch.GetTimestamp();
        await shell.StandardInput.WriteLineAsync("go");
        await shell.StandardInput.FlushAsync();
        await shell.WaitForExitAsync();
        if (shell.ExitCode != 0)
            throw new InvalidOperationException(await File.ReadAllTextAsync(Path.Combine(directory, "said")));
        var (_, executed) = await process;
        using var delete = Process.Start("/usr/bin/unshare", ["--mount", "/bin/sh", "-c", $"{hide}exec {Crun} --root {state} delete --force bare"]);
        await delete.WaitForExitAsync();
        return Stopwatch.GetElapsedTime(started, executed).TotalMilliseconds;
    }

    /// <summary>Removes the group that its containers' groups were in.</summary>
    public static void Leave(NodePaths paths) => CgroupTree.Remove(Cgroup(paths));

    private static string Cgroup(NodePaths paths) => $"{paths.Cgroup}-bare";
}
