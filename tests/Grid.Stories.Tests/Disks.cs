using System.Text.Json;
using Grid.Agreements;
using Grid.Cli.Up;
using Grid.Node.Volumes;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>A data disk that errs, one that is away for a while, and one that is small. The node drains, says why, and believes nothing lost.</summary>
[Collection("one at a time")]
public sealed class Disks
{
    [Fact]
    public async Task A_disk_that_errs_drains_the_node_and_is_said_by_it()
    {
        await using var stage = await Stage.Stage.SetAsync();
        using var disk = new StageDisk(stage.At("one-disk"));
        var (node, id) = await BeginAsync(stage, disk, "i=0; while :; do i=$((i+1)); echo $i > /kept/$i && sync /kept/$i || exit 1; done");
        Assert.Null(Text(node, "broken"));

        disk.Fill();
        var why = $"the data disk {disk.Volumes}: ";
        await Wait.ForAsync("the node to see that its disk errs", () => Text(node, "broken") is { } said && said.StartsWith(why, StringComparison.Ordinal), stage.Logs);
        await Wait.ForAsync("the ledger to say it", async () => await DrainsAsync(stage, node) is { } said && said.StartsWith(why, StringComparison.Ordinal) ? said : null, stage.Logs);
        await Wait.ForAsync("a receipt to say it", async () => Last(await stage.BundleAsync(id), "kept") is { State: WorkloadState.Running, Reason: { } said } && said.StartsWith("it is read-only now", StringComparison.Ordinal) ? said : null, stage.Logs);
        // What writes to it runs, or is started again: it is told as well.
        await Wait.ForAsync("a receipt to say it of its writer", async () => Last(await stage.BundleAsync(id), "writer")?.Reason is { } said && said.StartsWith("its volume 'kept': it is read-only now", StringComparison.Ordinal) ? said : null, stage.Logs);
        await node.ClearAsync();
    }

    [Fact]
    public async Task A_disk_that_errs_under_what_a_machine_has_on_it_drains_the_node_as_well()
    {
        await using var stage = await Stage.Stage.SetAsync();
        using var disk = new StageDisk(stage.At("one-disk"));
        var (node, id) = await BeginAsync(stage, disk, "i=0; while :; do i=$((i+1)); echo $i > /kept/$i && sync /kept/$i || exit 1; done",
            besides: one => new Volume("blocks", one, Bytes.MiB(16), Media.Ssd, TimeSpan.Zero, VolumeForm.Disk));
        Assert.Null(Text(node, "broken"));

        // No file system of the volume's own is mounted here: it is the data disk's that says so, once that cannot write down what it does.
        disk.Fill();
        var fault = $"data disk {disk.Volumes}: it is read-only now";
        await Wait.ForAsync("the node to see that its disk errs", () => Text(node, "broken") is { } said && said.StartsWith($"the {fault}", StringComparison.Ordinal), stage.Logs);
        await Wait.ForAsync("the ledger to say it", async () => await DrainsAsync(stage, node) is { } said && said.StartsWith($"the {fault}", StringComparison.Ordinal) ? said : null, stage.Logs);
        await Wait.ForAsync("a receipt to say it", async () => Last(await stage.BundleAsync(id), "blocks") is { State: WorkloadState.Running, Reason: { } said } && said.StartsWith($"its {fault}", StringComparison.Ordinal) ? said : null, stage.Logs);
        await node.ClearAsync();
    }

