using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Networks;
using Grid.Units;

namespace Grid.Node.Tests.Networks;

/// <summary>A network namespace that lives as long as a sleeper in it: a node's, or a container's when it belongs to a user namespace too.</summary>
internal sealed class Space : IDisposable
{
    private readonly Process _sleeper;

    public Space(bool ofContainer)
        : this(ofContainer ? ["--user", "--map-root-user", "--net"] : ["--net"])
    {
    }

    private Space(string[] how)
    {
        _sleeper = Process.Start(new ProcessStartInfo("/usr/bin/unshare", [.. how, "/usr/bin/sleep", "600"]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Wait.For(() => Processes.Read(_sleeper.Id, "comm") == "sleep\n", "a namespace");
        Init = Processes.Identify(_sleeper.Id)!.Value;
    }

    /// <summary>With a range of user ids, as a machine's emulator has.</summary>
    public static Space OfEmulator()
    {
        var made = new Space(["--user", "--net"]);
        File.WriteAllText($"/proc/{made.Init.Pid}/uid_map", $"0 {UidRange.Base} {UidRange.Count}");
        return made;
    }

    public ProcessIdentity Init { get; }

    public string Path => $"/proc/{Init.Pid}/ns/net";

    public bool Lives => Processes.Identify(Init.Pid) == Init;

    public ImmutableArray<string> Interfaces =>
        [.. File.ReadLines($"/proc/{Init.Pid}/net/dev").Skip(2).Select(l => l.Split(':')[0].Trim()).Order(StringComparer.Ordinal)];

    public int IndexOf(string name) => int.Parse(Run("/usr/sbin/ip", "-o", "link", "show", name).Split(':')[0], CultureInfo.InvariantCulture);

    public void Ip(params string[] commands)
    {
        using var inside = NetworkNamespace.Open(Path);
        inside.Ip(commands);
    }

    public string Run(string program, params string[] args)
    {
        using var inside = NetworkNamespace.Open(Path);
        return inside.Run(program, args);
    }

    /// <summary>A socket stays in the namespace it was made in; the thread that entered it ends.</summary>
    public Socket Make(Func<Socket> make) => Inside(() => Patiently(make));

    /// <summary>Has a thread do it that entered the namespace, and ends.</summary>
    public T Inside<T>(Func<T> act)
    {
        var made = new TaskCompletionSource<T>();
        using var space = Posix.OpenPath(Path);
        var thread = new Thread(() =>
        {
            try
            {
                made.SetResult(Sched.setns(Posix.Number(space), Sched.CLONE_NEWNET) == 0 ? act() : throw new IOException("setns"));
            }
            catch (Exception e)
            {
                made.SetException(e);
            }
        });
        thread.Start();
        thread.Join();
        return made.Task.GetAwaiter().GetResult();
    }

    // What was closed a moment ago may be bound still: a process that another test is starting has copies of all that was open, until it is executed.
    private static Socket Patiently(Func<Socket> make)
    {
        for (var clock = Stopwatch.StartNew(); ; Thread.Sleep(5))
        {
            try
            {
                return make();
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.AddressAlreadyInUse && clock.Elapsed < TimeSpan.FromSeconds(15))
            {
                // Tried again.
            }
        }
    }

    public void Dispose()
    {
        if (Lives)
        {
            _sleeper.Kill();
            _sleeper.WaitForExit();
        }
        _sleeper.Dispose();
    }
}

internal static class Wait
{
    public static void For(Func<bool> reached, string what)
    {
        for (var clock = Stopwatch.StartNew(); !reached(); Thread.Sleep(5))
        {
            if (clock.Elapsed > TimeSpan.FromSeconds(15))
                Assert.Fail($"Still no {what}.");
        }
    }
}

/// <summary>A workload's end of a network: a container, and in it a server that answers with its own name and what it was told.</summary>
internal sealed class Member(LabNode node, TunnelId id, IPAddress address, int port) : IDisposable
{
    private Socket? _server;

    public LabNode Node { get; } = node;

    public TunnelId Id { get; } = id;

    public IPAddress Address { get; } = address;

    public int Port { get; } = port;

    public Space Container { get; } = new(ofContainer: true);

    public string Interface => Node.Host.NameOf(Id);

    public TunnelSighting? Seen => Node.Host.Observe(_ => Container.Init).GetValueOrDefault(Id);

    public TunnelSighting.Present Present => Assert.IsType<TunnelSighting.Present>(Seen);

    public Tunnel Wish(IEnumerable<Member> others, Egress egress = Egress.None) => new(
        Id.Of.Network, Address, Address.AddressFamily is AddressFamily.InterNetwork ? 24 : 64, Node.Keys.PublicOf(Id), Port,
        [.. others.Where(o => o != this).Select(o => new TunnelPeer(o.Node.Keys.PublicOf(o.Id), new IPEndPoint(o.Node.Underlay, o.Port), o.Address)).OrderBy(p => p.Key)], egress);

    public async Task ApplyAsync(params IEnumerable<Member> others) => Assert.Equal(new Outcome.Done(), await Node.Host.ApplyAsync(Id, Wish(others), Container.Init));

    public void Serve()
    {
        _server = Container.Make(() =>
        {
            var socket = new Socket(Address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(Address, 80));
            socket.Listen();
            return socket;
        });
        _ = AnswerAsync(_server);
    }

    /// <returns>what the other said, or null when it was not reached in time</returns>
    public async Task<string?> AskAsync(IPAddress address, string text, TimeSpan? patience = null)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        timeout.CancelAfter(patience ?? TimeSpan.FromSeconds(15));
        try
        {
            using var socket = await NamespaceDialer.ConnectAsync(Container.Init, new IPEndPoint(address, 80), timeout.Token);
            return await TellAsync(socket, text, timeout.Token);
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
            return null;
        }
    }

    public static async Task<string> TellAsync(Socket socket, string text, CancellationToken cancel)
    {
        await socket.SendAsync(Encoding.UTF8.GetBytes(text), cancel);
        var buffer = new byte[1024];
        return Encoding.UTF8.GetString(buffer, 0, await socket.ReceiveAsync(buffer, cancel));
    }

    public void Dispose()
    {
        _server?.Dispose();
        Node.Host.RemoveAsync(Id).GetAwaiter().GetResult();
        Container.Dispose();
    }

    private async Task AnswerAsync(Socket server)
    {
        try
        {
            while (true)
                _ = EchoAsync(await server.AcceptAsync());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The server ends with its member.
        }
    }

    private async Task EchoAsync(Socket socket)
    {
        using (socket)
        {
            var buffer = new byte[1024];
            try
            {
                while (await socket.ReceiveAsync(buffer) is > 0 and var count)
                    await socket.SendAsync(Encoding.UTF8.GetBytes($"{Id.Of.Workload}: {Encoding.UTF8.GetString(buffer, 0, count)}"));
            }
            catch (SocketException)
            {
                // The other end was cut off.
            }
        }
    }
}

/// <summary>A node: its own underlay address in a namespace of its own.</summary>
internal sealed class LabNode : IDisposable
{
    // Tests that run at once must not find each other's tunnels.
    private static int _labs;

