using System.Collections.Concurrent;
using System.Diagnostics;
using Grid.Units;
using Npgsql;
using NpgsqlTypes;

namespace Grid.Ledger.Store;

/// <summary>
/// The one who may append. For liveness it holds an advisory lock, which ends with its connection; for safety every commit moves the head by
/// compare-and-swap on size and epoch, so a writer that was replaced without knowing it records nothing. It writes on a thread of its own with calls that
/// block: on the pool each step of the talk with the server stands in line behind the signatures that callers check, for longer than the talk takes.
/// </summary>
public sealed class LedgerWriter : IAsyncDisposable
{
    /// <summary>The advisory lock's number: "gridlog" in ASCII.</summary>
    internal const long Lock = 0x67_72_69_64_6c_6f_67;

    private readonly NpgsqlConnection _connection;
    private readonly BlockingCollection<(Batch Batch, TaskCompletionSource<BatchRow> Written)> _batches = [];
    private readonly Task _writing;

    private LedgerWriter(NpgsqlConnection connection, TreeHead head)
    {
        (_connection, Head) = (connection, head);
        _writing = Task.Factory.StartNew(Write, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>As this writer left it.</summary>
    public TreeHead Head { get; private set; }

    internal static Task<LedgerWriter> OpenAsync(NpgsqlDataSource source, TimeSpan patience, CancellationToken stop) =>
        OpenAsync(source, async connection =>
        {
            for (var watch = Stopwatch.StartNew(); ; await Task.Delay(50, stop))
            {
                await using var command = new NpgsqlCommand($"select pg_try_advisory_lock({Lock})", connection);
                if (await command.ExecuteScalarAsync(stop) is true)
                    return;
                if (watch.Elapsed > patience)
                    throw new WriterReplacedException("Another process writes this log and does not let go of it.");
            }
        }, stop);

    /// <summary>For a writer that believes to hold the lock although it does not, as after a partition.</summary>
    internal static async Task<LedgerWriter> OpenAsync(NpgsqlDataSource source, Func<NpgsqlConnection, Task> acquire, CancellationToken stop)
    {
        var connection = await source.OpenConnectionAsync(stop);
        try
        {
            await acquire(connection);
            await using var command = new NpgsqlCommand(
                "set role grid_sequencer; update log.head set epoch = epoch + 1 returning size, root, epoch, checkpoint", connection);
            await using var reader = await command.ExecuteReaderAsync(stop);
            return await reader.ReadAsync(stop)
                ? new LedgerWriter(connection, LedgerStore.ReadHead(reader))
                : throw new LogDamagedException(0, "the head is missing");
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    /// <summary>Makes the batch durable: head, row and streams in one transaction, synced to disk before it returns the row.</summary>
    /// <exception cref="WriterReplacedException">nothing was recorded and nothing can be by this writer</exception>
    /// <exception cref="NpgsqlException">it may or may not have been recorded; a new writer's head tells</exception>
    public Task<BatchRow> CommitAsync(Batch batch)
    {
        // What waits for it goes on here: the callers hear of it before anything else is done.
        var written = new TaskCompletionSource<BatchRow>();
        _batches.Add((batch, written));
        return written.Task;
    }

    /// <summary>What was handed over is committed first. Not from a continuation of <see cref="CommitAsync"/>, which this waits for.</summary>
    public async ValueTask DisposeAsync()
    {
        _batches.CompleteAdding();
        await _writing;
        _batches.Dispose();
        await _connection.DisposeAsync();
    }

    private void Write()
    {
        foreach (var (batch, written) in _batches.GetConsumingEnumerable())
        {
            try
            {
                written.SetResult(Commit(batch));
            }
            catch (Exception e)
            {
                written.SetException(e);
            }
        }
    }

    private BatchRow Commit(Batch batch)
    {
        using var transaction = _connection.BeginTransaction();
        var next = new TreeHead(batch.Tree.Size, batch.Tree.Root, Head.Epoch, batch.Checkpoint);
        var row = ToRow(batch);
        // A replaced writer's row is refused by the trigger too, for its head did not move; the count says it in one word.
        if (Execute(transaction, Swap(next)) != 1 || Execute(transaction, Insert(row, next)) != 1)
            throw new WriterReplacedException($"Another process writes this log now: epoch {Head.Epoch} is over.");
        StreamRows.Write(_connection, transaction, batch);
        transaction.Commit();
        Head = next;
        return row;
    }

    private static BatchRow ToRow(Batch batch)
    {
        var leaves = new byte[batch.Entries.Length * Digest.Size];
        for (var i = 0; i < batch.Entries.Length; i++)
            batch.Entries[i].Entry.LeafHash.CopyTo(leaves.AsSpan(i * Digest.Size));
        return new BatchRow(batch.First, batch.Entries.Length, BatchRow.Join([.. batch.Entries.Select(e => e.Entry.Bytes)]), leaves);
    }

    private NpgsqlCommand Swap(TreeHead next) => new("update log.head set size = $1, root = $2, checkpoint = $3 where size = $4 and epoch = $5")
    {
        Parameters = { Long(next.Size), Bytes(next.Root.ToArray()), new NpgsqlParameter<string> { TypedValue = next.Checkpoint }, Long(Head.Size), Long(Head.Epoch) },
    };

    private NpgsqlCommand Insert(BatchRow row, TreeHead next) => new("insert into log.batch (first, count, entries, leaves) select $1, $2, $3, $4 from log.head where size = $5 and epoch = $6")
    {
        Parameters =
        {
            Long(row.First), new NpgsqlParameter<int> { TypedValue = row.Count }, Bytes(row.Entries), Bytes(row.Leaves), Long(next.Size), Long(Head.Epoch),
        },
    };

    // One by one: in a batch, Npgsql sends all but the first on the pool.
    private int Execute(NpgsqlTransaction transaction, NpgsqlCommand command)
    {
        using (command)
        {
            (command.Connection, command.Transaction) = (_connection, transaction);
            return command.ExecuteNonQuery();
        }
    }

    private static NpgsqlParameter<long> Long(long value) => new() { TypedValue = value };

    private static NpgsqlParameter<ReadOnlyMemory<byte>> Bytes(ReadOnlyMemory<byte> value) => new() { TypedValue = value, NpgsqlDbType = NpgsqlDbType.Bytea };
}
