using System.Collections.Immutable;
using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Grid.Flists.Mount;
using Grid.Node.Agent;
using Grid.Node.Containers;
using Grid.Node.Secrets;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Containers;

/// <summary>This machine with real containers on it: a root file system of compiled probes, own directories and an own cgroup parent.</summary>
public sealed partial class Machine : IDisposable
{
    public static readonly UidRange Uids = new(UidRange.Base + 1000 * UidRange.Count);
    public static readonly DateTimeOffset Epoch = DateTimeOffset.UnixEpoch;

    private readonly string _root = Directory.CreateTempSubdirectory("grid-node-").FullName;
    private readonly string? _missing;
    private readonly ContainerHost? _host;
    private int _seed;

    public Machine()
    {
        Paths = new ContainerPaths(Path.Combine(_root, "run"), Path.Combine(_root, "logs"), $"grid-test-{Environment.ProcessId}");
        Tree = Path.Combine(_root, "tree");
        Rootfs = Path.Combine(Paths.Run, "roots", "first");
        _host = ContainerHost.Open(Paths, TimeProvider.System, out var why);
        _missing = _host is null ? why : File.Exists("/usr/bin/gcc") ? null : "gcc is not installed";
        if (_missing is null)
            Build();
    }

    public ContainerPaths Paths { get; }

    /// <summary>The files as an flist has them: root's.</summary>
    public string Tree { get; }

    /// <summary>The same as the containers of <see cref="Uids"/> see them.</summary>
    public string Rootfs { get; }

    /// <summary>An agent's view of it: containers, and nothing else.</summary>
    internal NodeHosts Hosts
    {
        get
        {
            var paths = new NodePaths(Paths.Run, Paths.Run, Paths.CgroupParent);
            return new NodeHosts(Host, new NodeSecrets(null, new SecretPlaces(paths.Secrets), inMemory: false), paths, []);
        }
    }

    public ContainerHost Host
    {
        get
        {
            Assert.SkipWhen(_missing is not null, _missing ?? "");
            return _host!;
        }
    }

    /// <summary>A container of the probe with these arguments, of an id nobody else has.</summary>
    public ContainerSpec Spec(params string[] args) => Spec(Interlocked.Increment(ref _seed), Rootfs, args);

    public static ContainerSpec Spec(int seed, string rootfs, params string[] args)
    {
        var agreement = new AgreementId(Digest.Of(Encoding.UTF8.GetBytes($"agreement {seed}")));
        var label = new ContainerLabel(Digest.Of("version"u8), 1, Digest.Of(Encoding.UTF8.GetBytes(string.Join('\0', args))), 0);
        return new ContainerSpec(
            new ContainerId(agreement, "web"), label, rootfs, "/bin/probe", [.. args], [new("GREETING", "hello")], "/", new ContainerUser(0, 0),
            new MilliCores(2000), Bytes.MiB(128), 64, [new Scratch("/scratch", Bytes.MiB(32))], [], Uids, Bytes.MiB(1));
    }

    /// <summary>Starts it, waits for its end, reads its log and removes it.</summary>
    public async Task<Run> RunAsync(ContainerSpec spec)
    {
        try
        {
            Assert.Equal(new Outcome.Done(), await Host.StartAsync(spec));
            var end = await UntilAsync(spec.Id, p => p.Phase is Phase.Exited);
            var lines = await LinesAsync(spec.Id);
            return new Run(((Phase.Exited)end.Phase).Code, [.. lines.Where(l => l.Stream is LogStream.Out).Select(l => l.Text)],
                [.. lines.Where(l => l.Stream is LogStream.Error).Select(l => l.Text)], end, Host.Usage(spec.Id)!);
        }
        finally
        {
            Assert.Equal(new Outcome.Done(), await Host.RemoveAsync(spec.Id, keepLog: false));
        }
    }

    public async Task<Observation.Present> UntilAsync(ContainerId id, Predicate<Observation.Present> reached)
    {
        var clock = Stopwatch.StartNew();
        Observation seen;
        while (!((seen = Host.Observe(id)) is Observation.Present p && reached(p)))
        {
            if (clock.Elapsed > TimeSpan.FromSeconds(20))
                Assert.Fail($"Still {seen}");
            await Task.Yield();
        }
        return (Observation.Present)seen;
    }

    public async Task<List<LogLine>> LinesAsync(ContainerId id, int? tail = null, DateTimeOffset? since = null, bool follow = false) =>
        await Host.Log(id, TimeProvider.System).ReadAsync(tail, since, follow, TestContext.Current.CancellationToken).ToListAsync();

    /// <summary>Waits until it has written this line.</summary>
    public async Task SaysAsync(ContainerId id, string text)
    {
        await foreach (var line in Host.Log(id, TimeProvider.System).ReadAsync(null, null, true, TestContext.Current.CancellationToken))
        {
            if (line.Text == text)
                return;
        }
        Assert.Fail($"It ended without saying '{text}'.");
    }

    /// <summary>What there is on the machine that containers of this fixture could have left.</summary>
    public Remains Look()
    {
        var cgroups = Directory.EnumerateDirectories("/sys/fs/cgroup").Prepend("/sys/fs/cgroup")
            .Select(h => Path.Combine(h, Paths.CgroupParent)).Where(Directory.Exists).SelectMany(Directory.EnumerateDirectories).Count();
        // Tests of volumes mount at the same time.
        var mounts = File.ReadLines("/proc/self/mountinfo").Count(l => !l.Contains(Volumes.VolumeLab.Prefix, StringComparison.Ordinal));
        var processes = Processes.All().Count(p => p.Args.Any(a => a.Contains(_root, StringComparison.Ordinal) && a != Rootfs) && p.Pid != Environment.ProcessId);
        var namespaces = Directory.EnumerateDirectories("/proc").Where(d => char.IsAsciiDigit(Path.GetFileName(d)[0]))
            .Select(d => Link(d + "/ns/net")).OfType<string>().Distinct().Count();
        var files = new[] { Paths.Bundles, Paths.State }.Where(Directory.Exists).SelectMany(Directory.EnumerateDirectories).Count();
        return new Remains(cgroups, mounts, processes, namespaces, files);
    }

