using System.Collections.Immutable;
using System.ComponentModel;
using System.Diagnostics;
using Grid.Node.Containers.Interop;
using Grid.Reconciliation;

namespace Grid.Node.Containers;

/// <summary>
/// Runs, observes, stops and cleans up containers on this machine; decides nothing. Every effect may run twice and may be cut short
/// anywhere: <see cref="Observe()"/> finds what it left. Effects on one container must not overlap; on different ones they may.
/// </summary>
public sealed class ContainerHost
{
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan ShimPatience = TimeSpan.FromSeconds(2);

    private readonly ContainerPaths _paths;
    private readonly Cgroups _cgroups;
    private readonly ContainerRuntime _runtime;
    private readonly ContainerObserver _observer;

    private ContainerHost(ContainerPaths paths, Cgroups cgroups, ContainerRuntime runtime, TimeProvider time)
    {
        (_paths, _cgroups, _runtime) = (paths, cgroups, runtime);
        _observer = new ContainerObserver(paths, cgroups, runtime, time);
    }

    /// <summary>What runs the containers, for the node's status.</summary>
    public string Runtime => _runtime.Program;

    /// <summary>Which control groups hold containers to their limits.</summary>
    public string Limits => _cgroups.Unified ? "cgroup v2" : _cgroups.Hidden.IsEmpty ? "cgroup v1" : "cgroup v1, beside v2 (hybrid)";

    /// <summary>Looks for what this machine offers.</summary>
    /// <returns>null, and in <paramref name="why"/> what is missing</returns>
    public static ContainerHost? Open(ContainerPaths paths, TimeProvider time, out string why)
    {
        if (!Environment.IsPrivilegedProcess)
        {
            why = "containers need root";
            return null;
        }
        if (Cgroups.Probe(MountLine.Read("self"), paths.CgroupParent, out why) is not { } cgroups || ContainerRuntime.Probe(cgroups, paths, out why) is not { } runtime)
            return null;
        return new ContainerHost(paths, cgroups, runtime, time);
    }

    /// <summary>Removes the group of all containers' groups, once none is left in it.</summary>
    public void Leave() => _cgroups.RemoveParent();

    public Sighting Observe() => _observer.Observe();

    public Observation Observe(ContainerId id) => _observer.Observe(id);

    /// <returns>null when it has no cgroup; the counters outlive the process until the container is removed</returns>
    public Usage? Usage(ContainerId id) => _cgroups.Usage(id);

    public ContainerLog Log(ContainerId id, TimeProvider time) => new(_paths.Log(id), () => Observe(id), time);

    /// <summary>What runs in the container's control groups without being one of its files.</summary>
    /// <param name="init">its first process, which executes its entry</param>
    /// <param name="seen">the numbers of its processes by a look just taken; null takes one</param>
    internal ImmutableArray<Stranger> Census(ContainerId id, ProcessIdentity init, IReadOnlySet<int>? seen = null)
    {
        var found = Containers.Census.Take(init, seen ?? _cgroups.Processes(id));
        // A number that was given to another since the list was read is nothing to the container.
        return found.IsEmpty || _cgroups.Processes(id) is not { } now ? found : [.. found.Where(s => now.Contains(s.Process.Pid) && Processes.Identify(s.Process.Pid) == s.Process)];
    }

    /// <summary>Ends a process of a container that executes none of its files; done also when it does not any more, or is gone. Never the first.</summary>
    internal Task<Outcome> EndStrangerAsync(ContainerId id, ProcessIdentity stranger) => Effect.Run(() =>
    {
        using var process = Posix.OpenProcess(stranger.Pid);
        // Held by now, so that it is this very one that is looked at again and signalled.
        if (process is null || Observe(id) is not Observation.Present { Phase: Phase.Running or Phase.Paused } p || p.Phase.Process is not { } init || init == stranger
            || !Census(id, init).Any(s => s.Executed && s.Process == stranger) || !Posix.Signal(process, Posix.SIGKILL))
            return new Outcome.Done();
        return Posix.WaitReadable(process, Settle) ? new Outcome.Done() : new Outcome.Transient($"the process {stranger.Pid} in {id} does not end");
    });

