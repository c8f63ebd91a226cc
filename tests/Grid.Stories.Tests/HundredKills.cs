using System.Diagnostics;
using System.Net;
using Grid.Addresses;
using Grid.Agreements;
using Grid.Farms;
using Grid.Gateways;
using Grid.Machines;
using Grid.Networks;
using Grid.Node.Tests.Gateways;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>Fifty workloads of every kind, and an agent that is killed a hundred times over them.</summary>
[Collection("one at a time")]
public sealed class HundredKills
{
    private const int Alone = 31, Members = 8, Writers = 3, Kills = 100, AgainEvery = 4;
    private const string Domain = "gw.example", Shop = "shop.gw.example", Page = "page of many\n";

    // The median: a busy machine makes one start late, and not half of them.
    private static readonly TimeSpan WithinWhichAdopted = TimeSpan.FromSeconds(1);

    private static readonly IPAddress Router = IPAddress.Parse("203.0.113.1"), Public = IPAddress.Parse("203.0.113.7");

    [Fact]
    public async Task Fifty_workloads_of_every_kind_never_notice_a_hundred_kills_of_the_agent()
    {
        UnderlayNetwork.NeedsTunnels();
        await using var stage = await Stage.Stage.SetAsync();
        using var wire = new UnderlayNetwork();
        var world = new OutsideWorld(wire.Add());
        UnderlayNetwork.Give(world.Path, Router, 24);
        Pebble? pebble = null;
        try
        {
            var farm = await stage.AddFarmAsync("north");
            var node = await stage.AddNodeAsync(farm, "one", wire, async address =>
            {
                pebble = await world.CertifyAsync(stage.At("pebble"), address);
                return [.. OutsideWorld.Doors(pebble, address, Domain), "--public", "eth0", "--public-ipv4", "2"];
            });
            world.Root = await pebble!.RootAsync();
            await stage.SubmitAsync(stage.Sign(farm.Account.Value, new ListAddresses(farm.Id, [new FarmAddress(Public, 24, Router)]), farm.Name));
            var system = await stage.PublishAsync(await Systems.MakeAsync(stage));
            var flist = await stage.PublishAsync(Trees.Make(stage, "many", root => Directory.CreateDirectory(Path.Combine(root, "data"))));
            var workloads = Fifty(node.Id, flist, system);
            Assert.Equal(50, workloads.Count);
            var id = await stage.AgreeAsync(stage.Terms([.. workloads]), "running");
            var before = Processes(node);
            Assert.Equal((Alone + Members + Writers + 2, Members + 2, 2), (node.Running().Count, node.Tunnels().Count, node.Gateways().Count));

            using var over = new CancellationTokenSource();
            var asking = AskAsync(world, over.Token);
            var adopted = new List<TimeSpan>();
            var random = new Random(100);
            for (var kill = 1; kill <= Kills; kill++)
            {
                await Task.Delay(random.Next(250));
                await node.KillAgentAsync();
                Assert.Equal(before, Processes(node));
                if (kill % AgainEvery == 0)
                {
                    // This one comes while it adopts.
                    await node.StartAsync();
                    await Task.Delay(random.Next(250));
                    await node.KillAgentAsync();
                    Assert.Equal(before, Processes(node));
                }
                var status = File.GetLastWriteTimeUtc(node.StatusFile);
                var clock = Stopwatch.StartNew();
                await node.StartAsync();
                await Wait.ForAsync("the agent to have adopted all", () => File.GetLastWriteTimeUtc(node.StatusFile) != status && Adopted(node) == workloads.Count - 1, stage.Logs);
                adopted.Add(clock.Elapsed);
            }
            await over.CancelAsync();
            var answers = await asking;
            Assert.Equal(before, Processes(node));
            foreach (var writer in Enumerable.Range(0, Writers))
                Assert.Equal("started\n", File.ReadAllText($"/proc/{node.Running()[$"writer-{writer}"]}/root/data/starts"));
            adopted.Sort();
            var median = adopted[Kills / 2];
            Console.WriteLine($"{Kills} kills, and {Kills / AgainEvery} of who just began; started and adopted all in {median.TotalSeconds:0.00} s, the median of {adopted[0].TotalSeconds:0.00} to {adopted[^1].TotalSeconds:0.00} s; {answers} pages by name and address meanwhile");
            Assert.True(median <= WithinWhichAdopted, $"It takes {median.TotalSeconds:0.00} s.");

            await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
            await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace()) + stage.Logs());
        }
        finally
        {
            pebble?.Dispose();
        }
    }

    // Tiny shares: fifty of them fit on any machine that builds this.
    private static List<Workload> Fifty(NodeId node, FlistId flist, FlistId system)
    {
        static NetworkAddress At(int host) => new("net", new IPAddress([10, 45, 0, (byte)host]));
        Container Small(Container container) => container with { Cpu = new MilliCores(10), Memory = Bytes.MiB(16) };
        var sleeps = Trees.Run("", node, flist, "sleep", "100000");
        return
        [
            .. Enumerable.Range(0, Alone).Select(i => Small(sleeps with { Name = $"alone-{i:d2}" })),
            .. Enumerable.Range(0, Members).Select(i => Small(sleeps with { Name = $"member-{i}", Networks = [At(i + 2)] })),
            .. Enumerable.Range(0, Writers).SelectMany(i => (Workload[])
            [
                new Volume($"data-{i}", node, Bytes.MiB(8), Media.Ssd, TimeSpan.Zero),
                // Every start leaves a line.
                Small(Trees.Run($"writer-{i}", node, flist, "sh", "-c", "echo started >> /data/starts; sync; exec sleep 100000") with { Mounts = [new VolumeMount("/data", $"data-{i}")] }),
            ]),
            Trees.Run("web", node, flist, "httpd", "-f", "-p", "8080", "-h", "/srv") with { Networks = [At(100)] },
            new Gateway("door", node, Shop, Tls.Terminate, DomainProof.Domain, new Backend("web", 8080), [At(101)]),
            new PublicAddress("public", node, Public, [new Port(Transport.Tcp, 8080)], "web"),
            new Machine(
                "vm", node, system, Systems.Kernel, Systems.Initrd, "console=ttyS0 quiet panic=-1", new MilliCores(500), Bytes.MiB(256), [],
                new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(8)), Bytes.KiB(256), [], []),
            new Network("net", IPNetwork.Parse("10.45.0.0/24"), Egress.None),
        ];
    }

    /// <summary>Every process that a kill of the agent must leave alone: of containers, the machine's emulator among them, of tunnels, and of the gateway.</summary>
    private static SortedSet<string> Processes(StageNode node) =>
    [
        .. node.Running().Select(r => $"{r.Key} {r.Value}"), .. node.Tunnels().Select(p => $"tunnel {p}"), .. node.Gateways().Select(p => $"gateway {p}"),
        .. File.ReadAllText($"/proc/{node.Running()["vm"]}/task/{node.Running()["vm"]}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(p => $"emulator {p}"),
    ];

    private static int Adopted(StageNode node) =>
        node.Status().GetProperty("workloads").EnumerateArray().Count(w => w.GetProperty("phase").GetString() is "running" or "attached" or "serving" or "bound");

    /// <summary>Asks by name and by address, each time on a new connection, until it is over; every answer is the page.</summary>
    /// <returns>how many answers there were</returns>
    private static async Task<int> AskAsync(OutsideWorld world, CancellationToken over)
    {
        for (var answers = 0; ; answers += 2)
        {
            if (over.IsCancellationRequested)
                return answers;
            using var named = world.Client(HttpVersion.Version11);
            Assert.Equal(Page, await named.GetStringAsync(new Uri($"https://{Shop}/index.html"), CancellationToken.None));
            using var addressed = world.Client(HttpVersion.Version11, at: Public);
            Assert.Equal(Page, await addressed.GetStringAsync(new Uri($"http://{Public}:8080/index.html"), CancellationToken.None));
            await Task.Delay(50, CancellationToken.None);
        }
    }
}
