using Grid.Ledger.Sequencing;
using Grid.Ledger.Store;
using Grid.Log;
using Grid.Statements;
using Grid.Tests.World;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Grid.Ledger.Tests;

/// <summary>A sequencer on a real database, and a grid in memory that makes statements for it.</summary>
internal sealed class Rig : IAsyncDisposable
{
    private Rig(string connectionString, TestGrid grid) => (ConnectionString, Grid, Clock) = (connectionString, grid, new TestClock(grid.Now));

    public string ConnectionString { get; }

    public TestGrid Grid { get; }

    public TestClock Clock { get; }

    public LedgerStore Store { get; private set; } = null!;

    public Sequencer Sequencer { get; private set; } = null!;

    public static SequencerOptions Options { get; } = new(TestGrid.Origin);

    public static async Task<Rig> StartAsync(string connectionString, SequencerOptions? options = null)
    {
        var rig = new Rig(connectionString, new TestGrid());
        await rig.OpenAsync(options);
        return rig;
    }

    public async Task OpenAsync(SequencerOptions? options = null)
    {
        Store = await LedgerStore.OpenAsync(ConnectionString, CancellationToken.None);
        Sequencer = await Sequencer.StartAsync(Store, options ?? Options, Grid.Key("ledger"), Clock, NullLogger<Sequencer>.Instance);
    }

    public async Task RestartAsync(SequencerOptions? options = null)
    {
        await CloseAsync();
        await OpenAsync(options);
    }

    /// <summary>Everything the grid in memory accepted so far, but for its own first word.</summary>
    public async Task SendAllAsync()
    {
        foreach (var (_, statement, _) in Grid.Entries.Skip(1).ToList())
            await AcceptAsync(statement);
    }

    public async Task<Recording> AcceptAsync(Statement statement)
    {
        var answer = await Sequencer.SubmitAsync(statement.Bytes, TestContext.Current.CancellationToken);
        return Assert.IsType<Answer.Recorded>(answer).Recording;
    }

    public Checkpoint Verify(string note)
    {
        Assert.True(Checkpoint.TryVerify(note, TestGrid.Origin, Grid.Key("ledger").Public, out var checkpoint));
        return checkpoint;
    }

    /// <summary>The answer proves, to somebody with the ledger's key alone, that exactly this statement is in the log.</summary>
    public void Verify(Recording recording, Statement statement)
    {
        var checkpoint = Verify(recording.Checkpoint);
        var entry = Entry.Decode(recording.Entry);
        Assert.Equal((recording.Index, recording.Time), (entry.Index, entry.Time));
        Assert.Equal(statement.Id, Statement.Decode(entry.StatementBytes).Id);
        Assert.Equal(statement.Id, recording.Id);
        Assert.Equal(checkpoint.Size, recording.Size);
        Assert.True(MerkleTree.VerifyInclusion(entry.LeafHash, recording.Index, checkpoint.Size, recording.Path.AsSpan(), checkpoint.Root));
    }

    public async Task ExecuteAsync(string sql)
    {
        await using var source = NpgsqlDataSource.Create(ConnectionString);
        await using var command = source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }

    public async Task<object?> ScalarAsync(string sql)
    {
        await using var source = NpgsqlDataSource.Create(ConnectionString);
        await using var command = source.CreateCommand(sql);
        return await command.ExecuteScalarAsync(TestContext.Current.CancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await CloseAsync();
        Grid.Dispose();
    }

    private async Task CloseAsync()
    {
        await Sequencer.DisposeAsync();
        await Store.DisposeAsync();
    }
}
