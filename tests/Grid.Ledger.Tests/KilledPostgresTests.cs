using System.Diagnostics;
using Grid.Ledger.Postgres;
using Grid.Ledger.Sequencing;
using Grid.Ledger.Store;
using Grid.Log;
using Grid.Statements;
using Grid.Tests.World;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Ledger.Tests;

public sealed class KilledPostgresTests(PostgresFixture postgres) : IDisposable
{
    private readonly string _directory = postgres.CopyCluster();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task What_was_acknowledged_survives_a_server_killed_under_load_and_still_proves_itself()
    {
        using var grid = new TestGrid();
        await using var server = await EmbeddedPostgres.StartAsync(_directory, PostgresBinaries.Find(), NullLogger<EmbeddedPostgres>.Instance, Stop);
        await using var store = await LedgerStore.OpenAsync(server.ConnectionString, Stop);
        await using var sequencer = await Sequencer.StartAsync(
            store, Rig.Options, grid.Key("ledger"), new TestClock(TestGrid.Epoch), NullLogger<Sequencer>.Instance, Stop);
        var statements = Enumerable.Range(0, 800).Select(i => grid.Open(1, $"account-{i}")).ToArray();
        var acknowledged = new Recording?[statements.Length];
        var kills = 0;

        // Callers ask again until they know; that is all a caller has to do.
        var callers = Parallel.ForEachAsync(Enumerable.Range(0, statements.Length), new ParallelOptions { MaxDegreeOfParallelism = 32, CancellationToken = Stop }, async (i, stop) =>
            await Until.True(async () =>
            {
                if (await sequencer.SubmitAsync(statements[i].Bytes, stop) is Answer.Recorded recorded)
                    acknowledged[i] = recorded.Recording;
                return acknowledged[i] is not null;
            }, stop));
        foreach (var progress in new[] { 150, 350, 550 })
        {
            await Until.True(() => sequencer.Current.Size > progress, Stop);
            var killed = server.ProcessId;
            Process.GetProcessById(killed).Kill();
            kills++;
            await Until.True(() => server.ProcessId != killed && sequencer.IsReady, Stop);
        }
        await callers;

        Assert.Equal(statements.Length + 1, sequencer.Current.Size);
        var now = sequencer.Current;
        Assert.True(Checkpoint.TryVerify(now.Checkpoint, TestGrid.Origin, grid.Key("ledger").Public, out var newest));
        for (var i = 0; i < statements.Length; i++)
        {
            var recording = acknowledged[i]!;
            Assert.Equal(recording.Entry.ToArray(), (await sequencer.Entries.EntryAsync(recording.Index, Stop)).ToArray());
            Assert.True(Checkpoint.TryVerify(recording.Checkpoint, TestGrid.Origin, grid.Key("ledger").Public, out var seen));
            var leaf = Entry.Decode(recording.Entry).LeafHash;
            Assert.True(MerkleTree.VerifyInclusion(leaf, recording.Index, seen.Size, recording.Path.AsSpan(), seen.Root));
            Assert.True(MerkleTree.VerifyConsistency(seen.Size, newest.Size, now.Tree.ConsistencyPath(seen.Size, newest.Size).AsSpan(), seen.Root, newest.Root));
        }
        Assert.Equal(3, kills);
    }
}
