using System.ComponentModel;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Networks;

/// <summary>
/// A network namespace, held open, and the programs that work in it. They enter it themselves, by nsenter(1): a thread of this process that did
/// could give birth to threads of the runtime in there.
/// </summary>
internal sealed class NetworkNamespace : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly SafeFileHandle _space;

    private NetworkNamespace(SafeFileHandle space) => _space = space;

    /// <summary>A name for it that other processes of this machine can open while this one has it open.</summary>
    public string Path => $"/proc/{Environment.ProcessId}/fd/{Posix.Number(_space)}";

    /// <exception cref="Win32Exception">there is none</exception>
    public static NetworkNamespace Open(string path) => new(Posix.OpenPath(path));

    /// <returns>null when the process has ended</returns>
    public static NetworkNamespace? Of(ProcessIdentity process) => NamespaceDialer.TryOpen(process) is { } space ? new NetworkNamespace(space) : null;

    /// <summary>Several commands of ip(8) in one go; it stops at the first that fails.</summary>
    /// <exception cref="IOException">one failed</exception>
    public void Ip(params IEnumerable<string> commands) => Run(Programs.Ip, ["-batch", "/proc/self/fd/3"], string.Join('\n', commands) + "\n");

    /// <summary>Several commands of nft(8), in one transaction.</summary>
    /// <exception cref="IOException">one failed, and none is done</exception>
    public void Nft(string commands) => Run(Programs.Nft, ["-f", "/proc/self/fd/3"], commands);

    /// <summary>What sets of a table hold, as nft(8) lists them; nothing when there is no such table, or no set of it holds anything.</summary>
    /// <param name="set">null: all of the table's</param>
    /// <exception cref="IOException">it could not be asked</exception>
    public IReadOnlyList<(string Name, JsonElement Elements)> Sets(string table, string? set = null)
    {
        IEnumerable<JsonElement> List(string kind, params string[] what) =>
            from listed in JsonElement.Parse(Run(Programs.Nft, ["-j", "list", .. what])).GetProperty("nftables").EnumerateArray()
            where listed.TryGetProperty(kind, out _)
            select listed.GetProperty(kind);
        // Listing all is asked for, as a table that is not there is an error whose text alone tells it from others.
        if (!List("table", "tables").Any(t => t.GetProperty("name").GetString() == table))
            return [];
        return
        [
            .. from held in set is null ? List("set", "table", "inet", table) : List("set", "set", "inet", table, set)
               where held.TryGetProperty("elem", out _)
               select (held.GetProperty("name").GetString()!, held.GetProperty("elem")),
        ];
    }

    /// <summary>A setting of the namespace, which is that of whoever writes it.</summary>
    /// <param name="setting">below /proc/sys/net</param>
    /// <exception cref="IOException">it is not there, or does not take this</exception>
    public void Set(string setting, string value) => Run("/usr/bin/dd", ["if=/proc/self/fd/3", $"of=/proc/sys/net/{setting}", "status=none"], value + "\n");

    /// <summary>All interfaces, up or not.</summary>
    public HashSet<string> Links() => [.. Run("/usr/bin/cat", ["/proc/self/net/dev"]).Split('\n').Where(l => l.Contains(':')).Select(l => l.Split(':')[0].Trim())];

    /// <summary>Commands of ip(8) after which the links get no address of their own making on the way up: it would answer to more than they were given.</summary>
    public static IEnumerable<string> NoLinkLocal(params IEnumerable<string> links) => HasSix ? links.Select(l => $"link set {l} addrgenmode none") : [];

    /// <summary>This kernel knows IPv6.</summary>
    public static bool HasSix => File.Exists("/proc/self/net/if_inet6");

    /// <param name="input">what it finds as descriptor 3, at most what a pipe holds, 64 KiB</param>
    /// <returns>what it wrote</returns>
    /// <exception cref="IOException">it failed, with what it wrote</exception>
    public string Run(string program, IReadOnlyList<string> args, string input = "") => Run(program, args, Encoding.UTF8.GetBytes(input));

    /// <summary>The same for what the caller wipes.</summary>
    public string Run(string program, IReadOnlyList<string> args, ReadOnlySpan<byte> input)
    {
        using var given = input.IsEmpty ? null : Filled(input);
        return Tool.Run(System.IO.Path.GetFileName(program), Entering(program, args), Patience, given);
    }

    /// <returns>what it wrote, for the caller to wipe</returns>
    /// <exception cref="IOException">it failed; what it wrote is not said</exception>
    public Memory<byte> RunForSecret(string program, IReadOnlyList<string> args) => Tool.RunForSecret(System.IO.Path.GetFileName(program), Entering(program, args), Patience);

    /// <summary>Starts what shall outlive this process, in this namespace, as nobody's child, with nothing to write to.</summary>
    public void Leave(string program, IReadOnlyList<string> args, IEnumerable<string> environment)
    {
        using var nowhere = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite);
        var pid = Launcher.Start(
            new Command(Programs.Nsenter, [$"--net={Path}", Programs.Setsid, "--fork", program, .. args], [.. Programs.Environment, .. environment]), nowhere, null, null);
        if (Posix.Reap(pid) is not 0 and var code)
            throw new IOException($"{System.IO.Path.GetFileName(program)} could not be started: {code}");
    }

    /// <summary>A socket of this namespace, whoever uses it afterwards.</summary>
    /// <exception cref="IOException">it could not be made</exception>
    public Socket Make(AddressFamily family, SocketType type) => NamespaceSocket.Make(_space, family, type);

    public void Dispose() => _space.Dispose();

    private Command Entering(string program, IReadOnlyList<string> args) => new(Programs.Nsenter, [$"--net={Path}", program, .. args], Programs.Environment);

    private static SafeFileHandle Filled(ReadOnlySpan<byte> input)
    {
        var (read, write) = Posix.Pipe();
        using (write)
        using (var stream = new FileStream(write, FileAccess.Write, 0))
            stream.Write(input);
        return read;
    }
}

/// <summary>Called by absolute path; nothing is searched for.</summary>
internal static class Programs
{
    public const string Ip = "/usr/sbin/ip", Nsenter = "/usr/bin/nsenter", Setsid = "/usr/bin/setsid", WireGuardGo = "/usr/bin/wireguard-go", Nft = "/usr/sbin/nft",
        Wg = "/usr/bin/wg", Taskset = "/usr/bin/taskset";

    /// <summary>All that a program is given. wireguard-go executes itself for ever when WG_PROCESS_FOREGROUND is in it.</summary>
    public static readonly System.Collections.Immutable.ImmutableArray<string> Environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"];
}
