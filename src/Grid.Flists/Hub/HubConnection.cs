using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using Grid.Units;

namespace Grid.Flists.Hub;

/// <param name="IdleTimeout">how long nothing may come</param>
/// <param name="MinimumRate">bytes per second that an answer must reach after the idle time, so a drip does not hold a reader for ever</param>
/// <param name="Attempts">rounds over all hubs while they are busy, slow or away</param>
/// <param name="RetryDelay">before the second round; doubled before each further one</param>
public sealed record HubClientOptions(TimeSpan IdleTimeout, int MinimumRate, int Attempts, TimeSpan RetryDelay)
{
    public static readonly HubClientOptions Default = new(TimeSpan.FromSeconds(10), 64 << 10, 3, TimeSpan.FromMilliseconds(200));
}

/// <summary>One hub over HTTP. Answers are bounded in length and time; what they hold is for the caller to verify.</summary>
public sealed class HubConnection : IDisposable
{
    private readonly HttpClient _http;
    private readonly HubClientOptions _options;
    private readonly TimeProvider _time;

    /// <param name="address"><c>http(s)://host:port</c>, or <c>http://unix:/path</c></param>
    public HubConnection(string address, HubClientOptions options, TimeProvider time)
    {
        (_options, _time) = (options, time);
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = options.IdleTimeout,
            MaxConnectionsPerServer = 16,
            MaxResponseHeadersLength = 16,
            UseCookies = false,
            UseProxy = false,
        };
        const string Unix = "http://unix:";
        if (address.StartsWith(Unix, StringComparison.Ordinal))
        {
            var path = address[Unix.Length..].TrimEnd('/');
            handler.ConnectCallback = (_, cancellation) => ConnectAsync(path, cancellation);
            Address = new Uri("http://localhost/");
        }
        else
        {
            Address = new Uri(address.TrimEnd('/') + "/");
        }
        _http = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
    }

    public Uri Address { get; }

    /// <summary>A whole answer, at most <paramref name="maximum"/> bytes.</summary>
    /// <exception cref="HubException"/>
    public async Task<byte[]> GetAsync(string path, int maximum, CancellationToken cancellation)
    {
        byte[] bytes = [];
        await GetAsync(path, maximum, async (body, inner) =>
        {
            using var buffer = new MemoryStream();
            await body.CopyToAsync(buffer, inner).ConfigureAwait(false);
            bytes = buffer.ToArray();
        }, cancellation).ConfigureAwait(false);
        return bytes;
    }

    /// <summary>A whole answer as a stream of at most <paramref name="maximum"/> bytes.</summary>
    /// <exception cref="HubException"/>
    public Task GetAsync(string path, long maximum, Func<Stream, CancellationToken, Task> read, CancellationToken cancellation) =>
        SendAsync(new HttpRequestMessage(HttpMethod.Get, new Uri(Address, path)), maximum, async (response, body, inner) =>
        {
            if (response.StatusCode != HttpStatusCode.OK)
                throw BadAnswer($"{(int)response.StatusCode} came where 200 was due.");
            if (response.Content.Headers.ContentLength > maximum)
                throw BadAnswer($"{response.Content.Headers.ContentLength} bytes are offered; at most {maximum} are wanted.");
            await read(body, inner).ConfigureAwait(false);
        }, cancellation);

    /// <summary>A part of a pack: exactly those bytes, or an error.</summary>
    /// <exception cref="HubException"/>
    public Task GetRangeAsync(Digest pack, long from, int length, Func<Stream, CancellationToken, Task> read, CancellationToken cancellation)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, new Uri(Address, $"v1/packs/{pack}"));
        request.Headers.Range = new RangeHeaderValue(from, from + length - 1);
        return SendAsync(request, length, async (response, body, inner) =>
        {
            if (response.StatusCode != HttpStatusCode.PartialContent)
                throw BadAnswer($"{(int)response.StatusCode} came where 206 was due.");
            var range = response.Content.Headers.ContentRange;
            if (range is not { Unit: "bytes" } || range.From != from || range.To != from + length - 1)
                throw BadAnswer($"The range {range} came where {from}-{from + length - 1} was asked.");
            if (response.Content.Headers.ContentLength is { } stated && stated != length)
                throw BadAnswer($"{stated} bytes came where {length} were asked.");
            await read(body, inner).ConfigureAwait(false);
        }, cancellation);
    }

    /// <summary>Which of at most 10,000 chunks the hub does not have.</summary>
    /// <exception cref="HubException"/>
    public async Task<IReadOnlyList<Digest>> MissingAsync(ReadOnlyMemory<Digest> chunks, CancellationToken cancellation)
    {
        var asked = new byte[chunks.Length * Digest.Size];
        for (var i = 0; i < chunks.Length; i++)
            chunks.Span[i].CopyTo(asked.AsSpan(i * Digest.Size));
        var answer = new MemoryStream();
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(Address, "v1/missing")) { Content = new ByteArrayContent(asked) };
        await SendAsync(request, asked.Length, (response, body, inner) => response.StatusCode == HttpStatusCode.OK
            ? body.CopyToAsync(answer, inner) : throw BadAnswer($"{(int)response.StatusCode} came where 200 was due."), cancellation).ConfigureAwait(false);
        if (answer.Length % Digest.Size != 0)
            throw BadAnswer("The answer is not a list of hashes.");
        var bytes = answer.GetBuffer();
        return [.. Enumerable.Range(0, (int)answer.Length / Digest.Size).Select(i => new Digest(bytes.AsSpan(i * Digest.Size, Digest.Size)))];
    }

    /// <summary>Puts bytes under their name.</summary>
    /// <exception cref="HubException"/>
    public Task PutAsync(string path, Stream body, CancellationToken cancellation)
    {
        var content = new StreamContent(body, 1 << 17);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        var request = new HttpRequestMessage(HttpMethod.Put, new Uri(Address, path)) { Content = content };
        return SendAsync(request, 1 << 16, (response, _, _) => response.StatusCode is HttpStatusCode.OK or HttpStatusCode.Created
            ? Task.CompletedTask : throw BadAnswer($"{(int)response.StatusCode} came where 200 or 201 was due."), cancellation, sending: body.Length);
    }

    public void Dispose() => _http.Dispose();

    private async Task SendAsync(
        HttpRequestMessage request, long maximum, Func<HttpResponseMessage, Stream, CancellationToken, Task> read, CancellationToken cancellation, long sending = 0)
    {
        var allowed = _options.IdleTimeout + TimeSpan.FromSeconds(sending / (double)_options.MinimumRate);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        // A hub hashes and syncs what it is sent before it answers.
        using var timer = _time.CreateTimer(_ => deadline.Cancel(), null, sending == 0 ? allowed : allowed + _options.IdleTimeout * 3, Timeout.InfiniteTimeSpan);
        try
        {
            using (request)
            using (var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, deadline.Token).ConfigureAwait(false))
            {
                if (!response.IsSuccessStatusCode)
                    throw await FailureAsync(response, deadline.Token).ConfigureAwait(false);
                var stream = await response.Content.ReadAsStreamAsync(deadline.Token).ConfigureAwait(false);
                using var body = new BoundedBody(stream, maximum, _options, _time, timer);
                await read(response, body, deadline.Token).ConfigureAwait(false);
                if (!body.AtEnd && request.Method == HttpMethod.Get && await body.ReadAsync(new byte[1], deadline.Token).ConfigureAwait(false) != 0)
                    throw BadAnswer("More bytes came than were asked.");
            }
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw new HubException(HubFailure.TimedOut, Address, "The answer took too long.", e);
        }
        catch (EndOfStreamException e)
        {
            throw new HubException(HubFailure.BadAnswer, Address, "The answer is shorter than asked.", e);
        }
        catch (BodyTooLongException e)
        {
            throw new HubException(HubFailure.BadAnswer, Address, e.Message, e);
        }
        catch (Exception e) when (e is HttpRequestException or HttpIOException or SocketException || (e is IOException && e.InnerException is SocketException))
        {
            throw new HubException(HubFailure.Unreachable, Address, e.Message, e);
        }
        catch (FormatException e)
        {
            throw new HubException(HubFailure.WrongBytes, Address, e.Message, e);
        }
    }

    private async Task<HubException> FailureAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        var status = (int)response.StatusCode;
        var failure = status switch
        {
            404 => HubFailure.NotFound,
            429 or 503 => HubFailure.Busy,
            400 or 413 or 422 or 507 => HubFailure.Refused,
            _ => HubFailure.BadAnswer,
        };
        var refusal = failure is HubFailure.Refused or HubFailure.NotFound ? await RefusalAsync(response, cancellation).ConfigureAwait(false) : null;
        return new HubException(failure, Address, refusal?.ToString() ?? $"The hub answered {status}.") { Refusal = refusal };
    }

    // What a hub says about its refusal is shown to people, never acted on; it is cut, not trusted.
    private static async Task<Refusal?> RefusalAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        if (response.Content.Headers.ContentType?.MediaType != "application/problem+json")
            return null;
        var buffer = new byte[16 << 10];
        var stream = await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
        var length = await stream.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellation).ConfigureAwait(false);
        try
        {
            WholeJson.Check(buffer.AsSpan(0, length));
            using var json = JsonDocument.Parse(buffer.AsMemory(0, length));
            return new Refusal(Member(json, "code") ?? RefusalCode.Malformed, Member(json, "detail") ?? "", Member(json, "next"));
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string? Member(JsonDocument json, string name) =>
        json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString() : null;

    private HubException BadAnswer(string message) => new(HubFailure.BadAnswer, Address, message);

    private static async ValueTask<Stream> ConnectAsync(string path, CancellationToken cancellation)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