    /// <summary>Takes away what a test left, failed ones included.</summary>
    public void Clear()
    {
        foreach (var id in _host?.Observe().Containers.Keys ?? [])
            _host!.RemoveAsync(id, keepLog: false).GetAwaiter().GetResult();
        if (Directory.Exists(Paths.Logs))
            Directory.Delete(Paths.Logs, recursive: true);
        foreach (var mount in MountLine.Read("self").Where(m => m.Point.StartsWith(_root, StringComparison.Ordinal) && m.Point != Rootfs))
            Grid.Node.Containers.Interop.Posix.Detach(mount.Point);
    }

    public void Dispose()
    {
        Clear();
        foreach (var hierarchy in Directory.EnumerateDirectories("/sys/fs/cgroup").Prepend("/sys/fs/cgroup"))
        {
            if (Directory.Exists(Path.Combine(hierarchy, Paths.CgroupParent)))
                Grid.Node.Containers.Interop.Posix.RemoveDirectory(Path.Combine(hierarchy, Paths.CgroupParent));
        }
        if (Directory.Exists(Rootfs))
            Grid.Node.Containers.Interop.Posix.Detach(Rootfs);
        Directory.Delete(_root, recursive: true);
    }

    /// <summary>A view of the tree for another range of ids.</summary>
    public string View(string name, UidRange uids)
    {
        var view = Path.Combine(Paths.Run, "roots", name);
        Directory.CreateDirectory(view);
        IdmappedBind.Create(Tree, view, uids.Ids);
        return view;
    }

    /// <summary>A directory that every container may write, mounted as volumes are.</summary>
    public string Volume(bool executable = false)
    {
        var directory = Path.Combine(_root, "volume");
        Directory.CreateDirectory(directory);
        File.SetUnixFileMode(directory, (UnixFileMode)0b111_111_111);
        Bind(directory, NoSuid | NoDev | (executable ? 0 : NoExec));
        return directory;
    }

    private static void Bind(string directory, ulong flags)
    {
        const ulong Bind = 0x1000, Remount = 0x20;
        if (mount(directory, directory, null, Bind, null) != 0 || mount(null, directory, null, Bind | Remount | flags, null) != 0)
            throw new Win32Exception(Marshal.GetLastPInvokeError());
    }

    private const ulong NoSuid = 0x2, NoDev = 0x4, NoExec = 0x8;

    private void Build([CallerFilePath] string here = "")
    {
        // The container's root walks down to its root file system as nobody in particular.
        File.SetUnixFileMode(_root, (UnixFileMode)0b111_001_001);
        Directory.CreateDirectory(Paths.Run, (UnixFileMode)0b111_001_001);
        foreach (var directory in (ReadOnlySpan<string>)["bin", "lib64", $"lib/{Triple}", "proc", "dev", "sys", "scratch", "data", "empty"])
            Directory.CreateDirectory(Path.Combine(Tree, directory));
        var source = Path.Combine(Path.GetDirectoryName(here)!, "probe.c");
        string In(string name) => Path.Combine(Tree, name);
        Compile("-O1", "-w", "-static", "-pthread", "-o", In("bin/probe"), source);
        Compile("-O1", "-w", "-pthread", "-o", In("bin/dynamic"), source);
        Compile("-O1", "-w", "-shared", "-fPIC", "-DPAYLOAD", "-o", In("bin/payload.so"), source);
        File.Copy(In("bin/probe"), In("bin/setuid"));
        var loader = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 ? "/lib/ld-linux-aarch64.so.1" : "/lib64/ld-linux-x86-64.so.2";
        File.Copy(loader, In("lib64/" + Path.GetFileName(loader)));
        File.Copy($"/lib/{Triple}/libc.so.6", In($"lib/{Triple}/libc.so.6"));
        File.SetUnixFileMode(In("bin/setuid"), (UnixFileMode)0b100_111_101_101);
        View("first", Uids);
    }

    private static string Triple => RuntimeInformation.ProcessArchitecture is Architecture.Arm64 ? "aarch64-linux-gnu" : "x86_64-linux-gnu";

    private static void Compile(params string[] args)
    {
        using var gcc = Process.Start(new ProcessStartInfo("/usr/bin/gcc", args) { RedirectStandardError = true })!;
        var errors = gcc.StandardError.ReadToEnd();
        gcc.WaitForExit();
        Assert.True(gcc.ExitCode == 0, errors);
    }

    private static string? Link(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (IOException)
        {
            return null;
        }
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mount(string? source, string target, string? type, ulong flags, string? data);
}

public sealed record Run(int? Code, ImmutableArray<string> Out, ImmutableArray<string> Errors, Observation.Present End, Usage Usage)
{
    public string Text => string.Join('\n', Out);
}

public sealed record Remains(int Cgroups, int Mounts, int Processes, int NetworkNamespaces, int Files);

// Alone: what is left is counted over the whole machine, and others make namespaces and mounts as well.
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class OnThisMachine : ICollectionFixture<Machine>
{
    public const string Name = "containers on this machine";
}
