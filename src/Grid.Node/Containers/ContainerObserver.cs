using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Grid.Node.Containers.Interop;

namespace Grid.Node.Containers;

/// <summary>A process that works for a container without being of it: the shim, or the runtime while it makes one.</summary>
internal sealed record Attendant(ContainerId Id, ProcessIdentity Process, bool IsShim, ContainerLabel? Label);

/// <summary>
/// Finds every container by what the kernel and the runtime hold: cgroups, shims and runtimes in /proc, state directories, bundles.
/// Each alone is enough to know that something is there. Nothing is remembered between two looks.
/// </summary>
internal sealed class ContainerObserver(ContainerPaths paths, Cgroups cgroups, ContainerRuntime runtime, TimeProvider time)
{
    // How long a runtime may take before what it makes counts as abandoned.
    private static readonly TimeSpan Making = TimeSpan.FromMinutes(1);

    public Sighting Observe()
    {
        var (seen, members) = (new Dictionary<ContainerId, Observation>(), new Dictionary<ContainerId, IReadOnlySet<int>>());
        try
        {
            var (attendants, booted) = (Attendants(), Processes.Booted());
            foreach (var id in attendants.Select(a => a.Id).Concat(cgroups.List()).Concat(ContainerId.NamedIn(paths.Bundles)).Concat(ContainerId.NamedIn(paths.State)).ToHashSet())
            {
                seen[id] = Observe(id, attendants, booted, out var processes);
                members[id] = processes;
            }
            return new Sighting(seen, null) { Members = members };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new Sighting(seen, e.Message);
        }
    }

    public Observation Observe(ContainerId id)
    {
        try
        {
            return Observe(id, Attendants(), Processes.Booted(), out _);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new Observation.Unknown(e.Message);
        }
    }

    public ImmutableArray<Attendant> Attendants()
    {
        var found = ImmutableArray.CreateBuilder<Attendant>();
        // The shim names its bundle, the runtime its state: that is how another agent's are told from ours.
        foreach (var (process, args) in Processes.Ours(a => (a[0] == runtime.Shim || a[0] == runtime.Program) && a.Contains(paths.State)))
        {
            var isShim = args[0] == runtime.Shim;
            var named = isShim ? After(args, "-c") : args[^1];
            if (!ContainerId.TryParse(named, out var id))
                continue;
            found.Add(new Attendant(id, process, isShim, isShim ? ContainerLabel.Parse(After(args, "-n")) : null));
        }
        return found.ToImmutable();
    }

    private Observation Observe(ContainerId id, ImmutableArray<Attendant> all, DateTimeOffset booted, out IReadOnlySet<int> members)
    {
        members = ImmutableHashSet<int>.Empty;
        try
        {
            var attendants = all.Where(a => a.Id == id).ToImmutableArray();
            var bundle = paths.Bundle(id);
            if (attendants.IsEmpty && !cgroups.Exists(id) && !Directory.Exists(bundle) && !Directory.Exists(paths.StateOf(id)))
                return new Observation.Absent();

            // The kernel knows it of what runs, and the shim's arguments: read is what was written only where neither is there.
            var written = new Lazy<(ContainerLabel? Label, UidRange? Uids)>(() => Written(Path.Combine(paths.StateOf(id), OciConfig.FileName)) ?? Written(Path.Combine(bundle, OciConfig.FileName)) ?? (null, null));
            var label = attendants.FirstOrDefault(a => a.Label is not null)?.Label ?? written.Value.Label;
            var processes = members = cgroups.Processes(id);
            var init = processes.Where(Processes.IsInit).Select(Processes.Identify).FirstOrDefault(p => p is not null);
            if (init is { } process)
            {
                var alive = Alive(id, process, Processes.Started(process, booted));
                // The first process is there before its mounts are; it is made when the runtime outside has gone.
                return alive is Phase.Created && attendants.Any(a => !a.IsShim && !processes.Contains(a.Process.Pid) && IsYoung(a))
                    ? new Observation.Unknown("it is being made")
                    : new Observation.Present(label, Processes.UidRangeOf(process.Pid) ?? written.Value.Uids, alive, cgroups.OomKills(id)) { Health = HealthFile.Read(bundle) };
            }

            var waiting = File.Exists(Path.Combine(paths.StateOf(id), "exec.fifo"));
            Phase phase = File.Exists(Path.Combine(bundle, "exit")) ? Ended(Path.Combine(bundle, "exit"))
                : waiting || !File.Exists(Path.Combine(bundle, "pid")) ? new Phase.Partial()
                : new Phase.Exited(null, null);
            if (phase is Phase.Exited { Code: null } && attendants.Any(a => a.IsShim))
                return new Observation.Unknown("it has just ended and its shim is about to write how");
            if (phase is Phase.Partial && attendants.Any(IsYoung))
                return new Observation.Unknown("it is being made");
            return new Observation.Present(label, written.Value.Uids, phase, cgroups.OomKills(id)) { Health = HealthFile.Read(bundle) };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return new Observation.Unknown(e.Message);
        }
    }

    private bool IsYoung(Attendant attendant) => time.GetUtcNow() - Processes.Started(attendant.Process) < Making;

    private Phase Alive(ContainerId id, ProcessIdentity init, DateTimeOffset since)
    {
        // The runtime's own file is what the first process executes until it is let go; no workload can have that file.
        var waits = SysStat.Identify($"/proc/{init.Pid}/exe") is { } exe && SysStat.Identify(runtime.Program) is { } program
            && (exe.Major, exe.Minor, exe.Inode) == (program.Major, program.Minor, program.Inode);
        // Made before the process, and gone once that was let go.
        var held = File.Exists(Path.Combine(paths.StateOf(id), "exec.fifo"));
        if (waits || held)
            return new Phase.Created(init, LetGo: !held);
        return cgroups.IsFrozen(id) ? new Phase.Paused(init, since) : new Phase.Running(init, since);
    }

    private static Phase.Exited Ended(string file) => new(
        int.TryParse(File.ReadAllText(file), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var code) ? code : null,
        new DateTimeOffset(File.GetLastWriteTimeUtc(file), TimeSpan.Zero));

    private static (ContainerLabel? Label, UidRange? Uids)? Written(string config)
    {
        if (!File.Exists(config))
            return null;
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(config));
            var label = ContainerLabel.Parse(json.RootElement.GetProperty("annotations").GetProperty(OciConfig.LabelAnnotation).GetString());
            var map = json.RootElement.GetProperty("linux").GetProperty("uidMappings")[0];
            return (label, new UidRange(map.GetProperty("hostID").GetUInt32()));
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or FileNotFoundException)
        {
            // Cut short while it was written, or removed meanwhile: it says nothing.
            return null;
        }
    }

    private static string? After(ImmutableArray<string> args, string option) =>
        args.IndexOf(option) is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : null;
}
