using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Grid.Api;

/// <summary>
/// What the head of a request may take. Kestrel answers what it refuses itself without a body, before any code of ours: a head that it cannot read or that
/// comes too slowly, for one. It takes twice as much as is allowed, so that whoever sends a little too much hears why. The hub has the same limits.
/// </summary>
internal static class RequestHead
{
    private const int LongestLine = 4096;
    private const int LongestHeaders = 16 << 10;
    private const int MostHeaders = 100;

    public static void Limit(KestrelServerLimits limits)
    {
        limits.MaxRequestLineSize = 2 * LongestLine;
        limits.MaxRequestHeadersTotalSize = 2 * LongestHeaders;
        limits.MaxRequestHeaderCount = 2 * MostHeaders;
        limits.RequestHeadersTimeout = TimeSpan.FromSeconds(15);
    }

    /// <summary>Null when it is within the limits.</summary>
    public static (Refusal Refusal, int Status)? TooLong(HttpContext context)
    {
        // RFC 9112 §3: method, target and version, two spaces and the line's end.
        var line = context.Request.Method.Length + context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget.Length + context.Request.Protocol.Length + 4;
        if (line > LongestLine)
            return (new Refusal(RefusalCode.TooLarge, $"The request's first line has {line} bytes; it may have {LongestLine}."), StatusCodes.Status414UriTooLong);
        var headers = context.Request.Headers;
        if (headers.Count > MostHeaders)
            return (new Refusal(RefusalCode.TooLarge, $"There are {headers.Count} headers; there may be {MostHeaders}."), StatusCodes.Status431RequestHeaderFieldsTooLarge);
        // Each line has its colon, a space and its end.
        var bytes = headers.Sum(h => h.Value.Sum(v => h.Key.Length + (v?.Length ?? 0) + 4));
        return bytes > LongestHeaders
            ? (new Refusal(RefusalCode.TooLarge, $"The headers have {bytes} bytes; they may have {LongestHeaders}."), StatusCodes.Status431RequestHeaderFieldsTooLarge)
            : null;
    }
}
