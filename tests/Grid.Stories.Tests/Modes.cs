using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>What a node writes is nobody else's to read, also where the farmer made its directory and left it open.</summary>
[Collection("one at a time")]
public sealed class Modes
{
    private const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;

    [Fact]
    public async Task Nothing_that_is_secret_can_be_read_by_others_after_a_real_enrolment()
    {
        await using var stage = await Stage.Stage.SetAsync();
        Directory.CreateDirectory(stage.At("one-data"), (UnixFileMode)0b111_101_101);
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one");
        var flist = await stage.PublishAsync(Trees.Make(stage, "writer", root => Array.ForEach(["kept", "secret"], d => Directory.CreateDirectory(Path.Combine(root, d)))));
        var writer = Trees.Run("writer", node.Id, flist, "sh", "-c", "echo said; echo kept > /kept/page; sleep 100000") with { Mounts = [new VolumeMount("/kept", "kept")], Secrets = [await stage.SealAsync(node, "/secret/word", "unsaid")] };
        var id = await stage.AgreeAsync(stage.Terms(writer, new Volume("kept", node.Id, Bytes.MiB(16), Media.Ssd, TimeSpan.Zero)), "running");
        await Wait.ForAsync("its log", () => node.Log(id, "writer").Contains("said", StringComparison.Ordinal), stage.Logs);
        // What it is writing just now has another name, which is gone before it can be looked at.
        await node.StopAgentAsync();
        Assert.Equal((UnixFileMode)0b111_101_101, File.GetUnixFileMode(node.Data));

        Assert.Equal((UnixFileMode)0b110_000_000, File.GetUnixFileMode(Path.Combine(node.Data, "node.key")));
        Assert.Equal((UnixFileMode)0b110_000_000, File.GetUnixFileMode(stage.At("ledger.key")));
        Assert.Equal((UnixFileMode)0b111_000_000, File.GetUnixFileMode(Path.Combine(node.Data, "logs")));
        Assert.Equal((UnixFileMode)0b111_000_000, File.GetUnixFileMode(Path.Combine(node.Data, "volumes")));
        // What the ledger tells everybody, what the node says of itself, and how far it has come.
        string[] known = ["agent.lock", "agreements", "heard", "join.cose", "joined", "receipts", "report.cbor", "seen.checkpoint", "status.json"];
        Assert.All(Open(node.Data, node.Data), f => Assert.Contains(f.Split('/')[0], known));
        Assert.All(Open(node.Run, node.Run), f => Assert.Equal("machines/accelerator", f));
        Assert.All(Open(node.Data, node.Data), f => Assert.Equal(UnixFileMode.None, File.GetUnixFileMode(Path.Combine(node.Data, f)) & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)));
        await node.ClearAsync();
    }

    /// <summary>The files below a directory that whoever is no owner can reach and read.</summary>
    private static IEnumerable<string> Open(string root, string directory)
    {
        if ((File.GetUnixFileMode(directory) & (UnixFileMode.OtherExecute | UnixFileMode.GroupExecute)) == 0)
            yield break;
        foreach (var file in Directory.EnumerateFiles(directory).Where(f => new FileInfo(f).LinkTarget is null && (File.GetUnixFileMode(f) & Others) != 0))
            yield return Path.GetRelativePath(root, file);
        foreach (var below in Directory.EnumerateDirectories(directory).Where(d => new DirectoryInfo(d).LinkTarget is null).SelectMany(d => Open(root, d)))
            yield return below;
    }
}
