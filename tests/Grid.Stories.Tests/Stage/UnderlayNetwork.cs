using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Grid.Node.Networks;
using Microsoft.Win32.SafeHandles;

namespace Grid.Stories.Tests.Stage;

/// <summary>
/// The wire between nodes: a network namespace for each, with an address of its own on one switch that is a namespace too. Nothing of it touches the
/// machine's own network; the ledger and the hub, which live there, are reached by descriptors handed across.
/// <code>
/// node 1: eth0 10.99.0.1/24 ─┐
/// node 2: eth0 10.99.0.2/24 ─┼─ br0 (the switch)
/// node 3: eth0 10.99.0.3/24 ─┘
/// </code>
/// </summary>
public sealed partial class UnderlayNetwork : IDisposable
{
    private const string Ip = "/usr/sbin/ip";

    private static readonly string[] Families = ["-4", "-6"];

    private static int s_count;

    private readonly string _prefix = $"gs{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}";
    private readonly List<Socket> _listeners = [];
    private readonly ConcurrentDictionary<Socket, string> _carried = new();
    private readonly ConcurrentDictionary<string, bool> _cut = new();
    private int _nodes;

    public UnderlayNetwork()
    {
        if (!File.Exists(Ip))
            Assert.Skip("Networks need iproute2; run tools/setup.");
        Run("netns", "add", Switch);
        Run("-n", Switch, "link", "add", "br0", "type", "bridge");
        Run("-n", Switch, "link", "set", "br0", "up");
    }

    /// <summary>Skips the story, visibly, where a node finds nothing to make tunnels of: by the very probe that it takes.</summary>
    public static void NeedsTunnels()
    {
        using var keys = new TunnelKeys(new byte[TunnelKeys.SecretSize]);
        using var probe = TunnelHost.Open("probe", keys, Environment.ProcessId, TimeProvider.System, out var why);
        Assert.SkipWhen(probe is null, $"Networks need WireGuard: {why}; run tools/setup.");
    }

    private string Switch => $"{_prefix}-0";

    /// <summary>One more node's namespace.</summary>
    public (string Path, IPAddress Address) Add()
    {
        var (name, number) = ($"{_prefix}-{++_nodes}", _nodes);
        Run("netns", "add", name);
        Run("-n", Switch, "link", "add", $"p{number}", "type", "veth", "peer", "name", "eth0", "netns", name);
        Run("-n", Switch, "link", "set", $"p{number}", "master", "br0", "up");
        Run("-n", name, "addr", "add", $"10.99.0.{number}/24", "dev", "eth0");
        Run("-n", name, "link", "set", "eth0", "up");
        Run("-n", name, "link", "set", "lo", "up");
        return ($"/run/netns/{name}", new IPAddress([10, 99, 0, (byte)number]));
    }

    /// <summary>What leads packets in a namespace, of both families: rules, routes, and whom it answers for; without the kernel's own three rules, and the routes that it makes of addresses.</summary>
    public static IReadOnlyList<string> Rules(string space) =>
    [
        .. Ask("/usr/sbin/nft", space, "list", "ruleset"),
        .. Families.SelectMany(f => Ask(Ip, space, f, "rule")).Where(r => !r.EndsWith("lookup local") && !r.EndsWith("lookup main") && !r.EndsWith("lookup default")),
        .. Families.SelectMany(f => Ask(Ip, space, f, "route", "show", "table", "all")).Where(r => !r.Contains(" proto kernel ", StringComparison.Ordinal)),
        .. Families.SelectMany(f => Ask(Ip, space, f, "neigh", "show", "proxy")),
    ];

    /// <summary>As after a power cut: no rules. Links to containers went with the containers.</summary>
    public static void Forget(string space) => Ask("/usr/sbin/nft", space, "flush", "ruleset");

    /// <summary>One more address for one that is on the wire.</summary>
    public static void Give(string space, IPAddress address, int prefix) =>
        Set(space, ["addr", "add", $"{address}/{prefix}", "dev", "eth0", .. address.AddressFamily is AddressFamily.InterNetworkV6 ? (string[])["nodad"] : []]);

    /// <summary>ip(8) in a namespace.</summary>
    public static void Set(string space, params string[] arguments) => Run(["-n", Path.GetFileName(space), .. arguments]);

    /// <summary>Makes a loopback port of this process' namespace a loopback port of that one.</summary>
    public void Share(string space, int port)
    {
        var listener = Inside(space, () => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
        listener.Bind(new IPEndPoint(IPAddress.Loopback, port));
        listener.Listen(64);
        _listeners.Add(listener);
        _ = AcceptAsync(listener, space, port);
    }

    /// <summary>What is shared into a namespace answers there no more, and what is connected is cut, until it is healed. The wire itself stays.</summary>
    public void Cut(string space)
    {
        _cut[space] = true;
        foreach (var (socket, _) in _carried.Where(c => c.Value == space))
            socket.Dispose();
    }

    public void Heal(string space) => _cut.TryRemove(space, out _);

    /// <summary>Calls from a thread that is in the namespace. What it starts, and the sockets it makes, stay there; the thread ends.</summary>
    public static T Inside<T>(string space, Func<T> call)
    {
        // Made once outside, so that whatever the framework starts for its first socket is not born in there.
        using (new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
        {
        }
        var (result, failure) = (default(T), default(Exception));
        using var file = File.OpenHandle(space);
        var thread = new Thread(() =>
        {
            try
            {
                if (setns(file, 0) != 0)
                    throw new Win32Exception();
                result = call();
            }
            catch (Exception e) when (e is Win32Exception or SocketException)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        return failure is null ? result! : throw new IOException($"Nothing could be done in {space}: {failure.Message}", failure);
    }

    public void Dispose()
    {
        foreach (var listener in _listeners)
            listener.Dispose();
        for (var number = _nodes; number >= 0; number--)
            Run("netns", "del", $"{_prefix}-{number}");
    }

    private async Task AcceptAsync(Socket listener, string space, int port)
    {
        try
        {
            while (true)
            {
                var near = await listener.AcceptAsync();
                if (_cut.ContainsKey(space))
                    near.Dispose();
                else
                    _ = CarryAsync(near, space, port);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The wire is taken down.
        }
    }

    private async Task CarryAsync(Socket near, string space, int port)
    {
        _carried[near] = space;
        using var far = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        using (near)
        {
            try
            {
                await far.ConnectAsync(IPAddress.Loopback, port);
                await using var left = new NetworkStream(near);
                await using var right = new NetworkStream(far);
                await Task.WhenAny(left.CopyToAsync(right), right.CopyToAsync(left));
            }
            catch (Exception e) when (e is SocketException or IOException or ObjectDisposedException)
            {
                // Either side hung up, or it was cut.
            }
            finally
            {
                _carried.TryRemove(near, out _);
            }
        }
    }

    private static void Run(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(Ip, arguments) { RedirectStandardError = true })!;
        var said = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"ip {string.Join(' ', arguments)}: {said}");
    }

    private static string[] Ask(string program, string space, params string[] arguments) => Inside(space, () =>
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        return process.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
    });

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setns(SafeFileHandle fd, int type);
}
