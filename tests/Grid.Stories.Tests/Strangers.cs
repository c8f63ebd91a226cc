using System.Diagnostics;
using Grid.Agreements;
using Grid.Stories.Tests.Stage;

namespace Grid.Stories.Tests;

/// <summary>Whoever has root on a node puts a process into a workload: the next sweep finds it, says so and ends it.</summary>
[Collection("one at a time")]
public sealed class Strangers
{
    [Fact]
    public async Task A_process_that_joins_a_workload_is_told_and_ended_and_the_workload_runs_on()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one");
        var id = await stage.AgreeAsync(stage.Terms(Trees.Web("web", node.Id, await stage.PublishAsync(Trees.Make(stage, "web")))), "running");
        var pid = node.Running()["web"];
        // Ends by itself where the story fails.
        using var stranger = Process.Start("/usr/bin/sleep", "120");
        foreach (var group in node.Groups(id, "web"))
            await File.WriteAllTextAsync(Path.Combine(group, "cgroup.procs"), $"{stranger.Id}");

        await Wait.ForAsync("the stranger to be ended", () => stranger.HasExited, () => node.Status() + stage.Logs());
        Assert.Equal(128 + 9, stranger.ExitCode);
        await Wait.ForAsync("the node to tell that it is gone", () => node.Status().GetProperty("strangers").EnumerateArray().Any(s => !s.GetProperty("there").GetBoolean()), () => node.Status() + stage.Logs());
        var told = node.Status().GetProperty("strangers").EnumerateArray().Single(s => s.GetProperty("path").GetString() == "/usr/bin/sleep");
        Assert.Equal((id.ToString(), "web", stranger.Id), (told.GetProperty("agreement").GetString(), told.GetProperty("workload").GetString(), told.GetProperty("pid").GetInt32()));
        Assert.Contains($"A stranger runs in {id}/web: process {stranger.Id}, /usr/bin/sleep", stage.Logs(), StringComparison.Ordinal);
        Assert.Equal(pid, node.Running()["web"]);
        Assert.Equal("running", (await stage.BundleAsync(id)).Agreement.Status);

        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace()) + stage.Logs());
    }
}
