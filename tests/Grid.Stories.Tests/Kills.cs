using Grid.Agreements;
using Grid.Stories.Tests.Stage;
using Grid.Units;

namespace Grid.Stories.Tests;

/// <summary>kill -9 at random moments, as a power cut or an oom-killer would.</summary>
[Collection("one at a time")]
public sealed class Kills
{
    // In milliseconds.
    private const int Part = 15;

    [Fact]
    public async Task Twenty_kills_of_the_agent_leave_every_container_with_its_pid_and_nothing_doubled()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "left");
        var flist = await stage.PublishAsync(Trees.Make(stage, "web"));
        var random = new Random(20);
        var pids = new Dictionary<string, int>();
        var running = new List<AgreementId>();
        var converging = 0;
        for (var kill = 0; kill < 20; kill++)
        {
            // Half of the kills come while it converges, half while it idles.
            var name = $"web-{kill:d2}";
            AgreementId? fresh = null;
            if (kill % 2 == 0)
            {
                var terms = stage.Terms(Trees.Web(name, node.Id, flist));
                fresh = new AgreementId((await stage.SubmitAsync(stage.Proposal(terms, stage.Farms[0]))).Statement.Id.Value);
            }
            // To converge takes about a tenth of a second: each of the ten such kills has its own part of a tenth and a half.
            await Task.Delay(fresh is null ? random.Next(600) : (kill / 2 * Part) + random.Next(Part));
            await node.KillAgentAsync();
            // Also what was just being started is kept as it is.
            var kept = node.Running();
            foreach (var (workload, pid) in pids)
                Assert.Equal(pid, kept.GetValueOrDefault(workload));
            await node.StartAsync();
            if (fresh is { } id)
            {
                await stage.UntilAsync(id, "running");
                pids[name] = node.Running()[name];
                if (kept.TryGetValue(name, out var first))
                    Assert.Equal(first, pids[name]);
                else
                    converging++;
                running.Add(id);
                if (kill % 4 == 0)
                {
                    running.Remove(id);
                    await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
                    pids.Remove(name);
                }
            }
            foreach (var (workload, pid) in pids)
                Assert.Equal(pid, node.Running().GetValueOrDefault(workload));
        }
        // At least the first three come within 45 ms, in which the node is to fetch and check a proof, have its word written to the ledger's disk, fetch the
        // next proof and start a process: a fast machine does not. On a slow one still more of them come before the process, never fewer.
        Assert.True(converging >= 3, $"Only {converging} of the ten kills came before the fresh workload ran.");
        await Wait.ForAsync("what was cancelled to be gone", () => node.Running().Count == pids.Count, stage.Logs);
        Assert.Equal(pids.OrderBy(p => p.Key), node.Running().OrderBy(p => p.Key));
        // One mount of the flist, one root for each container in a place of its own, and nothing else.
        await Wait.ForAsync("nothing to be left over", () => node.Traces().Count == 1 + 3 * pids.Count, stage.Logs);
        // As the kernel counts: each program once, a shim for each, and the two processes of the mount, while one of those that began with it is there.
        Assert.Equal(pids.Count, Count("httpd\0"));
        await Wait.ForAsync("each to have its shim, and the mount its two processes", () => node.Mentioning().Count == pids.Count + (2 * node.Served()),
            () => string.Join('\n', node.Mentioning().Select(p => $"{p} {StageNode.Reads($"/proc/{p}/cmdline").Replace('\0', ' ')}")) + stage.Logs());

        foreach (var id in running)
            await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace()) + stage.Logs());
        await Wait.ForAsync("the agent to be alone", () => node.Mentioning().Count == 0, () => string.Join(' ', node.Mentioning()) + stage.Logs());
        Assert.Equal(0, Count("httpd\0"));

        int Count(string argument) => Directory.EnumerateDirectories("/proc").Count(p => int.TryParse(Path.GetFileName(p), out _) && StageNode.Reads(Path.Combine(p, "cmdline")).Contains(argument, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_killed_workload_comes_back_and_the_receipt_says_so()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "left");
        var id = await stage.AgreeAsync(stage.Terms(Trees.Web("web", node.Id, await stage.PublishAsync(Trees.Make(stage, "web")))), "running");
        var before = node.Running()["web"];
        Posix.Kill(before);
        await Wait.ForAsync("it to run again", () => node.Running().TryGetValue("web", out var pid) && pid != before, stage.Logs);
        await Wait.ForAsync("the receipt", async () => (await stage.BundleAsync(id)).History.Select(h => h.Statement.Payload.Body).OfType<Receipt>()
            .Any(r => r.Workloads[0] is { Restarts: 1, State: WorkloadState.Running }) ? "seen" : null, stage.Logs);
    }

    [Fact]
    public async Task A_ledger_that_is_away_ends_nothing_and_an_end_it_recorded_meanwhile_is_found()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "left");
        var id = await stage.AgreeAsync(stage.Terms(Trees.Web("web", node.Id, await stage.PublishAsync(Trees.Make(stage, "web")))), "running");
        var pid = node.Running()["web"];
        await stage.Ledger.KillAsync();
        await node.KillAgentAsync();
        await node.StartAsync();
        Assert.Equal(pid, node.Running()["web"]);
        await stage.StartLedgerAsync(examine: true);
        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("it to be gone", () => node.Traces().Count == 0, stage.Logs);
    }
}
