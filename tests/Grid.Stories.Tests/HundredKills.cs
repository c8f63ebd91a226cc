using System.Net;
using Grid.Agreements;
using Grid.Networks;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>Fifty workloads of several kinds, and an agent that is killed a hundred times over them.</summary>
[Collection("one at a time")]
public sealed class HundredKills
{
    private const int Alone = 35, Members = 8, Writers = 3, Kills = 100;

    [Fact]
    public async Task Fifty_workloads_of_mixed_kinds_never_notice_a_hundred_kills_of_the_agent()
    {
        if (!File.Exists("/usr/bin/wireguard-go"))
            Assert.Skip("Networks need wireguard-go, or a kernel with WireGuard; run tools/setup.");
        await using var stage = await Stage.Stage.SetAsync();
        using var wire = new UnderlayNetwork();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one", wire);
        var flist = await stage.PublishAsync(Trees.Make(stage, "many", root => Directory.CreateDirectory(Path.Combine(root, "data"))));
        Workload[] workloads =
        [
            .. Enumerable.Range(0, Alone).Select(i => Trees.Run($"alone-{i:d2}", node.Id, flist, "sleep", "100000")),
            .. Enumerable.Range(0, Members).Select(i => Trees.Run($"member-{i}", node.Id, flist, "sleep", "100000") with { Networks = [new NetworkAddress("net", new IPAddress([10, 45, 0, (byte)(i + 2)]))] }),
            .. Enumerable.Range(0, Writers).SelectMany(i => (Workload[])
            [
                new Volume($"data-{i}", node.Id, Bytes.MiB(8), Media.Ssd, TimeSpan.Zero),
                // Every start leaves a line.
                Trees.Run($"writer-{i}", node.Id, flist, "sh", "-c", "echo started >> /data/starts; sync; exec sleep 100000") with { Mounts = [new VolumeMount("/data", $"data-{i}")] },
            ]),
            new Network("net", IPNetwork.Parse("10.45.0.0/24"), Egress.None),
        ];
        Assert.Equal(50, workloads.Length);
        // Tiny shares: fifty of them fit on any machine that builds this.
        var id = await stage.AgreeAsync(stage.Terms([.. workloads.Select(w => w is Container c ? c with { Cpu = new MilliCores(10), Memory = Bytes.MiB(16) } : w)]), "running");
        var pids = node.Running();
        var tunnels = node.Tunnels().Order().ToList();
        Assert.Equal((Alone + Members + Writers, Members), (pids.Count, tunnels.Count));

        var random = new Random(100);
        for (var kill = 1; kill <= Kills; kill++)
        {
            await Task.Delay(random.Next(250));
            await node.KillAgentAsync();
            Assert.True(Same(pids, node.Running()), $"after kill {kill}");
            await node.StartAsync();
        }
        await Wait.ForAsync("the last agent to have adopted all", () => node.Status() is var status && status.GetProperty("workloads").EnumerateArray()
            .Count(w => w.GetProperty("phase").GetString() is "running" or "attached") == workloads.Length - 1, stage.Logs);
        Assert.True(Same(pids, node.Running()), "at the end");
        Assert.Equal(tunnels, node.Tunnels().Order());
        foreach (var writer in Enumerable.Range(0, Writers))
            Assert.Equal("started\n", File.ReadAllText($"/proc/{pids[$"writer-{writer}"]}/root/data/starts"));

        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace()) + stage.Logs());
    }

    private static bool Same(IReadOnlyDictionary<string, int> before, IReadOnlyDictionary<string, int> now) =>
        before.Count == now.Count && before.All(b => now.TryGetValue(b.Key, out var pid) && pid == b.Value);
}
