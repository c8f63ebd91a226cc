using System.Diagnostics;
using System.Text.Json;
using Grid.Agreements;
using Grid.Cli.Up;
using Grid.Node.Volumes;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>A data disk of a node's own, a file system in a file: one that errs, and one that is away for a while. The node drains, says why, and believes nothing lost.</summary>
[Collection("one at a time")]
public sealed class Disks
{
    [Fact]
    public async Task A_disk_that_errs_drains_the_node_and_is_said_by_it()
    {
        await using var stage = await Stage.Stage.SetAsync();
        using var disk = new DataDisk(stage.At("one-disk"));
        var (node, id) = await BeginAsync(stage, disk, "i=0; while :; do i=$((i+1)); echo $i > /kept/$i && fsync /kept/$i || exit 1; done");
        Assert.Null(Text(node, "broken"));

        disk.Fill();
        // An error is counted a moment before the file system stops writing; a look may fall between.
        var why = await Wait.ForAsync("the node to see that its disk errs", () => Task.FromResult(Text(node, "broken") is { } said && said.StartsWith($"the volume {id}/kept: it is read-only now", StringComparison.Ordinal) ? said : null), stage.Logs);
        await Wait.ForAsync("the ledger to say it", async () => await DrainsAsync(stage, node) == why ? why : null, stage.Logs);
        await Wait.ForAsync("a receipt to say it", async () => Last(await stage.BundleAsync(id), "kept") is { State: WorkloadState.Running, Reason: { } said } && why.EndsWith(said, StringComparison.Ordinal) ? said : null, stage.Logs);
        // What writes to it runs, or is started again: it is told as well.
        await Wait.ForAsync("a receipt to say it of its writer", async () => Last(await stage.BundleAsync(id), "writer")?.Reason is { } said && said.StartsWith("its volume 'kept': it is read-only now", StringComparison.Ordinal) ? said : null, stage.Logs);
        await node.ClearAsync();
    }

