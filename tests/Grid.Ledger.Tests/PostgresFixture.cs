using Grid.Ledger.Postgres;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

[assembly: AssemblyFixture(typeof(Grid.Ledger.Tests.PostgresFixture))]

namespace Grid.Ledger.Tests;

/// <summary>One real PostgreSQL for all tests; a database of its own for each.</summary>
public sealed class PostgresFixture : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grid-pg-").FullName;
    private EmbeddedPostgres? _server;
    private int _made;

    public async ValueTask InitializeAsync()
    {
        Private.OpenToOthers(_directory);
        _server = await EmbeddedPostgres.StartAsync(_directory, PostgresBinaries.Find(), NullLogger<EmbeddedPostgres>.Instance);
    }

    public async Task<string> NewDatabaseAsync()
    {
        var name = $"ledger{Interlocked.Increment(ref _made)}";
        await using var source = NpgsqlDataSource.Create(_server!.ConnectionString);
        await using var command = source.CreateCommand($"create database {name}");
        await command.ExecuteNonQueryAsync();
        return new NpgsqlConnectionStringBuilder(_server.ConnectionString) { Database = name }.ConnectionString;
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
            await _server.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }
}
