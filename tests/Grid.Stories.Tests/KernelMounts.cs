using System.Security.Cryptography;
using Grid.Agreements;
using Grid.Flists.Cache;
using Grid.Flists.Mount;
using Grid.Node.Containers;
using Grid.Stories.Tests.Stage;
using Grid.Units;

namespace Grid.Stories.Tests;

/// <summary>An flist is served by a daemon while it comes, and shown by the kernel once it is all there.</summary>
[Collection("one at a time")]
public sealed class KernelMounts
{
    [Fact]
    public async Task What_came_with_one_container_is_shown_to_the_next_by_the_kernel_alone()
    {
        Assert.SkipUnless(Environment.OSVersion.Version >= new System.Version(6, 12), "this kernel mounts no EROFS from a file (Linux 6.12)");
        await using var stage = await Stage.Stage.SetAsync();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "left");
        var large = RandomNumberGenerator.GetBytes((3 << 20) + 17);
        var flist = await stage.PublishAsync(Trees.Make(stage, "web", root => File.WriteAllBytes(Path.Combine(root, "large"), large)));

        var first = await stage.AgreeAsync(stage.Terms(Trees.Web("first", node.Id, flist)), "running");
        Assert.Equal(1, node.Served());
        await Wait.ForAsync("everything to be here", () => WholeFlist.TryFind(Path.Combine(node.Data, "flists"), flist) is not null, stage.Logs);
        var second = await stage.AgreeAsync(stage.Terms(Trees.Web("second", node.Id, flist)), "running");
        Assert.False(Root(first).IsComposed);
        Assert.True(Root(second).IsComposed);
        Assert.Equal(Root(first).Root, Root(second).Root);

        // Who opens which way is nothing to the agent that comes after.
        var running = node.Running();
        await node.KillAgentAsync();
        await node.StartAsync();
        await Wait.ForAsync("the agent to have looked", () => node.Running().Count == 2, stage.Logs);
        Assert.Equal(running.OrderBy(r => r.Key), node.Running().OrderBy(r => r.Key));
        foreach (var pid in running.Values)
            Assert.Equal(large, await File.ReadAllBytesAsync($"/proc/{pid}/root/large"));
        foreach (var process in node.Processes().Values)
            Assert.Empty(Census.Take(process, [process.Pid]));

        // Both of a mount's processes at once, which nothing survives that is served by them; what the kernel shows is nothing to them.
        foreach (var verb in (string[])[MountVerbs.Supervisor, MountVerbs.Daemon])
            Posix.Kill(node.Mentioning().Single(p => StageNode.Reads($"/proc/{p}/cmdline").Contains(verb, StringComparison.Ordinal)));
        await Wait.ForAsync("the one that it served to run again", () => node.Running().TryGetValue("first", out var pid) && pid != running["first"], stage.Logs);
        Assert.True(Root(first).IsComposed);
        await Wait.ForAsync("two shims to be left", () => node.Served() == 0 && node.Mentioning().Count == 2, stage.Logs);
        Assert.Equal(running["second"], node.Running()["second"]);
        foreach (var pid in node.Running().Values)
            Assert.Equal(large, await File.ReadAllBytesAsync($"/proc/{pid}/root/large"));
        foreach (var agreement in (AgreementId[])[first, second])
            await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(agreement), "user"));
        await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace()) + stage.Logs());

        MountedFlist Root(AgreementId id) => FlistMount.All().Single(m => m.Mountpoint.StartsWith(node.Run, StringComparison.Ordinal) && m.Mountpoint.Contains(id.ToString(), StringComparison.Ordinal));
    }
}
