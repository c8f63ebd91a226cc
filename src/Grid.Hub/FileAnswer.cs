using System.Buffers;
using Microsoft.Net.Http.Headers;
using Microsoft.Win32.SafeHandles;

namespace Grid.Hub;

/// <summary>Conditional and range requests (RFC 9110 §13, §14) for bytes under a strong tag.</summary>
internal static class FileAnswer
{
    private const int CopySize = 1 << 18;

    /// <summary>Sets status and headers; false when there is no body to send.</summary>
    public static bool Prepare(HttpContext context, string tag, long size, string type, bool immutable, out long from, out long length)
    {
        (from, length) = (0, size);
        var request = context.Request;
        var response = context.Response;
        response.Headers.ETag = tag;
        response.Headers.CacheControl = immutable ? "public, max-age=31536000, immutable" : "public, no-cache";
        response.Headers.AcceptRanges = "bytes";
        if (request.Headers.IfNoneMatch.Count > 0 && Matches(request.Headers.IfNoneMatch.ToString(), tag))
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return false;
        }
        response.ContentType = type;
        switch (RangeOf(request, tag, size))
        {
            case (-1, _):
                throw new RefusedException(new Refusal(RefusalCode.Malformed, $"The range lies outside the {size} bytes there are."), Unsatisfiable(response, size));
            case (var first, var last) when last >= 0:
                (from, length) = (first, last - first + 1);
                response.StatusCode = StatusCodes.Status206PartialContent;
                response.Headers.ContentRange = $"bytes {first}-{last}/{size}";
                break;
        }
        response.ContentLength = length;
        return !HttpMethods.IsHead(request.Method);
    }

    public static async Task CopyAsync(SafeFileHandle file, long from, long length, HttpContext context)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(CopySize);
        try
        {
            while (length > 0)
            {
                var read = await RandomAccess.ReadAsync(file, buffer.AsMemory(0, (int)long.Min(length, CopySize)), from, context.RequestAborted);
                if (read == 0)
                    throw new IOException("A file of the store became shorter.");
                await context.Response.Body.WriteAsync(buffer.AsMemory(0, read), context.RequestAborted);
                (from, length) = (from + read, length - read);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    // Problem.WriteAsync clears headers, so the size is told in the answer's text and, for machines, set again once it starts.
    private static int Unsatisfiable(HttpResponse response, long size)
    {
        response.OnStarting(() =>
        {
            response.Headers.ContentRange = $"bytes */{size}";
            return Task.CompletedTask;
        });
        return StatusCodes.Status416RangeNotSatisfiable;
    }

    // (0, -1): send everything. (-1, _): unsatisfiable. RFC 9110 §14.2 lets a server ignore what it does not understand, several ranges among it.
    private static (long First, long Last) RangeOf(HttpRequest request, string tag, long size)
    {
        var text = request.Headers.Range.ToString();
        if (text.Length is 0 or > 100 || !RangeHeaderValue.TryParse(text, out var header) || header.Unit != "bytes" || header.Ranges.Count != 1)
            return (0, -1);
        if (request.Headers.IfRange.Count > 0 && request.Headers.IfRange != tag)
            return (0, -1);
        var range = header.Ranges.Single();
        if (range.From is { } first)
            return first >= size ? (-1, -1) : (first, long.Min(range.To ?? long.MaxValue, size - 1));
        return range.To is { } suffix and > 0 && size > 0 ? (long.Max(0, size - suffix), size - 1) : (-1, -1);
    }

    private static bool Matches(string header, string tag) =>
        header == "*" || (EntityTagHeaderValue.TryParseList([header], out var tags) && tags.Any(t => t.Tag == tag));
}
