using System.Collections.Concurrent;
using System.Globalization;
using Grid.Accounts;
using Grid.Client;
using Grid.Stories.Tests.Stage;
using Grid.Units;

namespace Grid.Stories.Tests;

/// <summary>kill -9 of the ledger and of its PostgreSQL under load: what was acknowledged is there, and the log is the same log.</summary>
[Collection("one at a time")]
public sealed class LedgerKills
{
    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task Every_acknowledged_statement_is_there_afterwards_in_the_same_history(bool killLedger, bool killPostgres)
    {
        await using var stage = await Stage.Stage.SetAsync(examine: false);
        // This client remembers the last checkpoint it saw and refuses a history that does not continue it.
        var seen = new MemoryCheckpointStore();
        using var client = new LedgerClient(new HttpClient { BaseAddress = stage.LedgerAddress }, new LedgerTrust(Stage.Stage.Origin, stage.LedgerKey), seen, TimeProvider.System);
        var acknowledged = new ConcurrentDictionary<StatementId, long>();
        using var stop = new CancellationTokenSource();
        var load = Enumerable.Range(0, 8).Select(lane => Task.Run(async () =>
        {
            for (var n = 0; !stop.IsCancellationRequested; n++)
            {
                var key = stage.Key($"lane-{lane}");
                var statement = Stage.Stage.Signed(null, new OpenAccount(new KeyPolicy([.. new[] { key.Public, stage.Key($"{lane}-{n}").Public }.Order()], 1)), key, stage.Key($"{lane}-{n}"));
                try
                {
                    if ((await client.SubmitAsync(statement, default)).Try(out var recorded, out _))
                        acknowledged[statement.Id] = recorded.Index;
                }
                catch (LedgerUnreachableException)
                {
                    // Nobody knows; it may be sent again. Only what was acknowledged counts here.
                    await Task.Delay(20);
                }
            }
        })).ToList();

        await Wait.ForAsync("some load", () => acknowledged.Count > 50, stage.Logs);
        if (killPostgres)
            Posix.Kill(PostmasterOf(stage));
        if (killLedger)
            await stage.Ledger.KillAsync();
        await stop.CancelAsync();
        await Task.WhenAll(load);
        // A ledger whose PostgreSQL died brings it back by itself; a ledger that died is started again by whoever runs it.
        if (killLedger)
            await stage.StartLedgerAsync(examine: false);
        using var http = new HttpClient { BaseAddress = stage.LedgerAddress };
        await Wait.ForAsync("the ledger to be ready again", async () => (await http.GetAsync("readyz")).IsSuccessStatusCode ? "ready" : null, stage.Logs);

        foreach (var (statement, index) in acknowledged)
        {
            var answer = await client.StatementAsync(statement, default);
            Assert.True(answer.Try(out var recorded, out var refusal), refusal?.ToString());
            Assert.Equal(index, recorded.Index);
        }
        Assert.NotNull(seen.Note);
    }

    private static int PostmasterOf(Stage.Stage stage) =>
        int.Parse(File.ReadLines(Path.Combine(stage.At("ledger"), "postgres", "data", "postmaster.pid")).First(), CultureInfo.InvariantCulture);
}
