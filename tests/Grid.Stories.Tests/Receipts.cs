using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Grid.Agreements;
using Grid.Networks;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>What workloads did, as the kernel counted it and the node signed it.</summary>
[Collection("one at a time")]
public sealed class Receipts
{
    private const int Sent = 1 << 20, Answer = 64 << 10;

    private const long Held = 20;

    private static readonly Bytes Size = Bytes.MiB(8);

    [Fact]
    public async Task What_was_used_is_in_the_receipts_and_who_took_too_much_memory_as_well()
    {
        UnderlayNetwork.NeedsTunnels();
        await using var stage = await Stage.Stage.SetAsync();
        using var wire = new UnderlayNetwork();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one", wire);
        var (space, _) = wire.Add();
        // A way out leads to no private addresses, so the wire gets public ones as well (RFC 5737).
        var (world, us) = (IPAddress.Parse("203.0.113.9"), IPAddress.Parse("203.0.113.1"));
        UnderlayNetwork.Give(space, world, 24);
        UnderlayNetwork.Give(node.Space, us, 24);
        using var port = UnderlayNetwork.Inside(space, () => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
        port.Bind(new IPEndPoint(world, 7000));
        port.Listen();
        var flist = await stage.PublishAsync(Trees.Make(stage, "used", root => Directory.CreateDirectory(Path.Combine(root, "data"))));
        // Each waits for a while first: what was before the agent's first look at it, nobody is billed for.
        Container Play(string name, string play, int after = 3) => Trees.Run(name, node.Id, flist, "sh", "-c", $"sleep {after}; {play}");
        var clock = Stopwatch.StartNew();
        var id = await stage.AgreeAsync(
            stage.Terms(
                new Network("net", IPNetwork.Parse("10.47.0.0/24"), Egress.Nat),
                new Volume("data", node.Id, Size, Media.Ssd, TimeSpan.Zero),
                Play("spins", "while :; do :; done"),
                Play("eats", "exec busybox tail /dev/zero", after: 10) with { Restart = new RestartPolicy(RestartWhen.Never, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1)) },
                Play("sends", $"dd if=/dev/zero bs=64k count={Sent >> 16} | busybox nc {world} 7000; exec sleep 100000") with { Networks = [new NetworkAddress("net", IPAddress.Parse("10.47.0.2"))] },
                // Files of memory are memory, and a container's own.
                Play("holds", $"dd if=/dev/zero of=/tmp/held bs=1M count={Held}; exec sleep 100000") with { Scratch = [new Scratch("/tmp", Bytes.MiB(Held + 1))] },
                Trees.Run("keeps", node.Id, flist, "sleep", "100000") with { Mounts = [new VolumeMount("/data", "data")] }),
            "running");

        // Nobody looks while it is used: the next agent says it.
        await node.KillAgentAsync();
        var call = port.AcceptAsync();
        await Wait.ForAsync("the world to be called", () => call.IsCompleted, () => node.Log(id, "sends") + stage.Logs());
        using (var called = await call)
        {
            // Not the address it has inside, but the node's.
            Assert.Equal(us, ((IPEndPoint)called.RemoteEndPoint!).Address);
            var (heard, buffer) = (0, new byte[64 << 10]);
            while (heard < Sent && await called.ReceiveAsync(buffer) is > 0 and var count)
                heard += count;
            Assert.Equal(Sent, heard);
            await called.SendAsync(new byte[Answer]);
        }
        await node.StartAsync();
        await Wait.ForAsync("the receipt of what was killed for its memory", async () => (await ReportsAsync(stage, id, "eats")).Any(r => r is { State: WorkloadState.Failed, OomKilled: true, ExitCode: 137 }) ? "seen" : null, stage.Logs);
        Assert.Contains("workload failed: start 1, exit code 137, ended for want of memory", (await stage.ExplainAsync(id, "eats")).Steps.Select(s => string.Join(", ", s.Split(", ").Take(3))));
        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("the last receipts", async () => (await Task.WhenAll(((string[])["spins", "sends", "holds", "keeps", "data"]).Select(w => ReportsAsync(stage, id, w)))).All(r => r[^1].State is WorkloadState.Gone) ? "all" : null, stage.Logs);

        var spins = await UsedAsync(stage, id, "spins");
        // A tenth of a processor, for some seconds.
        Assert.InRange(spins.CpuMillis, 100, 20_000);
        // At least what it wrote, from when it was written; at most what it may hold, all the time.
        var (holds, lasted) = (await UsedAsync(stage, id, "holds"), clock.Elapsed);
        Assert.InRange(holds.MemoryMibSeconds, Held, 32 * (long)lasted.TotalSeconds);
        foreach (var name in new[] { "spins", "sends", "holds", "keeps" })
            Assert.Equal([stage.RootOf(flist)], (await ReportsAsync(stage, id, name)).Where(r => r.State is WorkloadState.Running).Select(r => r.FlistRoot!.Value).Distinct());
        var sends = await UsedAsync(stage, id, "sends");
        Assert.InRange(sends.Sent.Value, Sent, 2 * Sent);
        Assert.InRange(sends.Received.Value, Answer, Sent);
        Assert.Equal((Bytes.Zero, Bytes.Zero), (spins.Sent, spins.Received));
        Assert.Equal(Size, (await ReportsAsync(stage, id, "data")).First(r => r.Used.Disk != Bytes.Zero).Used.Disk);
        await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace()) + stage.Logs());
    }

    private static async Task<List<WorkloadReport>> ReportsAsync(Stage.Stage stage, AgreementId id, string workload) =>
        [.. (await stage.BundleAsync(id)).History.Select(h => h.Statement.Payload.Body).OfType<Receipt>().SelectMany(r => r.Workloads).Where(w => w.Name == workload)];

    private static async Task<Consumption> UsedAsync(Stage.Stage stage, AgreementId id, string workload) =>
        (await ReportsAsync(stage, id, workload)).Aggregate(Consumption.None, (sum, r) => sum.Then(r.Used));
}
