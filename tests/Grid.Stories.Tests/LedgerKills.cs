using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Grid.Accounts;
using Grid.Client;
using Grid.Log;
using Grid.Statements;
using Grid.Stories.Tests.Stage;
using Grid.Units;

namespace Grid.Stories.Tests;

/// <summary>kill -9 of the ledger and of its PostgreSQL under load, again and again: what was acknowledged is there, and the log is the same log.</summary>
[Collection("one at a time")]
public sealed class LedgerKills
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

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
            var key = stage.Key($"lane-{lane}");
            while (!stop.IsCancellationRequested)
            {
                // Each lies between guard pages: as many as a quick machine sends would be more mappings than a process may have.
                using var other = SigningKey.FromSeed(RandomNumberGenerator.GetBytes(SigningKey.SeedSize));
                var statement = Stage.Stage.Signed(null, new OpenAccount(new KeyPolicy([.. new[] { key.Public, other.Public }.Order()], 1)), key, other);
                while (!stop.IsCancellationRequested && !await SentAsync(statement))
                    await Task.Delay(20);
            }
        })).ToList();

        var random = new Random(5);
        for (var round = 0; round < 3; round++)
        {
            var moment = acknowledged.Count + random.Next(20, 150);
            await Wait.ForAsync("some load", () => acknowledged.Count >= moment || load.Any(l => l.IsFaulted), stage.Logs);
            Assert.True(Checkpoint.TryVerify(seen.Note, Stage.Stage.Origin, stage.LedgerKey, out var before));
            var known = acknowledged.Where(a => a.Value < before.Size).ToList();
            Assert.NotEmpty(known);
            if (killPostgres)
                Posix.Kill(PostmasterOf(stage));
            if (killLedger)
                await stage.Ledger.KillAsync();
            // A ledger whose PostgreSQL died brings it back by itself; a ledger that died is started again by whoever runs it. Nobody stops sending.
            if (killLedger)
                await stage.StartLedgerAsync(examine: false);
            var after = acknowledged.Count;
            await Wait.ForAsync("the ledger to go on", () => acknowledged.Count > after + 50 || load.Any(l => l.IsFaulted), stage.Logs);

            var newest = (await AskedAsync(() => client.CheckpointAsync(default))).Checkpoint;
            Assert.True(newest.Size > before.Size);
            Assert.True(await AskedAsync(() => client.ConsistencyAsync(before, newest, default)));
            foreach (var (statement, index) in known)
            {
                var recorded = await AskedAsync(() => client.StatementAsync(statement, default));
                Assert.Equal(index, recorded.Index);
                // In the very log that was shown before anybody was killed.
                var path = await AskedAsync(() => client.InclusionAsync(index, before.Size, default));
                Assert.True(MerkleTree.VerifyInclusion(Entry.Record(index, recorded.Time, recorded.Statement.Bytes).LeafHash, index, before.Size, path.AsSpan(), before.Root));
            }
        }
        await stop.CancelAsync();
        await Task.WhenAll(load);
        foreach (var (statement, index) in acknowledged)
            Assert.Equal(index, (await AskedAsync(() => client.StatementAsync(statement, default))).Index);

        // False: nobody knows whether it was recorded. It is sent again, and only what was acknowledged counts here.
        async Task<bool> SentAsync(Statement statement)
        {
            try
            {
                acknowledged[statement.Id] = Given(await client.SubmitAsync(statement, default)).Index;
                return true;
            }
            catch (LedgerUnreachableException)
            {
                return false;
            }
        }
    }

    // One address is answered so many requests a second, and a quick machine asks more: it is told to come again.
    private static async Task<T> AskedAsync<T>(Func<Task<Answer<T>>> ask)
    {
        for (var clock = Stopwatch.StartNew(); ; await Task.Delay(TimeSpan.FromMilliseconds(100)))
        {
            try
            {
                return Given(await ask());
            }
            catch (LedgerUnreachableException) when (clock.Elapsed < Patience)
            {
                // Nothing is said of what was asked for.
            }
        }
    }

    private static T Given<T>(Answer<T> answer)
    {
        Assert.True(answer.Try(out var value, out var refusal), refusal?.ToString());
        return value;
    }

    private static int PostmasterOf(Stage.Stage stage) =>
        int.Parse(File.ReadLines(Path.Combine(stage.At("ledger"), "postgres", "data", "postmaster.pid")).First(), CultureInfo.InvariantCulture);
}
