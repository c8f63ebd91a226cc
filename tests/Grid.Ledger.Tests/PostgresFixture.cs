using Grid.Ledger.Postgres;
using Grid.Ledger.Store;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

[assembly: AssemblyFixture(typeof(Grid.Ledger.Tests.PostgresFixture))]

namespace Grid.Ledger.Tests;

/// <summary>One real PostgreSQL for all tests; a database of its own for each.</summary>
public sealed class PostgresFixture : IAsyncLifetime
{
    private readonly ClusterTemplate _cluster = new();
    private string _directory = "";
    private EmbeddedPostgres? _server;
    // Two copies of one template cannot be made at a time.
    private readonly SemaphoreSlim _gate = new(1);
    private int _made;

    public async ValueTask InitializeAsync()
    {
        await _cluster.InitializeAsync();
        _directory = _cluster.Copy();
        _server = await EmbeddedPostgres.StartAsync(_directory, PostgresBinaries.Find(), NullLogger<EmbeddedPostgres>.Instance);
        // Migrated once; every test's database is a copy.
        await ExecuteAsync("create database template_ledger");
        await using var store = await LedgerStore.OpenAsync(ConnectionTo("template_ledger"), CancellationToken.None);
    }

    /// <summary>A directory of the caller's own with a cluster in it that has ended.</summary>
    public string CopyCluster() => _cluster.Copy();

    public async Task<string> NewDatabaseAsync()
    {
        var name = $"ledger{Interlocked.Increment(ref _made)}";
        await ExecuteAsync($"create database {name} template template_ledger");
        return ConnectionTo(name);
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
            await _server.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
        await _cluster.DisposeAsync();
        _gate.Dispose();
    }

    private string ConnectionTo(string database) => new NpgsqlConnectionStringBuilder(_server!.ConnectionString) { Database = database }.ConnectionString;

    private async Task ExecuteAsync(string sql)
    {
        await _gate.WaitAsync();
        try
        {
            await using var source = NpgsqlDataSource.Create(_server!.ConnectionString);
            await using var command = source.CreateCommand(sql);
            await command.ExecuteNonQueryAsync();
        }
        finally
        {
            _gate.Release();
        }
    }
}