    /// <summary>Makes it exist with its namespaces, its first process waiting; done also when it runs already, or has ended.</summary>
    /// <param name="seen">a look taken for this very start; null takes one</param>
    public Task<Outcome> CreateAsync(ContainerSpec spec, Sighting? seen = null) => Effect.Run(() => Make(spec, seen).Outcome);

    /// <summary>Makes it exist and execute its entry. The same label again changes nothing, even after its end.</summary>
    /// <param name="seen">a look taken for this very start; null takes one</param>
    public Task<Outcome> StartAsync(ContainerSpec spec, Sighting? seen = null) => Effect.Run(() => Make(spec, seen) switch
    {
        (Outcome.Done, { } waiting) => Release(spec, waiting),
        var (outcome, _) => outcome,
    });

    /// <summary>Writes on it that it was healthy, or why it is ended; the first only where nothing was written yet.</summary>
    /// <exception cref="IOException">it could not be written, or the container is gone</exception>
    public void Mark(ContainerId id, HealthMark mark) => HealthFile.Write(_paths.Bundle(id), mark);

    /// <summary>SIGTERM to its first process, SIGKILL to all after <paramref name="grace"/>. It stays, ended, with its exit code and counters.</summary>
    public Task<Outcome> StopAsync(ContainerId id, TimeSpan grace, CancellationToken cancel) => Effect.Run(() =>
    {
        switch (Observe(id))
        {
            case Observation.Unknown u:
                return new Outcome.Transient(u.Why);
            case Observation.Present p when p.Phase.Process is { } init:
                using (var process = Posix.OpenProcess(init.Pid))
                {
                    _cgroups.Freeze(id, false);
                    if (process is not null && Processes.Signal(init, Posix.SIGTERM))
                        Wait(process, grace, cancel);
                }
                return Kill(id) ? new Outcome.Done() : new Outcome.Transient($"{id} does not end");
            default:
                return new Outcome.Done();
        }
    });

    /// <summary>Ends what runs and takes away everything that belongs to it, however much of it is there.</summary>
    public Task<Outcome> RemoveAsync(ContainerId id, bool keepLog) => Effect.Run(() => Remove(id, keepLog));

    public Task<Outcome> PauseAsync(ContainerId id) => Effect.Run(() => Freeze(id, true));

    public Task<Outcome> ResumeAsync(ContainerId id) => Effect.Run(() => Freeze(id, false));

    /// <summary>What can be seen to be wrong before anything is made.</summary>
    private static Outcome? Unfit(ContainerSpec spec)
    {
        if (!Path.IsPathRooted(spec.Rootfs) || !Directory.Exists(spec.Rootfs))
            return new Outcome.Transient($"the root file system {spec.Rootfs} is not mounted");
        const ulong Sealed = SysStat.ST_RDONLY | SysStat.ST_NOSUID | SysStat.ST_NODEV, Inert = SysStat.ST_NOEXEC | SysStat.ST_NOSUID | SysStat.ST_NODEV;
        if ((SysStat.MountFlags(spec.Rootfs) & Sealed) != Sealed)
            return new Outcome.Transient($"the root file system {spec.Rootfs} is not mounted read-only, nosuid and nodev");
        // crun 1.8 forgets the options of a bind mount in a user namespace (it clones the source's mount), so the source must have them.
        if (spec.Volumes.FirstOrDefault(v => (SysStat.MountFlags(v.Source) & Inert) != Inert) is { } open)
            return new Outcome.Transient($"the volume {open.Source} is not mounted noexec, nosuid and nodev");
        using var root = Posix.OpenPath(spec.Rootfs);
        foreach (var path in OciConfig.MountPoints(spec))
        {
            if (SysStat.IdentifyIn(root, path) is null || !Directory.Exists(spec.Rootfs + path))
                return new Outcome.Refused(new Refusal(RefusalCode.PathInvalid, $"The flist has no directory '{path}' to mount on.", "Add it to the flist, empty."), MayPass: true);
        }
        return null;
    }

