using System.Net.Http.Headers;
using System.Text.Json;
using Grid.Ledger.Tests;
using Grid.Statements;
using Grid.Tests.World;

[assembly: AssemblyFixture(typeof(Grid.Api.Tests.LedgerFixture))]

namespace Grid.Api.Tests;

/// <summary>One real ledger on a loopback port for all tests, with everything the grid in memory knows already sent to it.</summary>
public sealed class LedgerFixture : IAsyncLifetime
{
    private readonly string _directory = Temporary.Directory();
    private readonly Lock _gate = new();
    private LedgerServer? _server;

    public TestGrid Grid { get; } = new();

    public HttpClient Http { get; } = new();

    internal IReadOnlyList<Microsoft.AspNetCore.Http.Endpoint> Endpoints => _server!.Endpoints;

    internal TestClock Clock { get; } = new(TestGrid.Epoch);

    public async ValueTask InitializeAsync()
    {
        var key = Path.Combine(_directory, "ledger.key");
        await File.WriteAllTextAsync(key, Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData("ledger"u8)) + "\n");
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _server = await LedgerServer.StartAsync(new LedgerOptions { Origin = TestGrid.Origin, Data = _directory, Listen = "http://127.0.0.1:0", Rate = 0 }, Clock);
        Http.BaseAddress = new Uri(_server.Address);
        foreach (var (_, statement, _) in Grid.Entries.Skip(1))
            (await PostAsync(statement)).EnsureSuccessStatusCode();
    }

    /// <summary>Makes a statement; the grid in memory is not made for many threads.</summary>
    public T Make<T>(Func<TestGrid, T> make)
    {
        lock (_gate)
            return make(Grid);
    }

    public Task<HttpResponseMessage> PostAsync(Statement statement, string path = "v1/statements") => PostAsync(statement.Bytes.ToArray(), path);

    public Task<HttpResponseMessage> PostAsync(byte[] bytes, string path = "v1/statements")
    {
        var content = new ByteArrayContent(bytes);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/cose");
        return Http.PostAsync(new Uri(path, UriKind.Relative), content);
    }

    public async Task<JsonElement> GetAsync(string path)
    {
        using var response = await Http.GetAsync(new Uri(path, UriKind.Relative));
        Assert.True(response.IsSuccessStatusCode, $"{path}: {(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");
        return await JsonOf(response);
    }

    public static async Task<JsonElement> JsonOf(HttpResponseMessage response) => JsonSerializer.Deserialize<JsonElement>(await response.Content.ReadAsByteArrayAsync());

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        if (_server is not null)
            await _server.DisposeAsync();
        Grid.Dispose();
        Directory.Delete(_directory, recursive: true);
    }
}

internal static class Temporary
{
    /// <summary>Open to the user that a private PostgreSQL runs as.</summary>
    public static string Directory()
    {
        var path = System.IO.Directory.CreateTempSubdirectory("grid-ledger-").FullName;
        File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
        return path;
    }
}