    [Fact]
    public async Task What_is_on_a_disk_that_is_away_is_unknown_and_not_gone()
    {
        await using var stage = await Stage.Stage.SetAsync();
        using var disk = new DataDisk(stage.At("one-disk"));
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
    public async Task What_no_disk_has_room_for_or_what_cannot_grow_here_is_refused_before_anything_changes()
    {
        await using var stage = await Stage.Stage.SetAsync();
        using var disk = new DataDisk(stage.At("one-disk"));
        using var second = new DataDisk(stage.At("second-disk"));
        var (node, id) = await BeginAsync(stage, disk, "echo kept > /kept/index.html; exec httpd -f -p 127.0.0.1:8080 -h /kept", second);
        var pid = node.Running()["writer"];

        // Both together have so much, by the ledger; each for itself has not.
        var large = stage.Terms(new Volume("large", node.Id, Bytes.MiB(100), Media.Ssd, TimeSpan.Zero));
        var refused = new AgreementId((await stage.SubmitAsync(stage.Proposal(large, stage.Farms[0]))).Statement.Id.Value);
        Assert.Equal(RefusalCode.Capacity, Assert.IsType<Agreement.Refused>((await stage.UntilAsync(refused, "refused")).Agreement).Code);

        if (!VolumeHost.CanGrow)
        {
            var version = (await stage.BundleAsync(id)).Agreement.Version;
            var amended = stage.Priced(version.Terms with
            {
                Version = 2,
                Amends = new Amends(id, version.Id),
                Term = Stage.Stage.Term(),
                Workloads = [.. version.Terms.Workloads.Select(w => w is Volume v ? v with { Size = Bytes.MiB(32) } : w)],
            });
            await stage.SubmitAsync(stage.Proposal(amended, stage.Farms[0]));
            var answer = await Wait.ForAsync("the refusal", async () => (await stage.BundleAsync(id)).History.Select(h => h.Statement.Payload.Body).OfType<WorkloadRefused>().FirstOrDefault(), stage.Logs);
            Assert.Equal(RefusalCode.GrowthUnsupported, answer.Code);
            Assert.Contains("CAP_SYS_RESOURCE", answer.Detail, StringComparison.Ordinal);
            Assert.Contains("Add a new volume and copy.", answer.Detail, StringComparison.Ordinal);
        }
        Assert.Equal((1, null), await stage.BundleAsync(id) is { Agreement: var a } ? (a.Version.Terms.Version, a.Next) : default);
        Assert.Equal((pid, "kept\n"), (node.Running()["writer"], await Wait.ForAsync("its page", () => NamespacePage.TryGetAsync(pid, Trees.Loopback, default), stage.Logs)));
        Assert.Equal((null, null), (Text(node, "broken"), await DrainsAsync(stage, node)));
        await node.ClearAsync();
    }

    [Fact]
    public async Task A_volume_lies_on_the_kind_of_disk_that_was_agreed_and_all_that_is_offered_can_be_had()
    {
        await using var stage = await Stage.Stage.SetAsync();
        using var fast = new DataDisk(stage.At("fast"));
        using var slow = new DataDisk(stage.At("slow"));
        using var slower = new DataDisk(stage.At("slower"));
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

    private static async Task<(StageNode Node, AgreementId Agreement)> BeginAsync(Stage.Stage stage, DataDisk disk, string script, DataDisk? second = null)
    {
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one", options: _ => Task.FromResult<IEnumerable<string>>(["--disk", $"ssd:{disk.Volumes}", .. second is null ? [] : (string[])["--disk", $"ssd:{second.Volumes}"]]));
        var flist = await stage.PublishAsync(Trees.Make(stage, "writer", root => Directory.CreateDirectory(Path.Combine(root, "kept"))));
        var writer = Trees.Run("writer", node.Id, flist, "sh", "-c", script) with { Mounts = [new VolumeMount("/kept", "kept")] };
        return (node, await stage.AgreeAsync(stage.Terms(writer, new Volume("kept", node.Id, Bytes.MiB(16), Media.Ssd, TimeSpan.Zero)), "running"));
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

    /// <summary>
    /// <code>
    /// ROOT          a memory file system, so that there is an end to it
    /// ROOT/raw      the disk, as large as that and taking its room as it is written
    /// ROOT/there    where the disk is mounted
    /// ROOT/away     where it is mounted while it is not there
    /// </code>
    /// </summary>
    private sealed class DataDisk : IDisposable
    {
        private readonly string _root;

        public DataDisk(string root)
        {
            _root = root;
            foreach (var directory in new[] { root, There, Away })
            {
                Directory.CreateDirectory(directory);
                if (directory == root)
                    Execute("/usr/bin/mount", "-t", "tmpfs", "--make-private", "-o", "size=96m", "grid-story", root);
            }
            using (var raw = File.Create(Path.Combine(root, "raw")))
                raw.SetLength(96 << 20);
            Execute("/usr/sbin/mkfs.ext4", "-q", "-F", Path.Combine(root, "raw"));
            Execute("/usr/bin/mount", "-o", "loop", Path.Combine(root, "raw"), There);
            Directory.CreateDirectory(Volumes);
        }

        public string Volumes => Path.Combine(There, "volumes");

        /// <summary>Of the volumes that lie here.</summary>
        public IReadOnlyList<string> Names() => [.. Directory.GetFiles(Volumes, "*.image").Select(f => Path.GetFileName(f).Split('.')[1]).Order(StringComparer.Ordinal)];

        private string There => Path.Combine(_root, "there");

        private string Away => Path.Combine(_root, "away");

        /// <summary>From here on no sector can be written that was not before.</summary>
        public void Fill()
        {
            using var file = File.OpenHandle(Path.Combine(_root, "filling"), FileMode.Create, FileAccess.Write);
            var (page, at) = (new byte[4096], 0L);
            try
            {
                for (; ; at += page.Length)
                    RandomAccess.Write(file, page, at);
            }
            catch (IOException)
            {
                // Full, which was wanted.
            }
        }

        public void Move(bool away) => Execute("/usr/bin/mount", "--move", away ? There : Away, away ? Away : There);

        public void Dispose()
        {
            foreach (var mount in new[] { Away, There, _root })
                Posix.Detach(mount);
        }

        private static void Execute(string program, params string[] arguments)
        {
            using var process = Process.Start(program, arguments);
            process.WaitForExit();
            Assert.Equal(0, process.ExitCode);
        }
    }
}
