using System.Runtime.CompilerServices;
using Grid.Units;
using JasperFx;
using JasperFx.Events;
using Marten;
using Npgsql;

namespace Grid.Ledger.Store;

/// <summary>The log in PostgreSQL: one row a batch, one head, and Marten's streams beside them. Reads here; <see cref="LedgerWriter"/> writes.</summary>
public sealed class LedgerStore : IAsyncDisposable
{
    private readonly NpgsqlDataSource _source;
    // In a pool the writer's connection would outlive its writer, and its lock with it.
    private readonly NpgsqlDataSource _unpooled;

    private LedgerStore(NpgsqlConnectionStringBuilder settings)
    {
        _source = NpgsqlDataSource.Create(settings.ConnectionString);
        settings.Pooling = false;
        // It says the same few things for as long as it lives, and one of them takes longer to plan than many of its rows to insert.
        (settings.MaxAutoPrepare, settings.AutoPrepareMinUsages) = (8, 2);
        // A batch is a megabyte; in pieces of 8 KiB the two ends wait for one another.
        settings.WriteBufferSize = 128 * 1024;
        _unpooled = NpgsqlDataSource.Create(settings.ConnectionString);
        Events = DocumentStore.For(o =>
        {
            o.Connection(_source);
            o.DatabaseSchemaName = "events";
            o.AutoCreateSchemaObjects = AutoCreate.CreateOnly;
            o.DisableNpgsqlLogging = true;
            o.Events.StreamIdentity = StreamIdentity.AsString;
            o.Events.AppendMode = EventAppendMode.Quick;
            RecordedEvents.Configure(o.Events);
        });
    }

    /// <summary>One stream an account, farm, node and agreement, under its id as text.</summary>
    public DocumentStore Events { get; }

    /// <summary>Opens the database and makes what is missing in it. The role of the connection string must be allowed to create schemas and roles.</summary>
    public static async Task<LedgerStore> OpenAsync(string connectionString, CancellationToken stop)
    {
        var store = new LedgerStore(new NpgsqlConnectionStringBuilder(connectionString)
        {
            // A flood of reads waits here rather than in the server.
            MaxPoolSize = 16,
            Timeout = 15,
            CommandTimeout = 60,
            ApplicationName = "grid-ledger",
        });
        try
        {
            await store.MigrateAsync(stop);
            return store;
        }
        catch
        {
            await store.DisposeAsync();
            throw;
        }
    }

    public async Task<TreeHead> HeadAsync(CancellationToken stop)
    {
        await using var command = _source.CreateCommand("select size, root, epoch, checkpoint from log.head");
        await using var reader = await command.ExecuteReaderAsync(stop);
        return await reader.ReadAsync(stop) ? ReadHead(reader) : throw new LogDamagedException(0, "the head is missing");
    }

    /// <summary>All batches that hold entries from this index on, in order.</summary>
    public IAsyncEnumerable<BatchRow> BatchesAsync(long from, CancellationToken stop) => BatchesAsync(from, long.MaxValue, stop);

    /// <summary>All batches that hold entries from the first index to before the second, in order.</summary>
    public async IAsyncEnumerable<BatchRow> BatchesAsync(long from, long to, [EnumeratorCancellation] CancellationToken stop)
    {
        await using var command = _source.CreateCommand(
            "select first, count, entries, leaves from log.batch where first >= coalesce((select max(first) from log.batch where first <= $1), 0) and first < $2 order by first");
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = from });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = to });
        await using var reader = await command.ExecuteReaderAsync(stop);
        while (await reader.ReadAsync(stop))
            yield return new BatchRow(reader.GetInt64(0), reader.GetInt32(1), reader.GetFieldValue<byte[]>(2), reader.GetFieldValue<byte[]>(3));
    }

    /// <summary>Shuts every earlier writer out and becomes the one; waits for a while for one that is about to end.</summary>
    /// <exception cref="WriterReplacedException">another process holds the log and does not let go</exception>
    public Task<LedgerWriter> BecomeWriterAsync(TimeSpan patience, CancellationToken stop) => LedgerWriter.OpenAsync(_unpooled, patience, stop);

    /// <summary>As one who believes to hold the lock and does not.</summary>
    internal Task<LedgerWriter> BecomeWriterWithoutLockAsync(CancellationToken stop) => LedgerWriter.OpenAsync(_unpooled, _ => Task.CompletedTask, stop);

    public async ValueTask DisposeAsync()
    {
        await Events.DisposeAsync();
        await _source.DisposeAsync();
        await _unpooled.DisposeAsync();
    }

    internal static TreeHead ReadHead(NpgsqlDataReader reader) =>
        new(reader.GetInt64(0), new Digest(reader.GetFieldValue<byte[]>(1)), reader.GetInt64(2), reader.GetString(3));

    internal static string ReadResource(string name)
    {
        using var stream = typeof(LedgerStore).Assembly.GetManifestResourceStream(name)!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    private async Task MigrateAsync(CancellationToken stop)
    {
        await Events.Storage.ApplyAllConfiguredChangesToDatabaseAsync(AutoCreate.CreateOrUpdate);
        var schema = ReadResource("schema.sql");
        var version = Digest.Of(System.Text.Encoding.UTF8.GetBytes(schema)).ToString();
        // Two ledgers that start at once make the same things; one after the other.
        await using var connection = await _source.OpenConnectionAsync(stop);
        await using var transaction = await connection.BeginTransactionAsync(stop);
        await using var made = new NpgsqlCommand(
            $"select pg_advisory_xact_lock({LedgerWriter.Lock + 1}); select obj_description(to_regnamespace('log'), 'pg_namespace')", connection, transaction);
        // Made anew it would wait for the locks of a ledger that is at work.
        if (await LastScalarAsync(made, stop) as string != version)
        {
            await using var make = new NpgsqlCommand($"{schema}; comment on schema log is '{version}'", connection, transaction);
            await make.ExecuteNonQueryAsync(stop);
        }
        await transaction.CommitAsync(stop);
        await StreamRows.CheckTablesAsync(connection, stop);
    }

    private static async Task<object?> LastScalarAsync(NpgsqlCommand command, CancellationToken stop)
    {
        await using var reader = await command.ExecuteReaderAsync(stop);
        await reader.NextResultAsync(stop);
        return await reader.ReadAsync(stop) ? reader.GetValue(0) : null;
    }
}