    [Fact]
    public async Task A_bad_sector_under_a_file_drains_the_node_until_the_farmer_has_seen_to_it()
    {
        await using var stage = await Stage.Stage.SetAsync();
        using var disk = new StageDisk(stage.At("one-disk"));
        var (node, id) = await BeginAsync(stage, disk, "dd if=/dev/zero of=/kept/page bs=1M count=9 && sync && touch /kept/written; while :; do cat /kept/page > /dev/null; sleep 1; done");
        var pid = node.Running()["writer"];
        await Wait.ForAsync("the file", () => File.Exists($"/proc/{pid}/root/kept/written"), stage.Logs);
        Assert.Equal((null, null), (Text(node, "broken"), await DrainsAsync(stage, node)));

        // No record of any file system is hurt, and none of them says a word.
        disk.Lose($"/proc/{pid}/root/kept/page", Path.Combine(disk.Volumes, $"{id}.kept.image"));
        var why = await Wait.ForAsync("the node to see that its disk errs", () => Task.FromResult(Text(node, "broken")), stage.Logs);
        Assert.Matches($"^the data disk {disk.Volumes}: I/O error of loop[0-9]+, READ at sector [0-9]+, ", why);
        await Wait.ForAsync("the ledger to say it", async () => await DrainsAsync(stage, node) == why ? why : null, stage.Logs);
        await Wait.ForAsync("a receipt to say it", async () => Last(await stage.BundleAsync(id), "kept") is { State: WorkloadState.Running, Reason: { } said } && said == $"its {why[4..]}" ? said : null, stage.Logs);
        Assert.Equal(pid, node.Running()["writer"]);
        await node.StopAgentAsync();
        await node.StartAsync();
        await Wait.ForAsync("the next agent to say it", () => Text(node, "broken") == why, stage.Logs);

        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("the volume to be gone", async () => Last(await stage.BundleAsync(id), "kept") is { State: WorkloadState.Gone } said ? said : null, stage.Logs);
        Assert.Equal(why, Text(node, "broken"));
        disk.Mended();
        await Wait.ForAsync("the node to take new things again", async () => await DrainsAsync(stage, node) is null && Text(node, "broken") is null ? "so" : null, stage.Logs);
        await node.ClearAsync();
    }

    [Theory]
    [InlineData(false)]
    // Without the disk there is a directory all the same, and it is empty.
    [InlineData(true)]
    public async Task What_is_on_a_disk_that_is_away_is_unknown_and_not_gone(bool whole)
    {
        await using var stage = await Stage.Stage.SetAsync();
        using var disk = new StageDisk(stage.At("one-disk"), whole);
        var (node, id) = await BeginAsync(stage, disk, "echo kept > /kept/page; exec httpd -f -p 127.0.0.1:8080 -h /kept");
        disk.Move(away: true);
        // Its agreement ends: what has to be destroyed is there, wherever that is now.
        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("the container to be gone", async () => Last(await stage.BundleAsync(id), "writer") is { State: WorkloadState.Gone } said ? said : null, stage.Logs);
        Assert.Contains("is gone", Missed(await stage.BundleAsync(id)), StringComparison.Ordinal);
        Assert.Contains("is gone", await Wait.ForAsync("the ledger to say it", () => DrainsAsync(stage, node), stage.Logs), StringComparison.Ordinal);

        // Nor does an agent believe it that starts without the disk, and it still knows whose it was.
        var before = Receipts(await stage.BundleAsync(id)).Count();
        await node.StopAgentAsync();
        await node.StartAsync();
        await Wait.ForAsync("a receipt of the second agent", async () => Receipts(await stage.BundleAsync(id)).Skip(before).LastOrDefault(), stage.Logs);
        Assert.Contains("cannot be used", Missed(await stage.BundleAsync(id)), StringComparison.Ordinal);

        if (whole)
            Assert.Empty(Directory.GetFileSystemEntries(disk.Volumes));
        await node.StopAgentAsync();
        disk.Move(away: false);
        Assert.Single(Directory.GetFiles(disk.Volumes, "*.image"));
        await node.StartAsync();
        await Wait.ForAsync("the volume to be gone", async () => Last(await stage.BundleAsync(id), "kept") is { State: WorkloadState.Gone } said ? said : null, stage.Logs);
        Assert.Empty(Directory.GetFiles(disk.Volumes));
        await Wait.ForAsync("the node to take new things again", async () => await DrainsAsync(stage, node) is null && Text(node, "broken") is null ? "so" : null, stage.Logs);
        await node.ClearAsync();
    }

