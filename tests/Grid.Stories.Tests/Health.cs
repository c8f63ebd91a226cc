using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Grid.Agreements;
using Grid.Node.Containers;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>A container runs for others when it answers, not when its process is there.</summary>
[Collection("one at a time")]
public sealed class Health
{
    private static readonly IPEndPoint Director = new(IPAddress.Loopback, 9000);

    // Who calls the director's port lets the play go on: it serves its page, then it does not any more. Asked to end it ends well, with 0.
    private const string Play = """
        trap 'exit 0' TERM
        cue() { busybox nc -l -p 9000 & wait $!; }
        mkdir /tmp/www; echo ok > /tmp/www/healthz
        cue
        busybox httpd -f -p 127.0.0.1:8080 -h /tmp/www & page=$!
        cue
        kill $page
        cue
        """;

    [Fact]
    public async Task What_answers_late_runs_late_and_what_stops_answering_is_ended_and_started_again()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one");
        var flist = await stage.PublishAsync(Trees.Make(stage, "play"));
        const int Failures = 6;
        var web = Trees.Run("web", node.Id, flist, "sh", "-c", Play) with
        {
            Health = new Workloads.Health("/healthz", 8080, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1), Failures),
            Restart = new RestartPolicy(RestartWhen.OnFailure, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(8)),
        };
        var id = await stage.AgreeAsync(stage.Terms(web), "ready");

        // Its process is there, and does not do its work.
        await ReportedAsync(stage, id, r => r is { State: WorkloadState.Starting, Generation: 1, Reason: "not healthy yet: connection refused on 8080" });
        Assert.Equal("ready", (await stage.BundleAsync(id)).Agreement.Status);
        Assert.Equal("starting", node.Status().GetProperty("workloads")[0].GetProperty("phase").GetString());
        await CueAsync(node);
        var running = await stage.UntilAsync(id, "running");
        Assert.Equal(1, Reports(running).Last().Generation);

        // Another agent adopts it: what was said holds, and nothing of it is disturbed.
        var process = node.Processes().Single().Value;
        await node.KillAgentAsync();
        await node.StartAsync();
        await ReportedAsync(stage, id, r => r is { State: WorkloadState.Running, Generation: 1 }, from: Reports(running).Count);

        // It lives, and its page does not.
        await CueAsync(node);
        await ReportedAsync(stage, id, r => r is { State: WorkloadState.Failed, Generation: 1, ExitCode: 0 } && r.Reason == $"unhealthy: connection refused on 8080, {Failures} times");
        await ReportedAsync(stage, id, r => r is { State: WorkloadState.Starting, Generation: 2, Restarts: 1 });
        Assert.NotEqual(process, node.Processes().Single().Value);
        await CueAsync(node);
        var back = await ReportedAsync(stage, id, r => r is { State: WorkloadState.Running, Generation: 2, Restarts: 1, Reason: null });
        Assert.DoesNotContain(Reports(back).SkipWhile(r => r.State is not WorkloadState.Running).TakeWhile(r => r.State is not WorkloadState.Failed), r => r.State is WorkloadState.Starting);

        // Whoever asks why is told.
        Assert.Contains($"workload failed: start 1, exit code 0, unhealthy: connection refused on 8080, {Failures} times", (await stage.ExplainAsync(id, "web")).Steps);

        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("it to be gone", () => node.EveryTrace().Count == 0, stage.Logs);
    }

    private static List<WorkloadReport> Reports(VerifiedAgreement verified) => [.. verified.History.Select(h => h.Statement.Payload.Body).OfType<Receipt>().SelectMany(r => r.Workloads)];

    private static Task<VerifiedAgreement> ReportedAsync(Stage.Stage stage, AgreementId id, Predicate<WorkloadReport> wanted, int from = 0) => Wait.ForAsync("the receipt", async () =>
    {
        var bundle = await stage.BundleAsync(id);
        return Reports(bundle).Skip(from).Any(r => wanted(r)) ? bundle : null;
    }, stage.Logs);

    // From inside, as the node asks; and again until somebody listens.
    private static Task CueAsync(StageNode node) => Wait.ForAsync("the play to go on", async () =>
    {
        try
        {
            using var _ = await NamespaceDialer.ConnectAsync(node.Processes().Single().Value, Director, default);
            return "gone on";
        }
        catch (Exception e) when (e is SocketException or InvalidOperationException)
        {
            return null;
        }
    });
}
