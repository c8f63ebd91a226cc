using System.Diagnostics;
using Grid.Agreements;
using Grid.Farms;
using Grid.Gateways;
using Grid.Node.Tests.Gateways;
using Grid.Stories.Tests.Stage;

namespace Grid.Stories.Tests;

/// <summary>Fifty workloads of every kind, and an agent that is killed a hundred times over them.</summary>
[Collection("one at a time")]
public sealed class HundredKills
{
    private const int Kills = 100, AgainEvery = 4;

    private static readonly TimeSpan WithinWhichAdopted = TimeSpan.FromSeconds(1);

    [Fact]
    public async Task Fifty_workloads_of_every_kind_never_notice_a_hundred_kills_of_the_agent()
    {
        UnderlayNetwork.NeedsTunnels();
        await using var stage = await Stage.Stage.SetAsync();
        using var wire = new UnderlayNetwork();
        var world = new OutsideWorld(wire.Add());
        UnderlayNetwork.Give(world.Path, Fifty.Router, 24);
        using var certificate = Upstream.SelfSigned(Fifty.Own);
        Pebble? pebble = null;
        try
        {
            var farm = await stage.AddFarmAsync("north");
            var node = await stage.AddNodeAsync(farm, "one", wire, async address =>
            {
                pebble = await world.CertifyAsync(stage.At("pebble"), address);
                return [.. OutsideWorld.Doors(pebble, address, Fifty.Domain), "--public", "eth0", "--public-ipv4", "2"];
            });
            UnderlayNetwork.Give(node.Space, Fifty.Us, 24);
            world.Root = await pebble!.RootAsync();
            await pebble.TellAsync($"{Gateway.Challenge}.{Fifty.Own}", stage.User.ToString());
            await stage.SubmitAsync(stage.Sign(farm.Account.Value, new ListAddresses(farm.Id, [new FarmAddress(Fifty.Public, 24, Fifty.Router)]), farm.Name));
            var system = await stage.PublishAsync(await Systems.MakeAsync(stage));
            var flist = await stage.PublishAsync(Trees.Make(stage, "many", root => Directory.CreateDirectory(Path.Combine(root, "data"))));
            await using var fifty = new Fifty(node, world, certificate);
            var workloads = fifty.Workloads(flist, system);
            Assert.Equal(50, workloads.Count);
            var id = await stage.AgreeAsync(stage.Terms([.. workloads]), "running");
            await fifty.OpenAsync(stage);
            Assert.Equal((Fifty.Containers, Fifty.Tunnels, Fifty.Gateways + 1), (node.Running().Count, node.Tunnels().Count, node.Gateways().Count));
            var before = node.Lasting();
            Assert.Equal(Fifty.Containers, before.Count(p => p.StartsWith("conmon ", StringComparison.Ordinal)));

            using var over = new CancellationTokenSource();
            var asking = AskAsync(fifty, over.Token);
            var (ready, adopted) = (new List<TimeSpan>(), new List<TimeSpan>());
            var random = new Random(100);
            for (var kill = 1; kill <= Kills; kill++)
            {
                await Task.Delay(random.Next(250));
                await node.KillAgentAsync();
                Same(before, node.Lasting());
                if (kill % AgainEvery == 0)
                {
                    // This one comes while it adopts.
                    await node.StartAsync();
                    await Task.Delay(random.Next(250));
                    await node.KillAgentAsync();
                    Same(before, node.Lasting());
                }
                var status = File.GetLastWriteTimeUtc(node.StatusFile);
                var clock = Stopwatch.StartNew();
                await node.StartAsync();
                ready.Add(clock.Elapsed);
                await Wait.ForAsync("the agent to have adopted all", () => File.GetLastWriteTimeUtc(node.StatusFile) != status && Adopted(node) == Fifty.Told, stage.Logs);
                adopted.Add(clock.Elapsed);
            }
            await over.CancelAsync();
            var rounds = await asking;
            Same(before, node.Lasting());
            Assert.All(fifty.Starts(), s => Assert.Equal("started\n", s));
            // What is on the machine's disk by now, and more of it: it can write there.
            var lines = (await fifty.LinesAsync())!;
            await Wait.ForAsync("the machine to write on", async () => await fifty.LinesAsync() is { } now && now.Length > lines.Length && now.StartsWith(lines, StringComparison.Ordinal) ? now : null, stage.Logs);
            string Said(List<TimeSpan> took) => $"{Of(took, 50).TotalSeconds:0.00} s (p50), {Of(took, 95).TotalSeconds:0.00} s (p95), {Of(took, 100).TotalSeconds:0.00} s at most";
            Console.WriteLine($"{Kills} kills, and {Kills / AgainEvery} of who just began, under {before.Count} processes and {rounds} times every way in and out; started and adopted all in {Said(adopted)}, of which to start {Said(ready)}");
            Assert.True(Of(adopted, 100) <= WithinWhichAdopted, $"It takes {Said(adopted)}.");

            await fifty.DisposeAsync();
            await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
            await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace()) + stage.Logs());
            await Wait.ForAsync("the agent to be alone", () => node.Lasting().Count == 0, () => string.Join('\n', node.Lasting()));
        }
        finally
        {
            pebble?.Dispose();
        }
    }

    private static void Same(SortedSet<string> before, SortedSet<string> now) =>
        Assert.True(before.SetEquals(now), $"gone: {string.Join(", ", before.Except(now))}; new: {string.Join(", ", now.Except(before))}");

    private static TimeSpan Of(List<TimeSpan> took, int percent) => took.Order().ElementAt(percent * took.Count / 100 - 1);

    private static int Adopted(StageNode node) =>
        node.Status().GetProperty("workloads").EnumerateArray().Count(w => w.GetProperty("phase").GetString() is "running" or "attached" or "serving" or "bound");

    /// <summary>Goes every way, again and again, until it is over.</summary>
    /// <returns>how often</returns>
    private static async Task<int> AskAsync(Fifty fifty, CancellationToken over)
    {
        var rounds = 0;
        for (; !over.IsCancellationRequested; rounds++)
        {
            await fifty.AskAsync();
            await Task.Delay(50, CancellationToken.None);
        }
        return rounds;
    }
}
