using System.Net;
using Grid.Agreements;
using Grid.Machines;
using Grid.Networks;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>kill -9 of the agent at random moments over a machine that writes on its disk, and beside it what else ends an agent or a machine.</summary>
[Collection("one at a time")]
public sealed class DiskKills
{
    private static readonly IPEndPoint Place = new(IPAddress.Parse("10.42.0.2"), 8080);

    // A machine that boots takes ten times as long as an agent does.
    private static readonly Beside[] Kills = [.. Enumerable.Repeat<Beside[]>([Beside.Nothing, Beside.Nothing, Beside.Asked, Beside.Crash, Beside.Nothing, Beside.Nothing, Beside.Nothing, Beside.Asked, Beside.Nothing, Beside.Replan], 2).SelectMany(k => k)];

    private enum Beside
    {
        Nothing,

        /// <summary>It is asked to end, as when it is replaced by a newer one.</summary>
        Asked,

        /// <summary>The emulator is killed as well.</summary>
        Crash,

        /// <summary>Another version is agreed on, in which the machine is another.</summary>
        Replan,
    }

    [Fact]
    public async Task Kills_and_restarts_of_the_agent_crashes_of_the_machine_and_amendments_lose_no_line_that_its_disk_confirmed()
    {
        UnderlayNetwork.NeedsTunnels();
        await using var stage = await Stage.Stage.SetAsync();
        using var wire = new UnderlayNetwork();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one", wire);
        var system = await stage.PublishAsync(await Systems.MakeAsync(stage));
        var client = Trees.Run("client", node.Id, await stage.PublishAsync(Trees.Make(stage, "client")), "sleep", "100000") with { Networks = [new NetworkAddress("net", IPAddress.Parse("10.42.0.3"))] };
        var machine = new Machine(
            "vm", node.Id, system, Systems.Kernel, Systems.Initrd, $"console=ttyS0 quiet panic=-1 address={Place.Address}/24", new MilliCores(1000), Bytes.MiB(256), [new MachineDisk("data", "disk")],
            new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1)), Bytes.KiB(256), [], [new NetworkAddress("net", Place.Address)]);
        var id = await stage.AgreeAsync(
            stage.Terms(client, machine, new Volume("disk", node.Id, Bytes.MiB(64), Media.Ssd, TimeSpan.Zero, VolumeForm.Disk), new Network("net", IPNetwork.Parse("10.42.0.0/24"), Egress.None)), "running");
        var from = node.Processes().Single(p => p.Key.Workload == "client").Value;
        var written = await Wait.ForAsync("its first line", LinesAsync, stage.Logs);
        var random = new Random(16);
        var version = 1;
        foreach (var (kill, beside) in Kills.Index())
        {
            var pid = node.Running()["vm"];
            if (beside is Beside.Replan)
                await AmendAsync(stage, id, ++version);
            await Task.Delay(random.Next(500));
            await (beside is Beside.Asked ? node.StopAgentAsync() : node.KillAgentAsync());
            // What could not be asked for just now was there before.
            written = await LinesAsync() ?? written;
            if (beside is Beside.Crash)
            {
                Posix.Kill(pid);
                await Wait.ForAsync("the machine to be gone", () => !node.Running().ContainsKey("vm"), stage.Logs);
            }
            await node.StartAsync();
            var same = beside is Beside.Nothing or Beside.Asked;
            var lines = await Wait.ForAsync($"lines of {(same ? "the same" : "another")} boot after kill {kill} ({beside})",
                async () => await LinesAsync() is { } now && now.Count > written.Count && BootOf(now[^1]) == BootOf(written[^1]) == same ? now : null, stage.Logs);
            Assert.Equal(written, lines.Take(written.Count));
            Assert.Equal(same, node.Running()["vm"] == pid);
            if (beside is Beside.Replan)
                await Wait.ForAsync("the amendment to be in force", async () => (await stage.BundleAsync(id)).Agreement is { Next: null, Status: "running" } a && a.Version.Terms.Version == version ? "so" : null, stage.Logs);
            written = lines;
        }
        // Lines of every boot are there.
        Assert.Equal(1 + Kills.Count(k => k is Beside.Crash or Beside.Replan), written.Select(BootOf).Distinct().Count());
        Assert.Single(Directory.GetFiles(Path.Combine(node.Data, "volumes"), "*.image"));

        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace()) + stage.Logs());

        async Task<List<string>?> LinesAsync() => await Pages.TryAsync(from, Place, "lines", TimeSpan.FromSeconds(2)) is { Length: > 0 } page ? [.. page.Split('\n', StringSplitOptions.RemoveEmptyEntries)] : null;
    }

    private static string BootOf(string line) => line.Split(' ')[0];

    /// <summary>Its machine is another: with a little more of a processor.</summary>
    private static Task AmendAsync(Stage.Stage stage, AgreementId id, int version) => stage.AmendAsync(id, terms => terms with
    {
        Workloads = [.. terms.Workloads.Select(w => w is Machine m ? m with { Cpu = new MilliCores(1000 + version) } : w)],
    });
}
