using System.Net;
using System.Net.Http.Headers;

namespace Grid.Node.Tests.Gateways;

/// <summary>A call in the shape of gRPC while it lasts: each message is answered before the next is sent, so nobody on the way may wait for more or for the end.</summary>
internal sealed class StreamedCall : IAsyncDisposable
{
    /// <summary>With what is in its messages, as many clients say it.</summary>
    public const string Type = "application/grpc+proto";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Messages _messages = new();
    private readonly HttpRequestMessage _request;
    private readonly Task<HttpResponseMessage> _response;

    public StreamedCall(HttpClient http, string url)
    {
        _request = new HttpRequestMessage(HttpMethod.Post, url) { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact, Content = _messages };
        _request.Content.Headers.ContentType = new MediaTypeHeaderValue(Type);
        _request.Headers.TE.ParseAdd("trailers");
        _response = http.SendAsync(_request, HttpCompletionOption.ResponseHeadersRead);
    }

    /// <summary>The answer, whose head YARP hands on with the first message and not before: one that ends at once is to be one frame.</summary>
    public Task<HttpResponseMessage> ResponseAsync() => _response.WaitAsync(Patience);

    /// <summary>Sends a message and has it back.</summary>
    public async Task SayAsync(byte what)
    {
        byte[] message = [0, 0, 0, 0, 1, what];
        using var patience = new CancellationTokenSource(Patience);
        var body = await _messages.Body.WaitAsync(Patience);
        await body.WriteAsync(message, patience.Token);
        await body.FlushAsync(patience.Token);
        var answer = new byte[message.Length];
        await (await AnswersAsync()).ReadExactlyAsync(answer, patience.Token);
        Assert.Equal(message, answer);
    }

    /// <returns>the outcome, after which nothing more was said</returns>
    public async Task<string> EndAsync()
    {
        using var patience = new CancellationTokenSource(Patience);
        _messages.End();
        Assert.Equal(0, await (await AnswersAsync()).ReadAsync(new byte[1], patience.Token));
        return (await _response).TrailingHeaders.GetValues("grpc-status").Single();
    }

    public async ValueTask DisposeAsync()
    {
        _messages.End();
        using (_request)
            (await ResponseAsync()).Dispose();
    }

    private async Task<Stream> AnswersAsync() => await (await ResponseAsync()).Content.ReadAsStreamAsync();

    /// <summary>A body that is written by somebody else, for as long as they like.</summary>
    private sealed class Messages : HttpContent
    {
        private readonly TaskCompletionSource<Stream> _body = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _over = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<Stream> Body => _body.Task;

        public void End() => _over.TrySetResult();

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            _body.TrySetResult(stream);
            return _over.Task;
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