    /// <returns>and the first process, when it waits to be let go</returns>
    private (Outcome Outcome, int? Waiting) Make(ContainerSpec spec, Sighting? seen)
    {
        if (Unfit(spec) is { } unfit)
            return (unfit, null);
        var sighting = seen ?? Observe();
        switch (sighting[spec.Id])
        {
            case Observation.Unknown u:
                return (new Outcome.Transient(u.Why), null);
            case Observation.Present p when p.Phase is Phase.Partial:
                if (Remove(spec.Id, keepLog: true) is not Outcome.Done and var failed)
                    return (failed, null);
                break;
            case Observation.Present p when p.Label != spec.Label:
                return (new Outcome.Transient($"{spec.Id} is still there as {p.Label}; it must be removed first"), null);
            case Observation.Present { Phase: Phase.Created { LetGo: false } created }:
                return (new Outcome.Done(), created.Init.Pid);
            case Observation.Present:
                return (new Outcome.Done(), null);
        }
        return sighting.Containers.Any(c => c.Key != spec.Id && c.Value is Observation.Present { Uids: { } taken } && taken == spec.Uids)
            ? (new Outcome.Transient($"the user ids from {spec.Uids.First} on belong to another container"), null)
            : Create(spec);
    }

    private (Outcome Outcome, int? Waiting) Create(ContainerSpec spec)
    {
        Directory.CreateDirectory(_paths.Logs, DirectoryModes.Private);
        // A container's root, nobody in particular out here, walks through it to a root file system that may lie below.
        Directory.CreateDirectory(_paths.Run, DirectoryModes.Passed);
        Directory.CreateDirectory(_paths.State, DirectoryModes.Private);
        Directory.CreateDirectory(_paths.Bundle(spec.Id), DirectoryModes.Private);
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite };
        using (var config = new FileStream(Path.Combine(_paths.Bundle(spec.Id), OciConfig.FileName), options))
            config.Write(OciConfig.Write(spec, _cgroups.PathOf(spec.Id)));

