using System.Net;
using System.Net.Http.Headers;
using Grid.Bench.Start;

namespace Grid.Bench.Ledger;

/// <summary>The ledger as its users reach it: the program, in a process of its own, over HTTP/1.1.</summary>
internal sealed class OverHttp(RunningProgram program, HttpClient http) : IAsyncDisposable
{
    public static async Task<OverHttp> OpenAsync(string directory, int callers, Scene scene)
    {
        var (program, address) = await RunningProgram.StartAsync(AppContext.BaseDirectory, "grid-ledger", $"{directory}.log",
            "--origin", Scene.Origin, "--data", directory, "--listen", "http://127.0.0.1:0", "--rate", "0");
        var opened = new OverHttp(program, new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = callers }) { BaseAddress = new Uri(address) });
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
        return program.DisposeAsync();
    }
}
