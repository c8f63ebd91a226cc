using System.Net;
using System.Net.Http.Headers;

namespace Grid.Node.Tests.Gateways;

/// <summary>A call in the shape of gRPC while it lasts: each message is answered before the next is sent, so nobody on the way may wait for more or for the end.</summary>
internal sealed class StreamedCall : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Messages _messages;
    private readonly HttpRequestMessage _request;
    private HttpResponseMessage? _response;
    private Stream? _answers;

    private StreamedCall(string url)
    {
        _messages = new Messages();
        _request = new HttpRequestMessage(HttpMethod.Post, url) { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact, Content = _messages };
        _request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/grpc+proto");
        _request.Headers.TE.ParseAdd("trailers");
    }

    public HttpResponseHeaders Headers => _response!.Headers;

    public static async Task<StreamedCall> BeginAsync(HttpClient http, string url)
    {
        var call = new StreamedCall(url);
        try
        {
            call._response = await http.SendAsync(call._request, HttpCompletionOption.ResponseHeadersRead).WaitAsync(Patience);
            call._answers = await call._response.Content.ReadAsStreamAsync();
            return call;
        }
        catch
        {
            await call.DisposeAsync();
            throw;
        }
    }

    /// <summary>Sends a message and has it back.</summary>
    public async Task SayAsync(byte what)
    {
        byte[] message = [0, 0, 0, 0, 1, what];
        using var patience = new CancellationTokenSource(Patience);
        var body = await _messages.Body.WaitAsync(Patience);
        await body.WriteAsync(message, patience.Token);
        await body.FlushAsync(patience.Token);
        var answer = new byte[message.Length];
        await _answers!.ReadExactlyAsync(answer, patience.Token);
        Assert.Equal(message, answer);
    }

    /// <returns>the outcome, after which nothing more was said</returns>
    public async Task<string> EndAsync()
    {
        using var patience = new CancellationTokenSource(Patience);
        _messages.End();
        Assert.Equal(0, await _answers!.ReadAsync(new byte[1], patience.Token));
        return _response!.TrailingHeaders.GetValues("grpc-status").Single();
    }

    public ValueTask DisposeAsync()
    {
        _messages.End();
        _response?.Dispose();
        _request.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>A body that is written by somebody else, for as long as they like.</summary>
    private sealed class Messages : HttpContent
    {
        private readonly TaskCompletionSource<Stream> _body = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _over = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<Stream> Body => _body.Task;

        public void End() => _over.TrySetResult();

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            // The head goes out with the first flush, which is the call's beginning.
            await stream.FlushAsync();
            _body.TrySetResult(stream);
            await _over.Task;
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
