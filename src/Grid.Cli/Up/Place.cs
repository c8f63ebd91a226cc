using System.Diagnostics;
using System.Globalization;

namespace Grid.Cli.Up;

/// <summary>
/// Where one private grid lives, held by one process at a time, and how what a killed one left is found and ended.
/// <code>
/// /run/NAME/up.lock   held while it lives; holds the name of DIR. Only root makes files in /run, so it is believed
/// /run/NAME/NODE      a node's mounts and bundles
/// DIR/stand           where every program of it stands
/// DIR/nodes/NODE      a node's data
/// DIR                 all else: keys, ledger, hub
/// cgroup NAME-NODE    a node's containers
/// </code>
/// </summary>
internal sealed class Place : IAsyncDisposable
{
    private const string Runs = "/run";
    private const string Prefix = "grid-up-";
    private const string LockName = "up.lock";

    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(20);

    private readonly FileStream _lock;

    private Place(FileStream held, string run, string directory) => (_lock, Run, Directory) = (held, run, directory);

    public string Directory { get; }

    private string Run { get; }

    private string Nodes => Path.Combine(Directory, "nodes");

    public string Stand => Path.Combine(Directory, "stand");

    /// <summary>Where anything is mounted below a directory.</summary>
    public static IEnumerable<string> Mounts(string below) =>
        File.ReadLines("/proc/self/mounts").Select(m => m.Split(' ')[1]).Where(m => m.StartsWith(below + "/", StringComparison.Ordinal));

    public NodePlace Node(string name) => new(Path.Combine(Nodes, name), Path.Combine(Run, name), $"{Path.GetFileName(Run)}-{name}");

    /// <summary>Ends and removes what every killed <c>grid up</c> of this machine left, then takes a place.</summary>
    /// <param name="directory">a directory that is not there yet, is empty, or was left by a killed one; null for one of its own</param>
    /// <exception cref="UpFault">somebody uses it, or what was left cannot be ended</exception>
    public static async Task<Place> TakeAsync(string? directory, Action<string> say)
    {
        foreach (var run in System.IO.Directory.EnumerateDirectories(Runs, Prefix + "*"))
        {
            if (Left(run) is not { } left)
                continue;
            say($"A grid in {left.Directory} was killed; ending what it left …");
            await left.DisposeAsync();
        }
        var name = directory is null ? $"{Prefix}{Environment.ProcessId}" : Prefix + NameOf(Path.GetFullPath(directory));
        return Take(Path.Combine(Runs, name), Path.GetFullPath(directory ?? Path.Combine(Path.GetTempPath(), name)));
    }

    /// <summary>Ends all that lives here and removes it. May be repeated, and cut short.</summary>
    /// <exception cref="UpFault">something does not end</exception>
    public async ValueTask DisposeAsync()
    {
        await EndProgramsAsync();
        foreach (var node in System.IO.Directory.Exists(Nodes) ? System.IO.Directory.EnumerateDirectories(Nodes) : [])
            await ClearNodeAsync(Node(Path.GetFileName(node)));
        Remove(Directory);
        Remove(Run);
        await _lock.DisposeAsync();
    }

    private static Place Take(string run, string directory)
    {
        if (System.IO.Directory.Exists(directory) && System.IO.Directory.EnumerateFileSystemEntries(directory).Any())
            throw new UpFault($"{directory} is not empty, and no killed grid left it.", "Name another with --directory.");
        System.IO.Directory.CreateDirectory(run);
        var path = Path.Combine(run, LockName);
        var aside = $"{path}.{Environment.ProcessId}";
        var held = new FileStream(aside, FileMode.Create, FileAccess.ReadWrite, FileShare.None);
        held.Write(System.Text.Encoding.UTF8.GetBytes(directory));
        held.Flush(flushToDisk: true);
        try
        {
            // Whoever sees the lock sees it held and whole.
            File.Move(aside, path, overwrite: false);
        }
        catch (IOException)
        {
            held.Dispose();
            File.Delete(aside);
            throw new UpFault($"Another 'grid up' uses {directory}.", "End that one with ctrl-C, or name another with --directory.");
        }
        // PostgreSQL runs as a user of its own and has to pass through; what must not be read lies in private directories below.
        System.IO.Directory.CreateDirectory(directory);
        File.SetUnixFileMode(directory, (UnixFileMode)0b111_001_001);
        System.IO.Directory.CreateDirectory(Path.Combine(directory, "stand"));
        return new Place(held, run, directory);
    }

