using System.Net;
using System.Net.Http.Headers;
using Grid.Api;

namespace Grid.Bench.Ledger;

/// <summary>The ledger as its users reach it, over HTTP/1.1 from the same process.</summary>
internal sealed class OverHttp(LedgerServer server, HttpClient http) : IAsyncDisposable
{
    public static async Task<OverHttp> OpenAsync(string directory, int callers, Scene scene)
    {
        var server = await LedgerServer.StartAsync(new LedgerOptions { Origin = Scene.Origin, Data = directory, Listen = "http://127.0.0.1:0", Rate = 0 });
        var opened = new OverHttp(server, new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = callers }) { BaseAddress = new Uri(server.Address) });
        foreach (var statement in scene.Founding)
            await opened.PostAsync(statement.Bytes);
        return opened;
    }

    public async Task PostAsync(ReadOnlyMemory<byte> statement)
    {
        using var content = new ReadOnlyMemoryContent(statement);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/cose");
        using var response = await http.PostAsync(new Uri("v1/statements", UriKind.Relative), content);
        await response.Content.ReadAsByteArrayAsync();
        if (response.StatusCode != HttpStatusCode.OK)
            throw new InvalidOperationException($"The ledger answered {response.StatusCode}.");
    }

    public ValueTask DisposeAsync()
    {
        http.Dispose();
        return server.DisposeAsync();
    }
}
