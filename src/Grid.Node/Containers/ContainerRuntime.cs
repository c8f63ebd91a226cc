using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Containers;

/// <summary>Where containers keep what belongs to them.</summary>
/// <param name="Run">bundles and the runtime's state; lost at a reboot, as the processes are. Holds opened secrets: a tmpfs</param>
/// <param name="Logs">one bounded file per container</param>
/// <param name="CgroupParent">name of the group that holds every container's</param>
public sealed record ContainerPaths(string Run, string Logs, string CgroupParent)
{
    public static readonly ContainerPaths Default = new("/run/grid", "/var/log/grid", "grid");

    internal string State => Path.Combine(Run, "runtime");

    internal string Bundles => Path.Combine(Run, "containers");

    internal string StateOf(ContainerId id) => Path.Combine(State, id.ToString());

    internal string Bundle(ContainerId id) => Path.Combine(Bundles, id.ToString());

    internal string Log(ContainerId id) => Path.Combine(Logs, $"{id}.log");
}

/// <summary>The OCI runtime and the shim of this machine, each called by its absolute path.</summary>
internal sealed class ContainerRuntime(string runtime, string shim, Cgroups cgroups, ContainerPaths paths)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    // A program that looks for its own tools finds Debian's; nothing of the agent's environment is passed on.
    private const string SearchPath = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

    public string Program => runtime;

    public string Shim => shim;

    /// <returns>null and why</returns>
    public static ContainerRuntime? Probe(Cgroups cgroups, ContainerPaths paths, out string why)
    {
        why = "";
        var runtime = First("/usr/bin/crun", "/usr/local/bin/crun", "/usr/sbin/runc", "/usr/bin/runc");
        var shim = First("/usr/bin/conmon", "/usr/libexec/podman/conmon", "/usr/local/bin/conmon");
        if (runtime is null)
            why = "neither crun nor runc is installed";
        else if (shim is null)
            why = "conmon is not installed";
        else if (!File.Exists("/proc/self/ns/user") || File.ReadAllText("/proc/sys/user/max_user_namespaces").Trim() == "0")
            why = "the kernel allows no user namespaces";
        else if (!File.Exists("/proc/sys/kernel/seccomp/actions_avail"))
            why = "the kernel has no seccomp filters";
        return runtime is null || shim is null || why.Length > 0 ? null : new ContainerRuntime(runtime, shim, cgroups, paths);
    }

    /// <summary>Has the shim make the container from its bundle, its first process waiting.</summary>
    /// <returns>the first process, or what the runtime said</returns>
    public (int? Init, string Message) Create(ContainerSpec spec)
    {
        var bundle = paths.Bundle(spec.Id);
        var (sync, written) = Posix.Pipe();
        using (sync)
        {
            string said;
            // conmon ends itself when nobody can hear its answer (2.1), and would leave the container without a shim where the agent was killed meanwhile.
            using (written)
            using (var answer = Posix.OpenBothWays(written))
            {
                var command = new Command(
                    shim,
                    [
                        "--api-version", "1", "-c", spec.Id.ToString(), "-u", "sockets", "-n", spec.Label.ToString(), "-b", bundle,
                        "-p", Path.Combine(bundle, "pid"), "-0", bundle, "--socket-dir-path", bundle,
                        "-l", $"k8s-file:{paths.Log(spec.Id)}", "--log-size-max", spec.Logs.Value.ToString(CultureInfo.InvariantCulture),
                        "-r", runtime, "--runtime-arg", "--root", "--runtime-arg", paths.State,
                    ],
                    [SearchPath, "_OCI_SYNCPIPE=3"]);
                var (code, output) = Run(command, spec, answer);
                said = code == 0 ? "" : $"conmon ended with {code}: {output}";
            }
            return said.Length > 0 ? (null, said) : Answer(ReadAll(sync, line: true));
        }
    }

    /// <summary>Lets the first process execute the entry.</summary>
    /// <returns>null, or what the runtime said</returns>
    public string? Start(ContainerSpec spec)
    {
        var (code, output) = Run(new Command(runtime, ["--root", paths.State, "start", spec.Id.ToString()], [SearchPath]), spec, null);
        return code == 0 ? null : output.Length > 0 ? output : $"the runtime ended with {code}";
    }

    // conmon writes {"data": PID} or {"data": -1, "message": "…"}.
    private static (int? Init, string Message) Answer(string line)
    {
        if (line.Length == 0)
            return (null, $"conmon did not answer within {Patience.TotalSeconds:0} s, or ended before it could");
        try
        {
            using var json = JsonDocument.Parse(line);
            var pid = json.RootElement.GetProperty("data").GetInt32();
            return pid > 0 ? (pid, "") : (null, json.RootElement.TryGetProperty("message", out var text) ? text.GetString() ?? "" : "");
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return (null, $"conmon answered '{line}'");
        }
    }

    private (int Code, string Output) Run(Command command, ContainerSpec spec, SafeFileHandle? extra)
    {
        var (read, write) = Posix.Pipe();
        using (read)
        {
            int pid;
            using (write)
                pid = Launcher.Start(command, write, extra, Mounts(spec));
            using var process = Posix.OpenProcess(pid);
            if (process is not null && !Posix.WaitReadable(process, Patience))
                Posix.Signal(process, Posix.SIGKILL);
            var code = Posix.Reap(pid);
            return (code, code == 0 ? "" : ReadAll(read, line: false).Trim());
        }
    }

    private PrivateMounts Mounts(ContainerSpec spec) => PrivateMounts.Plan(
        MountLine.Read("self"), Path.GetFileName(runtime) == "crun" ? cgroups.Hidden : [], paths.Bundle(spec.Id),
        [runtime, shim, paths.State, paths.Logs, spec.Rootfs, .. spec.Volumes.Select(v => v.Source), .. spec.Devices.Select(d => d.Source)]);

    private static string ReadAll(SafeFileHandle pipe, bool line)
    {
        const int Limit = 65_536;
        var buffer = new byte[Limit];
        var length = 0;
        while (length < Limit && Posix.WaitReadable(pipe, Patience) && Posix.Read(pipe, buffer.AsSpan(length)) is > 0 and var count)
        {
            length += count;
            if (line && buffer.AsSpan(0, length).Contains((byte)'\n'))
                break;
        }
        return Encoding.UTF8.GetString(buffer, 0, length);
    }

    private static string? First(params ReadOnlySpan<string> candidates)
    {
        foreach (var path in candidates)
        {
            if (File.Exists(path))
                return path;
        }
        return null;
    }
}