    public LabNode(string name, byte number, WireGuardEngine engine)
    {
        Scope = $"test {Environment.ProcessId} {Interlocked.Increment(ref _labs)} {name}";
        Underlay = new IPAddress([192, 0, 2, number]);
        Keys = new TunnelKeys(Enumerable.Repeat(number, 32).ToArray());
        Space.Ip("link set lo up");
        Host = Open(engine);
    }

    public string Scope { get; }

    public IPAddress Underlay { get; }

    public TunnelKeys Keys { get; }

    public Space Space { get; } = new(ofContainer: false);

    public TunnelHost Host { get; }

    /// <summary>As another agent of the node does after this one.</summary>
    public TunnelHost Open(WireGuardEngine engine) =>
        TunnelHost.Open(Scope, Keys, Space.Init.Pid, engine, TimeProvider.System, out var why) ?? throw new InvalidOperationException(why);

    public void Dispose()
    {
        Host.Dispose();
        Keys.Dispose();
        Space.Dispose();
    }
}

/// <summary>Whose WireGuard a suite runs on.</summary>
public enum By
{
    Kernel,
    Process,
}

/// <summary>Two nodes, joined by a cable.</summary>
internal sealed class Lab : IDisposable
{
    private static readonly WireGuardEngine Found = WireGuardEngine.Find();

    private readonly List<Member> _members = [];

