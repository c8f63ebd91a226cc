using System.Diagnostics;
using Grid.Bench.Start;
using Grid.Node.Containers;

namespace Grid.Bench.Node;

/// <summary>
/// podman with the same runtime, tree, limits and command as the node's containers: a user's container without network, of a read-only directory.
/// All it keeps is below one directory and in one mount namespace, which is where crun does not see version 2 cgroups.
/// </summary>
internal sealed class Podman : IAsyncDisposable
{
    private const string Unified = "/sys/fs/cgroup/unified";

    private readonly string _directory, _tree, _cgroup;
    private readonly Process _mounts;

    private Podman(string directory, string tree, string cgroup, Process mounts) => (_directory, _tree, _cgroup, _mounts) = (directory, tree, cgroup, mounts);

    public static async Task<Podman> OpenAsync(string directory, string tree, string cgroup)
    {
        Directory.CreateDirectory(directory);
        // Events and locks in files and nowhere else on the machine.
        await File.WriteAllTextAsync(Path.Combine(directory, "containers.conf"), "[engine]\nlock_type = \"file\"\nevents_logger = \"none\"\n");
        var hide = Directory.Exists(Unified) ? $"mount -t tmpfs none {Unified} && " : "";
        var mounts = Process.Start(new ProcessStartInfo("/usr/bin/unshare", ["--mount", "/bin/sh", "-c", $"{hide}echo prepared && read end"]) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        var podman = new Podman(directory, tree, cgroup, mounts);
        if (await mounts.StandardOutput.ReadLineAsync() == "prepared")
            return podman;
        await podman.DisposeAsync();
        throw new InvalidOperationException("podman's mounts could not be prepared.");
    }

    /// <returns>milliseconds from podman's start until the container's program is executed</returns>
    public async Task<double> RunAsync(string name)
    {
        var process = Task.Factory.StartNew(() => Executing.Watch(PidFile(name)), TaskCreationOptions.LongRunning);
        var began = Stopwatch.GetTimestamp();
        await StartAsync(name);
        var (_, executed) = await process;
        return Stopwatch.GetElapsedTime(began, executed).TotalMilliseconds;
    }

    /// <param name="together">how many podman processes at a time</param>
    /// <returns>milliseconds from the first's start until all containers execute their programs</returns>
    public async Task<double> RunAsync(IReadOnlyCollection<string> names, int together)
    {
        var process = Task.Factory.StartNew(() => Executing.WatchAll(names.Select(PidFile)), TaskCreationOptions.LongRunning);
        var began = Stopwatch.GetTimestamp();
        await Parallel.ForEachAsync(names, new ParallelOptions { MaxDegreeOfParallelism = together }, async (name, _) => await StartAsync(name));
        return Stopwatch.GetElapsedTime(began, await process).TotalMilliseconds;
    }

    /// <summary>TERM first, and all that it has gone.</summary>
    public Task EndAsync(string name) => CallAsync("rm", "--force", "--time", "4", name);

    public Task RemoveAllAsync() => CallAsync("rm", "--force", "--time", "0", "--all");

    public async ValueTask DisposeAsync()
    {
        try
        {
            if (!_mounts.HasExited)
            {
                await RemoveAllAsync();
                // What conmon starts at a container's end.
                await StartBench.UntilAsync("podman to be gone", () => !Processes.All().Any(p => p.Args.Any(a => a.Contains(_directory, StringComparison.Ordinal))));
            }
            CgroupTree.Remove(_cgroup);
        }
        finally
        {
            _mounts.StandardInput.Close();
            await _mounts.WaitForExitAsync();
            _mounts.Dispose();
        }
    }

    private string At(string name) => Path.Combine(_directory, name);

    private string PidFile(string name) => At($"{name}.pid");

    private Task StartAsync(string name) => CallAsync(
        "run", "--detach", "--name", name, "--pidfile", PidFile(name), "--network", "none", "--log-driver", "k8s-file", "--cgroup-parent", $"/{_cgroup}",
        "--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096", "--cpus", "0.1", "--memory", "32m", "--pids-limit", "16", "--user", "1000:1000", "--cap-drop", "all",
        "--read-only", "--tmpfs", "/tmp:size=1m", "--rootfs", _tree, "/bin/busybox", "sh", "-c", PrivateGrid.Idle);

    private async Task CallAsync(params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo("/usr/bin/nsenter", [
            $"--mount=/proc/{_mounts.Id}/ns/mnt", "/usr/bin/podman", "--root", At("root"), "--runroot", At("runroot"), "--tmpdir", At("tmp"),
            "--cgroup-manager=cgroupfs", "--runtime=/usr/bin/crun", "--runtime-flag", $"root={At("crun")}", .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["CONTAINERS_CONF"] = At("containers.conf");
        using var podman = Process.Start(start)!;
        var (said, wrong) = (podman.StandardOutput.ReadToEndAsync(), podman.StandardError.ReadToEndAsync());
        await podman.WaitForExitAsync();
        await said;
        if (podman.ExitCode != 0)
            throw new InvalidOperationException($"podman: {await wrong}");
    }
}