    private static Place? Left(string run)
    {
        FileStream? held = null;
        try
        {
            held = new FileStream(Path.Combine(run, LockName), FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            var directory = new StreamReader(held).ReadToEnd();
            // It may have been removed by another's sweep while we opened it.
            return File.Exists(Path.Combine(run, LockName)) ? new Place(held, run, directory) : null;
        }
        catch (IOException)
        {
            // Held: it lives. Or not there: nothing of ours.
            held?.Dispose();
            return null;
        }
    }

    // The kernel told them to end when grid up did; this is for those that were only being started, and for those that do not listen.
    private async Task EndProgramsAsync()
    {
        var signalled = new HashSet<(int, bool)>();
        for (var watch = Stopwatch.StartNew(); Inhabitants() is { Count: > 0 } left; await Task.Delay(LookAgain))
        {
            var kill = watch.Elapsed > Grace;
            foreach (var process in left.Where(p => kill || p.Stands).Where(p => signalled.Add((p.Pid, kill))))
                NativeKill.Send(process.Pid, kill ? NativeKill.SIGKILL : NativeKill.SIGTERM);
            if (watch.Elapsed > Grace * 2)
                throw new UpFault($"Process {left[0].Pid} still uses {Directory} and does not end.", $"See what it is with 'ps {left[0].Pid}', end it, and run the same command again.");
        }
    }

    // PostgreSQL and the unpacking of packages stand elsewhere, and are ended by who started them, or by the kernel. A shell that somebody opened
    // in the directory to look around is nobody's child.
    private List<(int Pid, bool Stands)> Inhabitants()
    {
        var found = new List<(int, bool)>();
        foreach (var entry in System.IO.Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(entry), NumberStyles.None, CultureInfo.InvariantCulture, out var pid) || pid == Environment.ProcessId)
                continue;
            try
            {
                if (new FileInfo(Path.Combine(entry, "cwd")).LinkTarget is { } at && (at == Stand || Below("ledger", at) || Below("roots", at)))
                    found.Add((pid, at == Stand));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It ended meanwhile.
            }
        }
        return found;
    }

    private bool Below(string name, string path) => (path + "/").StartsWith($"{Directory}/{name}/", StringComparison.Ordinal);

    // Containers and mounts outlive their node's agent by design; the node's own program knows how they are removed.
    private static async Task ClearNodeAsync(NodePlace node)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "grid-node"), ["clear", "--data", node.Data, "--run", node.Run, "--cgroup", node.Cgroup])
        {
            RedirectStandardError = true,
            WorkingDirectory = "/",
        };
        using var clear = Process.Start(start)!;
        var said = await clear.StandardError.ReadToEndAsync();
        await clear.WaitForExitAsync();
        if (clear.ExitCode != 0)
            throw new UpFault($"What the node in {node.Data} ran could not be removed: {said.Trim()}", "Run the same command again: it begins by removing what is left.");
    }

    // The lock goes last: a removal that is cut short is found and finished by the next.
    private static void Remove(string directory)
    {
        if (!System.IO.Directory.Exists(directory))
            return;
        foreach (var entry in new DirectoryInfo(directory).EnumerateFileSystemInfos().Where(e => e.Name != LockName))
        {
            if (entry is DirectoryInfo { LinkTarget: null } below)
                below.Delete(recursive: true);
            else
                entry.Delete();
        }
        System.IO.Directory.Delete(directory, recursive: true);
    }

    private static string NameOf(string directory) =>
        Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(directory)))[..16];
}

/// <summary>Where one node of a private grid lives.</summary>
internal sealed record NodePlace(string Data, string Run, string Cgroup)
{
    private static readonly EnumerationOptions Hierarchies = new() { RecurseSubdirectories = true, MaxRecursionDepth = 1 };

    /// <summary>True while anything is mounted or in a control group for a workload.</summary>
    public bool Holds() =>
        Place.Mounts(Run).Any()
        || Directory.EnumerateDirectories("/sys/fs/cgroup", Cgroup, Hierarchies).Any(g => Directory.EnumerateDirectories(g).Any());
}