    [Fact]
    public async Task What_no_disk_has_room_for_is_refused_before_anything_changes()
    {
        await using var stage = await Stage.Stage.SetAsync();
        using var disk = new StageDisk(stage.At("one-disk"));
        using var second = new StageDisk(stage.At("second-disk"));
        var (node, id) = await BeginAsync(stage, disk, "echo kept > /kept/index.html; exec httpd -f -p 127.0.0.1:8080 -h /kept", second);
        var pid = node.Running()["writer"];

        // Both together have so much, by the ledger; each for itself has not.
        var large = stage.Terms(new Volume("large", node.Id, Bytes.MiB(100), Media.Ssd, TimeSpan.Zero));
        var refused = new AgreementId((await stage.SubmitAsync(stage.Proposal(large, stage.Farms[0]))).Statement.Id.Value);
        Assert.Equal(RefusalCode.Capacity, Assert.IsType<Agreement.Refused>((await stage.UntilAsync(refused, "refused")).Agreement).Code);
        await KeptAsync(stage, node, id, pid, version: 1);
        await node.ClearAsync();
    }

    [Fact]
    public async Task A_volume_grows_under_its_writer_or_where_that_cannot_be_is_refused_before_anything_changes()
    {
        await using var stage = await Stage.Stage.SetAsync();
        using var disk = new StageDisk(stage.At("one-disk"));
        var (node, id) = await BeginAsync(stage, disk, "echo kept > /kept/index.html; exec httpd -f -p 127.0.0.1:8080 -h /kept");
        var pid = node.Running()["writer"];
        Assert.InRange(Room(), 8 << 20, 16 << 20);
        var version = (await stage.BundleAsync(id)).Agreement.Version;
        var amended = stage.Priced(version.Terms with
        {
            Version = 2,
            Amends = new Amends(id, version.Id),
            Term = Stage.Stage.Term(),
            Workloads = [.. version.Terms.Workloads.Select(w => w is Volume v ? v with { Size = Bytes.MiB(32) } : w)],
        });
        await stage.SubmitAsync(stage.Proposal(amended, stage.Farms[0]));

        if (VolumeHost.CanGrow)
        {
            await Wait.ForAsync("the amendment to be in force", async () => (await stage.BundleAsync(id)).Agreement is { Version.Terms.Version: 2, Next: null } ? "so" : null, stage.Logs);
            // Its writer sees it, in the very view that it had.
            await Wait.ForAsync("the volume to be larger", () => Room() is > 24 << 20 and <= 32 << 20, stage.Logs);
        }
        else
        {
            var answer = await Wait.ForAsync("the refusal", async () => (await stage.BundleAsync(id)).History.Select(h => h.Statement.Payload.Body).OfType<WorkloadRefused>().FirstOrDefault(), stage.Logs);
            Assert.Equal(RefusalCode.GrowthUnsupported, answer.Code);
            Assert.Contains("CAP_SYS_RESOURCE", answer.Detail, StringComparison.Ordinal);
            Assert.Contains("Add a new volume and copy.", answer.Detail, StringComparison.Ordinal);
            Assert.InRange(Room(), 8 << 20, 16 << 20);
        }
        await KeptAsync(stage, node, id, pid, VolumeHost.CanGrow ? 2 : 1);
        await node.ClearAsync();

        // statvfs(3), as the writer would be told.
        long Room() => new DriveInfo($"/proc/{pid}/root/kept").TotalSize;
    }

    [Fact]
    public async Task A_volume_lies_on_the_kind_of_disk_that_was_agreed_and_all_that_is_offered_can_be_had()
    {
        await using var stage = await Stage.Stage.SetAsync();
        using var fast = new StageDisk(stage.At("fast"));
        using var slow = new StageDisk(stage.At("slow"));
        using var slower = new StageDisk(stage.At("slower"));
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one",
            options: _ => Task.FromResult<IEnumerable<string>>(["--disk", $"ssd:{fast.Volumes}", "--disk", $"hdd:{slow.Volumes}", "--disk", $"hdd:{slower.Volumes}"]));
        var offered = (await NodeAsync(stage, node)).GetProperty("offered");
        var (ssd, hdd) = (offered.GetProperty("ssd").GetInt64(), offered.GetProperty("hdd").GetInt64());
        Volume Of(string name, Media media, long size) => new(name, node.Id, new Bytes(size), media, TimeSpan.Zero);
        var flist = await stage.PublishAsync(Trees.Make(stage, "writer", root =>
        {
            Directory.CreateDirectory(Path.Combine(root, "kept"));
            Directory.CreateDirectory(Path.Combine(root, "quick"));
        }));
        var writer = Trees.Run("writer", node.Id, flist, "sh", "-c", "echo kept > /kept/page; echo quick > /quick/page; sleep 100000") with { Mounts = [new VolumeMount("/kept", "kept"), new VolumeMount("/quick", "quick")] };