        var (init, message) = _runtime.Create(spec);
        if (init is not null)
            return (new Outcome.Done(), init);
        Remove(spec.Id, keepLog: true);
        return (message.Contains(spec.Entry, StringComparison.Ordinal) || message.Contains("executable file", StringComparison.Ordinal)
            ? new Outcome.Refused(new Refusal(RefusalCode.EntryNotDescribed, $"'{spec.Entry}' cannot be executed: {message}"), MayPass: true)
            : new Outcome.Transient(message), null);
    }

    /// <summary>The kernel's own word that nothing undescribed can run comes before the first instruction.</summary>
    private Outcome Release(ContainerSpec spec, int init)
    {
        // The shim listens for whoever would attach to the workload. Nobody may.
        File.Delete(Path.Combine(_paths.Bundle(spec.Id), "attach"));
        if (MountLine.Read(init.ToString(System.Globalization.CultureInfo.InvariantCulture)).FirstOrDefault(IsOpen) is { } open)
        {
            Remove(spec.Id, keepLog: true);
            return new Outcome.Broken($"{_runtime.Program} mounted {open.Point} as {string.Join(',', open.Options)}");
        }
        if (_runtime.Start(spec) is not { } message)
            return new Outcome.Done();
        // Somebody else, an agent that was killed a moment ago perhaps, may have let it go: then there is nothing left to wait at, whether or not it is seen to run yet.
        return !File.Exists(Path.Combine(_paths.StateOf(spec.Id), "exec.fifo")) && Observe(spec.Id) is Observation.Present { Phase: not Phase.Partial }
            ? new Outcome.Done() : new Outcome.Transient(message);
    }

    private static bool IsOpen(MountLine mount) => mount switch
    {
        { Point: "/" } => !(mount.Options.Contains("ro") && mount.Options.Contains("nosuid") && mount.Options.Contains("nodev")),
        // One device each, its own, which holds no code; runc leaves them without options, and masks files by them. The node's are refused.
        { Type: "tmpfs", Root: "/null" or "/zero" or "/full" or "/random" or "/urandom" or "/tty" } => false,
        { Type: "devtmpfs" } => true,
        _ => !mount.Options.Contains("ro") && !(mount.Options.Contains("noexec") && mount.Options.Contains("nosuid") && mount.Options.Contains("nodev")),
    };

    private Outcome Remove(ContainerId id, bool keepLog)
    {
        if (!Kill(id))
            return new Outcome.Transient($"the processes of {id} do not end");
        var bundle = _paths.Bundle(id);
        // What the agent mounted there.
        MountLine.DetachBelow(bundle);
        if (!Until(Settle, () => _cgroups.TryRemove(id)))
            return new Outcome.Transient($"the cgroups of {id} are still in use");
        foreach (var directory in (ReadOnlySpan<string>)[_paths.StateOf(id), bundle])
        {
            if (Directory.Exists(directory))
                Directory.Delete(directory, recursive: true);
        }
        if (!keepLog)
            File.Delete(_paths.Log(id));
        return new Outcome.Done();
    }

    /// <summary>No process of the container, and none that works for it, is left.</summary>
    private bool Kill(ContainerId id)
    {
        var clock = Stopwatch.StartNew();
        return Until(Settle, () =>
        {
            var members = _cgroups.Processes(id).Select(Processes.Identify).OfType<ProcessIdentity>().ToList();
            if (members.Count > 0)
                _cgroups.Freeze(id, false);
            foreach (var member in members)
                Processes.Signal(member, Posix.SIGKILL);
            var attendants = _observer.Attendants().Where(a => a.Id == id).ToList();
            // A runtime that is still making it would make more of it. The shim has its last word to write, if it does so soon.
            foreach (var attendant in attendants.Where(a => !a.IsShim || clock.Elapsed > ShimPatience || !File.Exists(Path.Combine(_paths.Bundle(id), "pid"))))
                Processes.Signal(attendant.Process, Posix.SIGKILL);
            return members.Count == 0 && attendants.Count == 0;
        });
    }

    private Outcome Freeze(ContainerId id, bool frozen)
    {
        switch (Observe(id))
        {
            case Observation.Unknown u:
                return new Outcome.Transient(u.Why);
            case Observation.Present { Phase: Phase.Running or Phase.Paused }:
                _cgroups.Freeze(id, frozen);
                return Until(Settle, () => _cgroups.IsFrozen(id) == frozen) ? new Outcome.Done() : new Outcome.Transient($"{id} does not freeze or thaw");
            default:
                return new Outcome.Transient($"{id} does not run");
        }
    }

    private static void Wait(Microsoft.Win32.SafeHandles.SafeFileHandle process, TimeSpan grace, CancellationToken cancel)
    {
        var clock = Stopwatch.StartNew();
        while (grace - clock.Elapsed is { Ticks: > 0 } left && !Posix.WaitReadable(process, left < Slice ? left : Slice))
            cancel.ThrowIfCancellationRequested();
    }

    // How long a cancellation may go unnoticed.
    private static readonly TimeSpan Slice = TimeSpan.FromMilliseconds(200);

    private static bool Until(TimeSpan patience, Func<bool> reached)
    {
        var clock = Stopwatch.StartNew();
        while (!reached())
        {
            if (clock.Elapsed > patience)
                return false;
            Thread.Sleep(1);
        }
        return true;
    }
}