    public Lab(By by)
    {
        Assert.SkipWhen(by is By.Kernel && !Found.IsKernel, $"It takes a kernel with WireGuard: {Found.Why}; Networks/kernel-wireguard-on-debian has one");
        using (var keys = new TunnelKeys(new byte[32]))
        using (var probe = TunnelHost.Open("probe", keys, Environment.ProcessId, Engine(by), TimeProvider.System, out var why))
            Assert.SkipWhen(probe is null, why);
        (A, B) = (new LabNode("a", 1, Engine(by)), new LabNode("b", 2, Engine(by)));
        A.Space.Ip($"link add under type veth peer name under netns {B.Space.Init.Pid}");
        foreach (var node in (ReadOnlySpan<LabNode>)[A, B])
            node.Space.Ip($"addr add {node.Underlay}/24 dev under", "link set under up");
    }

    public static WireGuardEngine Engine(By by) => by is By.Kernel ? Found : Found with { Why = "the test asks for the other" };

    public LabNode A { get; }

    public LabNode B { get; }

    public Member Join(LabNode node, string workload, string address, string tenant = "one")
    {
        var id = new TunnelId(new AgreementId(Digest.Of(Encoding.UTF8.GetBytes(tenant))), new Membership("net", workload));
        var taken = _members.Where(m => m.Node == node).Select(m => m.Port).ToHashSet();
        var member = new Member(node, id, IPAddress.Parse(address), node.Host.ChoosePort(id, taken));
        _members.Add(member);
        return member;
    }

    /// <summary>As agents do: what does not fit is applied again, until everybody has heard everybody.</summary>
    public static async Task MeetAsync(params Member[] all)
    {
        for (var clock = Stopwatch.StartNew(); all.Length > 1 && !all.All(m => m.Seen is TunnelSighting.Present p && p.State.Peers.All(s => s.LastHandshake is not null)); await Task.Delay(50))
        {
            if (clock.Elapsed > TimeSpan.FromSeconds(15))
                Assert.Fail($"Still not met: {string.Join('\n', all.Select(m => m.Seen))}");
            await Task.WhenAll(all.Where(m => m.Seen is not TunnelSighting.Present p || !p.Fits(m.Wish(all), DateTimeOffset.UtcNow)).Select(m => m.ApplyAsync(all)));
        }
    }

    public void Dispose()
    {
        foreach (var member in _members)
            member.Dispose();
        A.Dispose();
        B.Dispose();
    }
}

/// <summary>An interface, for packet(7): sockaddr_ll.</summary>
/// <param name="mac">whom a frame goes to, where there are such; null: nobody in particular</param>
internal sealed class LinkEndPoint(int index, int protocol, byte[]? mac = null) : EndPoint
{
    public override AddressFamily AddressFamily => AddressFamily.Packet;

    public override SocketAddress Serialize()
    {
        var address = new SocketAddress(AddressFamily.Packet, 20);
        (address[2], address[3]) = ((byte)(protocol >> 8), (byte)protocol);
        for (var i = 0; i < 4; i++)
            address[4 + i] = (byte)(index >> (8 * i));
        address[11] = (byte)(mac?.Length ?? 0);
        for (var i = 0; i < mac?.Length; i++)
            address[12 + i] = mac[i];
        return address;
    }
}

/// <summary>All that passes any interface of a namespace, or one of them (packet(7)), until it is disposed.</summary>
internal sealed class Capture : IDisposable
{
    // ETH_P_ALL, and the same in network order.
    private const int Every = 0x0003, EveryProtocol = 0x0300;

    private readonly Socket _socket;
    private readonly Thread _reader;
    private readonly byte[] _marker;
    private volatile bool _ended;
    private int _packets, _found;

    /// <param name="only">the name of the one interface that is listened to; null: all</param>
    public Capture(Space space, string marker, string? only = null)
    {
        _marker = Encoding.UTF8.GetBytes(marker);
        _socket = space.Make(() => new Socket(AddressFamily.Packet, SocketType.Raw, (ProtocolType)EveryProtocol) { ReceiveTimeout = 100, ReceiveBufferSize = 1 << 22 });
        if (only is not null)
            _socket.Bind(new LinkEndPoint(space.IndexOf(only), Every));
        _reader = new Thread(Read);
        _reader.Start();
    }

    public int Packets => _packets;

    public int Found => _found;

    public void Dispose()
    {
        _ended = true;
        _reader.Join();
        _socket.Dispose();
    }

    private void Read()
    {
        var buffer = new byte[70_000];
        while (true)
        {
            try
            {
                var count = _socket.Receive(buffer);
                _packets++;
                if (buffer.AsSpan(0, count).IndexOf(_marker) >= 0)
                    _found++;
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock)
            {
                // What was there before the end has been read by then.
                if (_ended)
                    return;
            }
        }
    }
}