        await stage.AgreeAsync(stage.Terms(writer, Of("kept", Media.Hdd, 16 << 20), Of("quick", Media.Ssd, ssd)), "running");
        Assert.Equal(["quick"], fast.Names());
        var kept = Assert.Single(new[] { slow, slower }, d => d.Names().Count > 0);
        Assert.Equal(["kept"], kept.Names());

        // Two disks are offered as one number: what is left is a whole disk, and the rest of the other.
        await stage.AgreeAsync(stage.Terms(Of("whole", Media.Hdd, hdd / 2)), "running");
        await stage.AgreeAsync(stage.Terms(Of("rest", Media.Hdd, hdd / 2 - (16 << 20))), "running");
        Assert.Equal(["kept", "rest"], kept.Names());
        Assert.Equal(["whole"], (kept == slow ? slower : slow).Names());
        Assert.Equal(["quick"], fast.Names());
        foreach (var media in new[] { Media.Ssd, Media.Hdd })
            Assert.Equal(RefusalCode.Capacity, await stage.RefusedAsync(stage.Proposal(stage.Terms(Of("more", media, 8 << 20)), stage.Farms[0])));
        await node.ClearAsync();
    }

    private static async Task<(StageNode Node, AgreementId Agreement)> BeginAsync(Stage.Stage stage, StageDisk disk, string script, StageDisk? second = null, Func<NodeId, Volume>? besides = null)
    {
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one", options: _ => Task.FromResult<IEnumerable<string>>(["--disk", $"ssd:{disk.Volumes}", .. second is null ? [] : (string[])["--disk", $"ssd:{second.Volumes}"]]));
        var flist = await stage.PublishAsync(Trees.Make(stage, "writer", root => Directory.CreateDirectory(Path.Combine(root, "kept"))));
        var writer = Trees.Run("writer", node.Id, flist, "sh", "-c", script) with { Mounts = [new VolumeMount("/kept", "kept")] };
        var volume = new Volume("kept", node.Id, Bytes.MiB(16), Media.Ssd, TimeSpan.Zero);
        return (node, await stage.AgreeAsync(stage.Terms([writer, volume, .. besides is null ? [] : (Workload[])[besides(node.Id)]]), "running"));
    }

    /// <summary>The same process serves what it wrote, by this version of its agreement, and nothing is broken.</summary>
    private static async Task KeptAsync(Stage.Stage stage, StageNode node, AgreementId id, int pid, int version)
    {
        Assert.Equal((version, null), await stage.BundleAsync(id) is { Agreement: var a } ? (a.Version.Terms.Version, a.Next) : default);
        Assert.Equal((pid, "kept\n"), (node.Running()["writer"], await Wait.ForAsync("its page", () => NamespacePage.TryGetAsync(pid, Trees.Loopback, default), stage.Logs)));
        Assert.Equal((null, null), (Text(node, "broken"), await DrainsAsync(stage, node)));
    }

    private static string Missed(VerifiedAgreement verified)
    {
        var said = Last(verified, "kept");
        Assert.Equal(WorkloadState.Failed, said?.State);
        return said!.Reason!;
    }

    private static IEnumerable<Receipt> Receipts(VerifiedAgreement verified) => verified.History.Select(h => h.Statement.Payload.Body).OfType<Receipt>();

    private static WorkloadReport? Last(VerifiedAgreement verified, string workload) => Receipts(verified).LastOrDefault()?.Workloads.Single(w => w.Name == workload);

    private static string? Text(StageNode node, string field) => File.Exists(node.StatusFile) && node.Status().TryGetProperty(field, out var value) ? value.GetString() : null;

    private static async Task<string?> DrainsAsync(Stage.Stage stage, StageNode node) =>
        (await NodeAsync(stage, node)).TryGetProperty("drains", out var drains) ? drains.GetString() : null;

    private static async Task<JsonElement> NodeAsync(Stage.Stage stage, StageNode node)
    {
        var answer = await stage.Client.NodeAsync(node.Id, default);
        Assert.True(answer.Try(out var view, out var refusal), refusal?.ToString());
        return view.Body.GetProperty("node");
    }
}
