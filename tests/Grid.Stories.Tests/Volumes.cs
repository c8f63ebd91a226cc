using System.Text;
using Grid.Agreements;
using Grid.Cli.Up;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>What a workload keeps: through restarts, kills of the agent and a cancelled agreement, for as long as was agreed and no longer.</summary>
[Collection("one at a time")]
public sealed class Volumes
{
    private const string Marker = "WRITTEN-BY-THE-WORKLOAD";

    [Fact]
    public async Task A_volume_outlives_its_workloads_and_the_agent_and_is_kept_as_agreed()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var farm = await stage.AddFarmAsync("north");
        var node = await stage.AddNodeAsync(farm, "one");
        var flist = await stage.PublishAsync(Trees.Make(stage, "writer", root =>
        {
            Directory.CreateDirectory(Path.Combine(root, "kept"));
            Directory.CreateDirectory(Path.Combine(root, "gone"));
        }));
        // Every start leaves a line, and a file whose name says as much as its content.
        var writer = Trees.Run("writer", node.Id, flist, "sh", "-c",
            $"echo {Marker} >> /kept/index.html; echo {Marker} > /gone/{Marker}; sync; exec httpd -f -p 127.0.0.1:8080 -h /kept") with
        {
            Mounts = [new VolumeMount("/gone", "gone"), new VolumeMount("/kept", "kept")],
        };
        var terms = stage.Terms(writer,
            new Volume("kept", node.Id, Bytes.MiB(32), Media.Ssd, TimeSpan.FromHours(1)), new Volume("gone", node.Id, Bytes.MiB(32), Media.Ssd, TimeSpan.Zero));
        var id = await stage.AgreeAsync(terms, "running");
        Assert.Equal(1, await StartsAsync(node, stage));

        // The workload ends and is started again: on the same data.
        Posix.Kill(node.Running()["writer"]);
        await Wait.ForAsync("the second start", async () => await StartsAsync(node, stage) == 2 ? "2" : null, stage.Logs);

        // The agent is killed: nobody notices.
        var pid = node.Running()["writer"];
        await node.KillAgentAsync();
        Assert.Equal(2, await StartsAsync(node, stage));
        await node.StartAsync();
        await Wait.ForAsync("the agent to see it", () => node.Status().GetProperty("workloads").EnumerateArray().Count(w => w.GetProperty("phase").GetString() is "running" or "attached") == 3, stage.Logs);
        Assert.Equal((pid, 2), (node.Running()["writer"], await StartsAsync(node, stage)));

        // Nor does any other user of the machine read it where it is mounted.
        foreach (var (place, file) in new[] { ("volumes", $"{id}.kept"), ("views", $"{id}.writer/kept") })
        {
            Assert.True(Outsider.Sees(Path.Combine(node.Run, place)));
            Assert.False(Outsider.Sees(Path.Combine(node.Run, place, file)));
            Assert.True(Directory.Exists(Path.Combine(node.Run, place, file)));
        }

        // What lies on the disk says neither what was written nor what it was called.
        Assert.Equal(2, Images(node).Length);
        Assert.All(Images(node), image => Assert.Equal(-1, File.ReadAllBytes(image).AsSpan().IndexOf(Encoding.ASCII.GetBytes(Marker))));

        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("the one that was not to be kept to be gone", () => node.Traces().Count == 0 && Images(node).Length == 1, stage.Logs);
        Assert.Contains(".kept", Images(node)[0]);
        Assert.DoesNotContain(File.ReadLines("/proc/self/mounts"), m => m.Contains(node.Run + "/", StringComparison.Ordinal));
        await Wait.ForAsync("the node to say so", async () => Last(await stage.BundleAsync(id)) is { } said
            && said["writer"] is WorkloadState.Gone && said["gone"] is WorkloadState.Gone && said["kept"] is WorkloadState.Stopped ? said : null, stage.Logs);
    }

    private static string[] Images(StageNode node) => Directory.GetFiles(Path.Combine(node.Data, "volumes"), "*.image");

    private static Dictionary<string, WorkloadState>? Last(VerifiedAgreement verified) =>
        verified.History.Select(h => h.Statement.Payload.Body).OfType<Receipt>().LastOrDefault()?.Workloads.ToDictionary(w => w.Name, w => w.State);

    private static async Task<int> StartsAsync(StageNode node, Stage.Stage stage)
    {
        var page = await Wait.ForAsync("the page", async () =>
        {
            try
            {
                return node.Running().TryGetValue("writer", out var pid) ? await NamespacePage.GetAsync(pid, Trees.Loopback, default) : null;
            }
            catch (Exception e) when (e is HttpRequestException or IOException)
            {
                return null;
            }
        }, stage.Logs);
        return page.Split(Marker).Length - 1;
    }
}
