using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Grid.Ledger.Postgres;

/// <summary>
/// The files of one private cluster; held by one process at a time.
/// <code>
/// DIR/lock       held while a process uses the cluster
/// DIR/password   0600, the random password of the role <c>grid</c>
/// DIR/data       PostgreSQL's own directory
/// DIR/socket     0700, the Unix socket; elsewhere when the path would be too long for one
/// </code>
/// </summary>
internal sealed class ClusterDirectory : IDisposable
{
    // sockaddr_un.sun_path has 108 bytes with its terminator.
    private const int MaximumSocketPath = 107;
    private const string SocketName = ".s.PGSQL.5432";

    private readonly FileStream _lock;
    private readonly string _root;

    private ClusterDirectory(FileStream held)
    {
        _lock = held;
        // As the kernel knows it, without links: so it names the directories that processes stand in.
        var root = Path.GetDirectoryName(new FileInfo($"/proc/self/fd/{held.SafeFileHandle.DangerousGetHandle()}").LinkTarget!)!;
        _root = root;
        var socket = Path.Combine(root, "socket");
        // A path of our own under /tmp, the same on every start, private by its mode.
        Socket = Encoding.UTF8.GetByteCount(Path.Combine(socket, SocketName)) <= MaximumSocketPath
            ? socket
            : Path.Combine("/tmp", $"grid-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(root)))[..24]}");
    }

    public ServerUser? User { get; } = ServerUser.Choose();

    public string Data => Path.Combine(_root, "data");

    public string Socket { get; }

    public string Password => File.ReadAllText(PasswordFile);

    /// <exception cref="ClusterException">another process holds it</exception>
    public static ClusterDirectory Open(string path)
    {
        var root = Path.GetFullPath(path);
        Directory.CreateDirectory(root);
        try
        {
            return new ClusterDirectory(new FileStream(Path.Combine(root, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
        }
        catch (IOException e)
        {
            throw new ClusterException($"Another process uses the cluster in '{root}'; end it first, or choose another directory.", e);
        }
    }

    /// <summary>Ends what an earlier run left behind, makes the cluster if there is none, and prepares the socket's directory.</summary>
    public async Task PrepareAsync(PostgresBinaries binaries, CancellationToken stop)
    {
        await EndOrphansAsync(stop);
        if (!File.Exists(Path.Combine(Data, "PG_VERSION")))
            await InitializeAsync(binaries, stop);
        MakePrivate(Socket);
    }

    /// <summary>
    /// Ends every process of this cluster that an earlier run left. The server and its workers all stand in the data directory, which nobody
    /// else does; the lock file says nothing certain, for its process number may belong to somebody else by now.
    /// </summary>
    public async Task EndOrphansAsync(CancellationToken stop)
    {
        var watch = Stopwatch.StartNew();
        var signalled = new HashSet<(int, int)>();
        while (Inhabitants() is { Count: > 0 } left)
        {
            // Fast shutdown first; workers whose server is dead end by themselves, and are told to when they are slow.
            var signal = watch.Elapsed.TotalSeconds switch { < 10 => Signal.Interrupt, < 20 => Signal.Quit, _ => Signal.Kill };
            foreach (var process in left.Where(p => signal != Signal.Interrupt || p == Server()))
            {
                if (signalled.Add((process, signal)))
                    _ = Signal.Send(process, signal);
            }
            if (watch.Elapsed.TotalSeconds > 30)
                throw new ClusterException($"Process {left[0]} still uses '{Data}' and cannot be ended.");
            await Task.Delay(10, stop);
        }
        // A killed server nobody has waited for yet is a process number that still answers, and PostgreSQL would believe its lock files.
        foreach (var left in (ReadOnlySpan<string>)[Path.Combine(Data, "postmaster.pid"), Path.Combine(Socket, SocketName + ".lock")])
        {
            if (Directory.Exists(Path.GetDirectoryName(left)))
                File.Delete(left);
        }
    }

    /// <summary>True when the server with this process number says that it takes connections.</summary>
    public bool IsReady(int process)
    {
        // PostgreSQL's miscadmin.h: line 1 is the process number, line 8 the state, padded with spaces.
        var lines = PidFile();
        return lines.Length >= 8 && lines[0] == process.ToString(CultureInfo.InvariantCulture) && lines[7].TrimEnd() == "ready";
    }

    public void Dispose()
    {
        // Empty when the server has ended; a socket elsewhere than in our own directory is not left there.
        if (Path.GetDirectoryName(Socket) != _root && Directory.Exists(Socket) && !Directory.EnumerateFileSystemEntries(Socket).Any())
            Directory.Delete(Socket);
        _lock.Dispose();
    }

    private string PasswordFile => Path.Combine(_root, "password");

    private int? Server() => PidFile() is [var first, ..] && int.TryParse(first, CultureInfo.InvariantCulture, out var process) ? process : null;

    private string[] PidFile()
    {
        try
        {
            return File.ReadAllLines(Path.Combine(Data, "postmaster.pid"));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return [];
        }
    }

    private List<int> Inhabitants()
    {
        var found = new List<int>();
        foreach (var entry in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(entry), CultureInfo.InvariantCulture, out var process))
                continue;
            try
            {
                if (new FileInfo(Path.Combine(entry, "cwd")).LinkTarget == Data)
                    found.Add(process);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It ended meanwhile, or belongs to somebody else: then it is not of this cluster.
            }
        }
        return found;
    }

    private async Task InitializeAsync(PostgresBinaries binaries, CancellationToken stop)
    {
        // Made beside and moved into place, so that a cluster is there whole or not at all.
        var making = Path.Combine(_root, "data.making");
        if (Directory.Exists(making))
            Directory.Delete(making, recursive: true);
        if (Directory.Exists(Data))
            throw new ClusterException($"'{Data}' exists but is no PostgreSQL cluster; it is left untouched.");
        var password = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
        WritePrivate(PasswordFile, password);
        MakePrivate(making);
        var handed = Path.Combine(_root, "password.making");
        WritePrivate(handed, password);
        User?.Own(handed);
        try
        {
            var (code, output) = await RunAsync(Launch.As(User, stopWithUs: false, _root, binaries.InitDb,
                "-D", making, "-U", EmbeddedPostgres.Role, $"--pwfile={handed}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums"), stop);
            if (code != 0)
                throw new ClusterException($"initdb failed{(User is null ? "" : $" as {User.Name}, who must be able to enter '{_root}'")}: {output.Trim()}");
        }
        finally
        {
            File.Delete(handed);
        }
        Directory.Move(making, Data);
    }

    private static async Task<(int Code, string Output)> RunAsync(ProcessStartInfo start, CancellationToken stop)
    {
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync(stop);
        await process.StandardOutput.ReadToEndAsync(stop);
        await process.WaitForExitAsync(stop);
        return (process.ExitCode, await error);
    }

    private void MakePrivate(string path)
    {
        const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        if (new DirectoryInfo(path).LinkTarget is { } target)
            throw new ClusterException($"'{path}' is a link to '{target}', which may be somebody else's.");
        Directory.CreateDirectory(path, OwnerOnly);
        User?.Own(path);
        File.SetUnixFileMode(path, OwnerOnly);
    }

    private static void WritePrivate(string path, string text)
    {
        File.Delete(path);
        using var file = new FileStream(path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        file.Write(Encoding.UTF8.GetBytes(text));
        file.Flush(flushToDisk: true);
    }
}
