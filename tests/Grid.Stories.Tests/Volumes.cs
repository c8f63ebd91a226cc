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

    [Fact]
    public async Task What_is_to_be_kept_for_a_while_is_there_for_that_long_and_then_its_key_is_nowhere_on_the_disk()
    {
        var keep = TimeSpan.FromSeconds(5);
        await using var stage = await Stage.Stage.SetAsync();
        using var disk = new StageDisk(stage.At("one-disk"));
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one", options: _ => Task.FromResult<IEnumerable<string>>(["--disk", $"ssd:{disk.Volumes}"]));
        var flist = await stage.PublishAsync(Trees.Make(stage, "writer", root => Directory.CreateDirectory(Path.Combine(root, "kept"))));
        var writer = Trees.Run("writer", node.Id, flist, "sh", "-c", $"echo {Marker} > /kept/index.html; sync; exec httpd -f -p 127.0.0.1:8080 -h /kept") with { Mounts = [new VolumeMount("/kept", "kept")] };
        var id = await stage.AgreeAsync(stage.Terms(writer,
            new Volume("kept", node.Id, Bytes.MiB(16), Media.Ssd, keep), new Volume("blocks", node.Id, Bytes.MiB(16), Media.Ssd, keep, VolumeForm.Disk)), "running");
        Assert.Equal(1, await StartsAsync(node, stage));
        string[] files = [.. new[] { "blocks.image", "blocks.key", "kept.image", "kept.key" }.Select(f => Path.Combine(disk.Volumes, $"{id}.{f}"))];
        // Of a sealed key what no other has: its magic and its zeros are alike in all.
        var keys = files.Where(f => f.EndsWith(".key", StringComparison.Ordinal)).Select(f => File.ReadAllBytes(f)[16..128]).ToList();
        Assert.All(keys, k => Assert.True(disk.Holds(k)));

        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        // It is kept from when nobody has it any more: this look is well within the time.
        await Wait.ForAsync("its writer to be gone", () => node.Traces().Count == 0, stage.Logs);
        Assert.Equal(files, Directory.GetFiles(disk.Volumes).Order(StringComparer.Ordinal));
        Assert.All(keys, k => Assert.True(disk.Holds(k)));

        await Wait.ForAsync("both to be gone", () => Directory.GetFiles(disk.Volumes).Length == 0, stage.Logs);
        var over = DateTimeOffset.UtcNow;
        var ended = Assert.IsType<Agreement.Ended>((await stage.BundleAsync(id)).Agreement).At;
        Assert.True(over - ended >= keep, $"It was to be kept for {keep} from {ended:O}, and is gone at {over:O}.");
        Assert.All(keys, k => Assert.False(disk.Holds(k)));
        Assert.False(disk.Holds(Encoding.ASCII.GetBytes(Marker)));
        await Wait.ForAsync("the node to say so", async () => Last(await stage.BundleAsync(id)) is { } said && said.Values.All(s => s is WorkloadState.Gone) ? said : null, stage.Logs);
        await node.ClearAsync();
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
