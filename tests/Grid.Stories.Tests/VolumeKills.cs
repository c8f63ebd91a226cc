using Grid.Agreements;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>kill -9 of the agent at random moments, and beside it what else happens to a volume: its writer is killed, it is mounted anew, or another version is agreed on.</summary>
[Collection("one at a time")]
public sealed class VolumeKills
{
    private const int Kills = 50;

    private enum Beside
    {
        Nothing,
        Kill,
        Remount,
        Replan,
    }

    [Fact]
    public async Task Fifty_kills_of_the_agent_and_restarts_remounts_and_amendments_meanwhile_lose_no_line_that_was_written()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one");
        var flist = await stage.PublishAsync(Trees.Make(stage, "writer", root => Directory.CreateDirectory(Path.Combine(root, "data"))));
        // Each line is another, whoever wrote it: one that is lost cannot be written again.
        var writer = Trees.Run("writer", node.Id, flist, "sh", "-c",
            "start=$(cat /proc/sys/kernel/random/uuid); while :; do i=$((i+1)); echo $start $i >> /data/lines && sync /data/lines || exit 1; sleep 0.02; done") with
        {
            Mounts = [new VolumeMount("/data", "data")],
            Restart = new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1)),
        };
        var id = await stage.AgreeAsync(stage.Terms(writer, new Volume("data", node.Id, Bytes.MiB(16), Media.Ssd, TimeSpan.Zero)), "running");
        var mounted = Path.Combine(node.Run, "volumes", $"{id}.data");
        await Wait.ForAsync("its first line", () => File.Exists(Path.Combine(mounted, "data/lines")), stage.Logs);
        var random = new Random(50);
        var version = 1;
        for (var kill = 1; kill <= Kills; kill++)
        {
            var beside = (Beside)random.Next(4);
            Assert.True(node.Running().TryGetValue("writer", out var pid), $"No writer runs before kill {kill} ({beside}).\n{node.Log(id, "writer")}\n{stage.Logs()}");
            if (beside is Beside.Replan)
                await AmendAsync(stage, id, ++version);
            await Task.Delay(random.Next(500));
            await node.KillAgentAsync();
            if (beside is Beside.Kill or Beside.Remount)
            {
                Posix.Kill(pid);
                await Wait.ForAsync("the writer to be gone", () => !node.Running().ContainsKey("writer"), stage.Logs);
            }
            var written = Lines();
            if (beside is Beside.Remount)
            {
                foreach (var place in new[] { Path.Combine(node.Run, "views", $"{id}.writer", "data"), mounted })
                    Posix.Detach(place);
                // With the last mount the kernel forgets the device, and the key.
                await Wait.ForAsync("the kernel to let go of it", () => Loops().Count == 0, stage.Logs);
            }
            await node.StartAsync();
            await Wait.ForAsync($"lines of {(beside is Beside.Nothing ? "the same" : "another")} writer after kill {kill} ({beside})",
                () => node.Running().TryGetValue("writer", out var now) && now == pid == (beside is Beside.Nothing) && Lines().Count > written.Count, stage.Logs);
            Assert.Equal(written, Lines().Take(written.Count));
            if (beside is Beside.Replan)
                await Wait.ForAsync("the amendment to be in force", async () => (await stage.BundleAsync(id)).Agreement is { Next: null, Status: "running" } a && a.Version.Terms.Version == version ? "so" : null, stage.Logs);
        }
        Assert.Single(Directory.GetFiles(Path.Combine(node.Data, "volumes"), "*.image"));
        Assert.Single(Loops());

        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace()) + stage.Logs());

        List<string> Lines() => [.. File.ReadLines(Path.Combine(mounted, "data/lines"))];

        List<string> Loops() => [.. node.EveryTrace().Where(t => t.StartsWith("loop device", StringComparison.Ordinal))];
    }

    /// <summary>Its writer is another: with a little more of a processor.</summary>
    private static Task AmendAsync(Stage.Stage stage, AgreementId id, int version) => stage.AmendAsync(id, terms => terms with
    {
        Workloads = [.. terms.Workloads.Select(w => w is Container c ? c with { Cpu = new MilliCores(100 + version) } : w)],
    });
}
