using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Grid.Agreements;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>Nodes, each in a network namespace of its own on one wire, and private networks over them.</summary>
[Collection("one at a time")]
public sealed class PrivateNetworks
{
    private const string Marker = "THIS-MUST-NOT-BE-SEEN-ON-ANY-WIRE";
    private const int Members = 8;

    [Fact]
    public async Task Every_pair_is_encrypted_tenants_are_apart_and_a_dropped_member_is_cut_off()
    {
        UnderlayNetwork.NeedsTunnels();
        await using var stage = await Stage.Stage.SetAsync();
        using var wire = new UnderlayNetwork();
        var farms = new[] { await stage.AddFarmAsync("north"), await stage.AddFarmAsync("south") };
        var nodes = new[] { await stage.AddNodeAsync(farms[0], "one", wire), await stage.AddNodeAsync(farms[0], "two", wire), await stage.AddNodeAsync(farms[1], "three", wire), await stage.AddNodeAsync(farms[1], "four", wire) };
        var flist = await stage.PublishAsync(Trees.Make(stage, "pages", root =>
        {
            foreach (var tenant in new[] { "a", "b" })
            {
                Directory.CreateDirectory(Path.Combine(root, "srv", tenant));
                File.WriteAllText(Path.Combine(root, "srv", tenant, "index.html"), $"{Marker} of {tenant}\n");
            }
        }));

        // Two tenants, the same addresses, the same three nodes; the last member of the first is alone on a fourth.
        var (four, last) = (nodes[3], $"a-{Members - 1}");
        var terms = stage.Terms([Net, .. Enumerable.Range(0, Members - 1).Select(i => Member("a", i, nodes[i % 3], flist)), Member("a", Members - 1, four, flist)]);
        var first = await stage.AgreeAsync(terms, "running");
        var second = await stage.AgreeAsync(stage.Terms([Net, .. Enumerable.Range(0, 3).Select(i => Member("b", i, nodes[i % 3], flist))]), "running");
        var all = Inits(nodes, first);
        Assert.Equal(Members, all.Count);
        // Once before anybody listens: each node has then fetched the pages from the hub, which is no secret of this network.
        await Wait.ForAsync("all to reach all", () => EachReachesEachAsync(all, Members), stage.Logs);
        await Wait.ForAsync("the other tenant as well", () => EachReachesEachAsync(Inits(nodes, second), 3), stage.Logs);
        var captures = nodes.Select(n => new Capture(n.Space, Marker)).ToList();
        try
        {
            // Every pair, also those on one node.
            foreach (var (from, init) in all)
            {
                foreach (var to in Enumerable.Range(0, Members).Where(i => $"a-{i}" != from))
                    Assert.Equal($"{Marker} of a\n", await PageAsync(init, to, stage));
            }
            Assert.All(captures, c => Assert.Equal((true, 0), (c.Frames > 100, c.Found)));

            // The other tenant has the same addresses and sees its own members behind them, and nothing where it has none.
            foreach (var (from, init) in Inits(nodes, second))
            {
                foreach (var to in Enumerable.Range(0, 3).Where(i => $"b-{i}" != from))
                    Assert.Equal($"{Marker} of b\n", await PageAsync(init, to, stage));
                await Task.WhenAll(Enumerable.Range(3, Members - 3).Select(async to => Assert.Null(await TryPageAsync(init, to, TimeSpan.FromSeconds(1)))));
                Assert.Equal(["lo", "tunnel"], Interfaces(init));
                Assert.All(File.ReadLines($"/proc/{init.Pid}/net/if_inet6"), line => Assert.EndsWith(" lo", line));
                Assert.Throws<SocketException>(() => Send(init, IPAddress.Parse("224.0.0.1")));
                Assert.Throws<SocketException>(() => Send(init, IPAddress.Parse("10.99.0.1")));
            }

            // What carries a tunnel dies: it is mended, and nothing was restarted.
            var before = all.ToDictionary(a => a.Key, a => a.Value.Pid);
            nodes[0].Kill(nodes[0].Tunnels()[0]);
            await Wait.ForAsync("the tunnel to be back", async () => nodes[0].Tunnels().Count == 4 ? await EachReachesEachAsync(all, Members) : null, stage.Logs);

            // A member leaves by amendment, and its node does not hear of it: the others cut it off, whichever side begins.
            var dropped = four.WireGuards().Single().Value;
            Assert.Equal((Members - 1, Members - 1), (dropped.Peers.Length, Knowing(nodes, first, dropped.Key)));
            await four.KillAgentAsync();
            var agreement = (await stage.BundleAsync(first)).Agreement;
            var amended = stage.Priced(terms with
            {
                Version = 2,
                Amends = new Amends(first, agreement.Version.Id),
                Term = Stage.Stage.Term(),
                Workloads = terms.Workloads.RemoveAll(w => w.Name == last),
            });
            await stage.SubmitAsync(stage.Proposal(amended, farms));
            await Wait.ForAsync("the amendment to be in force", async () => (await stage.BundleAsync(first)).Agreement is { IsInForce: true, Version.Terms.Version: 2 } a ? a : null, stage.Logs);
            var watch = Stopwatch.StartNew();
            while (Knowing(nodes, first, dropped.Key) > 0 || await ReachedAsync(all, last, TimeSpan.FromMilliseconds(300)))
                Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), "It was known or reached five seconds after it was dropped.");
            Console.WriteLine($"cut off in {watch.Elapsed.TotalSeconds:0.0} s");
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), $"It was cut off after {watch.Elapsed.TotalSeconds:0.0} s.");
            // One that was only late would answer now; it runs on, and knows the others as before.
            Assert.False(await ReachedAsync(all, last, TimeSpan.FromSeconds(3)));
            Assert.Equal((before[last], Members - 1), (four.Running()[last], four.WireGuards().Single().Value.Peers.Length));
            await four.StartAsync();
            await stage.UntilAsync(first, "running");
            await Wait.ForAsync("the dropped member to be gone", () => !Inits(nodes, first).ContainsKey(last), stage.Logs);
            var after = Inits(nodes, first);
            Assert.Equal(before.Where(b => b.Key != last).OrderBy(b => b.Key), after.ToDictionary(a => a.Key, a => a.Value.Pid).OrderBy(a => a.Key));
            Assert.NotNull(await EachReachesEachAsync(after, Members - 1));
            Assert.All(captures, c => Assert.Equal((0, 0), (c.Found, c.Lost)));
            // What is said in plain is seen by every one of them.
            foreach (var (capture, node) in captures.Zip(nodes))
            {
                Capture.Say(node.Space, Marker);
                await Wait.ForAsync("plain text to be seen", () => capture.Found > 0);
            }
        }
        finally
        {
            captures.ForEach(c => c.Dispose());
        }
        foreach (var id in new[] { first, second })
            await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("every trace to be gone", () => nodes.All(n => n.Traces().Count == 0), stage.Logs);
    }

    private static Network Net => new("net", IPNetwork.Parse("10.42.0.0/24"), Egress.None);

    private static IPAddress Address(int member) => new([10, 42, 0, (byte)(member + 2)]);

    private static Container Member(string tenant, int number, StageNode node, FlistId flist) =>
        Trees.Run($"{tenant}-{number}", node.Id, flist, "httpd", "-f", "-p", "8080", "-h", $"/srv/{tenant}") with { Networks = [new NetworkAddress("net", Address(number))] };

    private static Dictionary<string, ProcessIdentity> Inits(IEnumerable<StageNode> nodes, AgreementId agreement) =>
        nodes.SelectMany(n => n.Processes()).Where(p => p.Key.Agreement == agreement).ToDictionary(p => p.Key.Workload, p => p.Value);

    private static async Task<object?> EachReachesEachAsync(Dictionary<string, ProcessIdentity> all, int members)
    {
        var pages = await Task.WhenAll(from a in all from to in Enumerable.Range(0, members) where !a.Key.EndsWith($"-{to}", StringComparison.Ordinal) select TryPageAsync(a.Value, to, TimeSpan.FromSeconds(2)));
        return pages.All(p => p is not null) ? "all" : null;
    }

    /// <summary>How many tunnels of an agreement have a peer with this key.</summary>
    private static int Knowing(IEnumerable<StageNode> nodes, AgreementId agreement, TunnelKey? key) =>
        nodes.SelectMany(n => n.WireGuards()).Count(t => t.Key.Agreement == agreement && t.Value.Peers.Any(p => p.Key == key));

    /// <summary>Whether any of the others is answered by it, or it by any of them.</summary>
    private static async Task<bool> ReachedAsync(Dictionary<string, ProcessIdentity> all, string last, TimeSpan patience)
    {
        var pages = await Task.WhenAll(Enumerable.Range(0, Members - 1).SelectMany(i => new[] { TryPageAsync(all[$"a-{i}"], Members - 1, patience), TryPageAsync(all[last], i, patience) }));
        return pages.Any(p => p is not null);
    }

    private static async Task<string> PageAsync(ProcessIdentity from, int to, Stage.Stage stage) =>
        await Wait.ForAsync($"member {to} to answer", () => TryPageAsync(from, to, TimeSpan.FromSeconds(2)), stage.Logs);

    private static Task<string?> TryPageAsync(ProcessIdentity from, int to, TimeSpan patience) => Pages.TryAsync(from, new IPEndPoint(Address(to), 8080), "", patience);

    private static List<string> Interfaces(ProcessIdentity init) =>
        [.. File.ReadLines($"/proc/{init.Pid}/net/dev").Skip(2).Select(l => l.Split(':')[0].Trim()).Select(n => n == "lo" ? n : "tunnel").Order(StringComparer.Ordinal)];

    private static int Send(ProcessIdentity init, IPAddress to)
    {
        using var socket = UnderlayNetwork.Inside($"/proc/{init.Pid}/ns/net", () => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp));
        return socket.SendTo("x"u8, new IPEndPoint(to, 9));
    }
}
