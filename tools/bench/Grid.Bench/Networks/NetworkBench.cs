using System.Net;
using System.Security.Cryptography;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Networks;
using Grid.Units;

namespace Grid.Bench.Networks;

/// <summary>
/// One TCP stream, and one byte to and fro, between two nodes on a veth: in plain, through one tunnel between the nodes, through the tunnels of two
/// workloads on them, and of two workloads on one. In turn, three rounds, medians.
/// </summary>
internal static class NetworkBench
{
    private const int Rounds = 3, Turns = 2000;
    private static readonly TimeSpan Streaming = TimeSpan.FromSeconds(2);

    public static async Task<int> RunAsync(string[] args)
    {
        if (args.Length > 0)
        {
            await Console.Error.WriteLineAsync("tools/bench/run networks");
            return 2;
        }
        using var a = new Node("a", 1);
        using var b = new Node("b", 2);
        a.Space.Ip($"link add eth0 type veth peer name eth0 netns {b.Space.Init.Pid}", "addr add 10.99.0.1/24 dev eth0", "link set eth0 up", "link set lo up");
        b.Space.Ip("addr add 10.99.0.2/24 dev eth0", "link set eth0 up", "link set lo up");

        var (nodeA, nodeB) = (a.Join("nodes", 1, new Space(a.Space)), b.Join("nodes", 2, new Space(b.Space)));
        var (left, right, beside) = (a.Join("work", 1, new Space()), b.Join("work", 2, new Space()), a.Join("work", 3, new Space()));
        await ConnectAsync(nodeA, nodeB);
        await ConnectAsync(left, right, beside);
        var rows = new[]
        {
            new Row("plain veth between the nodes", a.Space, b.Space, a.Address, b.Address),
            new Row("one tunnel between the nodes", nodeA.Space, nodeB.Space, nodeA.Tunnel.Address, nodeB.Tunnel.Address),
            new Row("two workloads, one on each node", left.Space, right.Space, left.Tunnel.Address, right.Tunnel.Address),
            new Row("two workloads on one node", left.Space, beside.Space, left.Tunnel.Address, beside.Tunnel.Address),
        };
        foreach (var row in rows)
            await row.WarmAsync();
        for (var round = 0; round < Rounds; round++)
        {
            foreach (var row in rows)
                await row.MeasureAsync(Streaming, Turns);
        }
        Console.WriteLine($"{Environment.ProcessorCount} cores, {a.Host.Engine.Name}, {Rounds} rounds in turn, medians; load after {File.ReadAllText("/proc/loadavg").Split(' ')[0]}");
        var table = new Table("what", "MB/s", "of one tunnel", "to and fro µs", "beside one tunnel");
        foreach (var row in rows)
            table.Add(row.Name, Table.Number(row.Rate), Table.Milliseconds(row.Rate / rows[1].Rate), Table.Number(row.Turn), Table.Milliseconds(row.Turn / rows[1].Turn));
        table.Print(Console.Out);
        foreach (var member in new[] { nodeA, nodeB, left, right, beside })
            await member.LeaveAsync();
        return 0;
    }

    private static async Task ConnectAsync(params Member[] members)
    {
        foreach (var member in members)
        {
            member.Tunnel = member.Tunnel with
            {
                Peers = [.. members.Where(m => m != member).Select(m => new TunnelPeer(m.Tunnel.Key, new IPEndPoint(m.Node.Address, m.Tunnel.Port), m.Tunnel.Address)).OrderBy(p => p.Key)],
            };
            await member.MakeAsync();
        }
    }

    private sealed class Node : IDisposable
    {
        private readonly TunnelKeys _keys = new(RandomNumberGenerator.GetBytes(TunnelKeys.SecretSize));

        public Node(string name, byte number)
        {
            Address = new IPAddress([10, 99, 0, number]);
            Host = TunnelHost.Open($"grid-bench-{Environment.ProcessId}-{name}", _keys, Space.Init.Pid, TimeProvider.System, out var why) ?? throw new IOException(why);
        }

        public Space Space { get; } = new();

        public IPAddress Address { get; }

        public TunnelHost Host { get; }

        public Member Join(string network, byte number, Space space)
        {
            var id = new TunnelId(new AgreementId(Digest.Of("bench"u8)), new Membership(network, $"member-{number}"));
            var address = new IPAddress([10, (byte)(network == "nodes" ? 8 : 9), 0, number]);
            return new Member(this, id, space, new Tunnel(network, address, 24, _keys.PublicOf(id), Host.ChoosePort(id, new HashSet<int>()), [], Egress.None));
        }

        public void Dispose()
        {
            Host.Dispose();
            _keys.Dispose();
            Space.Dispose();
        }
    }

    private sealed class Member(Node node, TunnelId id, Space space, Tunnel tunnel)
    {
        public Node Node => node;

        public Space Space => space;

        public Tunnel Tunnel { get; set; } = tunnel;

        public async Task MakeAsync()
        {
            if (await node.Host.ApplyAsync(id, Tunnel, space.Init) is not Outcome.Done and var failed)
                throw new IOException($"{failed}");
        }

        public async Task LeaveAsync()
        {
            await node.Host.RemoveAsync(id);
            space.Dispose();
        }
    }
}
