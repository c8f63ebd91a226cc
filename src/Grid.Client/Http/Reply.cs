using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Grid.Units;

namespace Grid.Client.Http;

/// <summary>One answer, read whole within limits. Its form is judged here; its truth elsewhere.</summary>
internal sealed record Reply(HttpStatusCode Status, string MediaType, ReadOnlyMemory<byte> Body, bool TooLarge)
{
    private const string Json = "application/json";
    private const string Problem = "application/problem+json";

    /// <summary>Sends and reads at most <paramref name="limit"/> bytes of body within the time.</summary>
    /// <exception cref="LedgerUnreachableException">no connection, no whole answer in time, or a server that says it cannot answer now</exception>
    public static async Task<Reply> SendAsync(HttpClient http, HttpRequestMessage request, int limit, TimeSpan timeout, TimeProvider time, CancellationToken cancellation)
    {
        var server = http.BaseAddress!;
        using var timer = new CancellationTokenSource(timeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellation, timer.Token);
        try
        {
            using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, both.Token).ConfigureAwait(false);
            var (body, tooLarge) = await ReadAsync(response.Content, limit, both.Token).ConfigureAwait(false);
            var reply = new Reply(response.StatusCode, response.Content.Headers.ContentType?.MediaType ?? "", body, tooLarge);
            if ((int)response.StatusCode >= 500 || response.StatusCode == HttpStatusCode.TooManyRequests)
                throw new LedgerUnreachableException(server, $"cannot answer now: {reply.Refusal?.Detail ?? $"HTTP {(int)response.StatusCode}"}{After(response.Headers.RetryAfter)}");
            return reply;
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            throw new LedgerUnreachableException(server, $"did not answer: {e.Message}", e);
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw new LedgerUnreachableException(server, $"did not answer within {timeout.TotalSeconds:0} s.", e);
        }
    }

    /// <summary>The typed no, when this is one.</summary>
    public Refusal? Refusal
    {
        get
        {
            if (MediaType != Problem || TooLarge || Parse(WireContext.Default.ProblemDocument) is not { Code: { Length: > 0 and <= 64 } code } problem)
                return null;
            return new Refusal(code, Short(problem.Detail ?? problem.Title ?? "The server gives no detail."), problem.Next is { } next ? Short(next) : null);
        }
    }

    /// <summary>The body as JSON of this shape; null when it is not, or not said to be.</summary>
    public T? Document<T>(JsonTypeInfo<T> type) where T : class => MediaType == Json ? Parse(type) : null;

    public JsonElement? Element => MediaType == Json && Parse(WireContext.Default.JsonElement) is { ValueKind: JsonValueKind.Object } element ? element : null;

    /// <summary>What to say of an answer whose form is wrong.</summary>
    public Refusal Malformed(string wanted) => TooLarge
        ? new Refusal(RefusalCode.TooLarge, $"The answer is larger than anything the ledger should send for {wanted}.")
        : new Refusal(RefusalCode.Malformed, $"The answer (HTTP {(int)Status}, {(MediaType.Length == 0 ? "no media type" : Short(MediaType))}) is not {wanted}.", "Check that the address is a Grid ledger's.");

    private T? Parse<T>(JsonTypeInfo<T> type)
    {
        try
        {
            WholeJson.Check(Body.Span);
            return JsonSerializer.Deserialize(Body.Span, type);
        }
        catch (JsonException)
        {
            // Its form is wrong: whoever asked says so with Malformed.
            return default;
        }
    }

    private static async Task<(ReadOnlyMemory<byte> Body, bool TooLarge)> ReadAsync(HttpContent content, int limit, CancellationToken cancellation)
    {
        if (content.Headers.ContentLength > limit)
            return (default, true);
        await using var stream = await content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
        var body = new byte[int.Min(limit, (int)(content.Headers.ContentLength ?? 4096)) + 1];
        for (var length = 0; ;)
        {
            if (length == body.Length)
                Array.Resize(ref body, int.Min(limit + 1, body.Length * 2));
            var read = await stream.ReadAsync(body.AsMemory(length), cancellation).ConfigureAwait(false);
            length += read;
            if (length > limit)
                return (default, true);
            if (read == 0)
                return (body.AsMemory(0, length), false);
        }
    }

    private static string Short(string text) => text.Length <= 1000 ? text : text[..1000] + "…";

    private static string After(RetryConditionHeaderValue? header) => header?.Delta is { } delta ? $" Try again in {delta.TotalSeconds:0} s." : "";
}
