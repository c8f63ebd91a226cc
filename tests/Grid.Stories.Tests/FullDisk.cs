using System.Diagnostics;
using Grid.Agreements;
using Grid.Stories.Tests.Stage;
using Grid.Units;

namespace Grid.Stories.Tests;

/// <summary>A node whose disk is full keeps what it has, says why it does no more, and goes on where it was once there is room.</summary>
[Collection("one at a time")]
public sealed class FullDisk
{
    [Fact]
    public async Task What_runs_goes_on_and_what_is_new_waits_for_room()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var data = stage.At("one-data");
        Directory.CreateDirectory(data);
        using (var mount = Process.Start("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=24m,mode=700", "grid-story", data]))
        {
            await mount.WaitForExitAsync();
            Assert.Equal(0, mount.ExitCode);
        }
        try
        {
            var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one");
            var flist = await stage.PublishAsync(Trees.Make(stage, "web"));
            await stage.AgreeAsync(stage.Terms(Trees.Web("first", node.Id, flist)), "running");
            var pid = node.Running()["first"];

            var filler = Path.Combine(data, "filler");
            Fill(filler);
            var second = new AgreementId((await stage.SubmitAsync(stage.Proposal(stage.Terms(Trees.Web("second", node.Id, flist)), stage.Farms[0]))).Statement.Id.Value);
            await Wait.ForAsync("the node to say that its disk is full", () => stage.Logs().Contains("No space left on device", StringComparison.Ordinal), stage.Logs);
            Assert.Equal((pid, "agreed"), (node.Running()["first"], (await stage.BundleAsync(second)).Agreement.Status));

            File.Delete(filler);
            await stage.UntilAsync(second, "running");
            Assert.Equal(pid, node.Running()["first"]);
            await node.ClearAsync();
        }
        finally
        {
            Posix.Detach(data);
        }
    }

    private static void Fill(string path)
    {
        using var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write);
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
}
