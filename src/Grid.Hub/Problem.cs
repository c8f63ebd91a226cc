using System.Text.Json;

namespace Grid.Hub;

/// <summary>Errors as RFC 9457 problem details with the members of a <see cref="Refusal"/>: code, detail, next.</summary>
internal static class Problem
{
    public static int StatusOf(string code) => code switch
    {
        RefusalCode.Malformed or RefusalCode.UnknownField => StatusCodes.Status400BadRequest,
        RefusalCode.NotFound => StatusCodes.Status404NotFound,
        RefusalCode.TooLarge => StatusCodes.Status413PayloadTooLarge,
        RefusalCode.Capacity => StatusCodes.Status507InsufficientStorage,
        _ => StatusCodes.Status422UnprocessableEntity,
    };

    public static Task WriteAsync(HttpContext context, Refusal refusal, int? status = null)
    {
        var code = status ?? StatusOf(refusal.Code);
        var response = context.Response;
        response.Clear();
        response.StatusCode = code;
        response.ContentType = "application/problem+json";
        response.Headers.CacheControl = "no-store";
        if (code == StatusCodes.Status503ServiceUnavailable)
            response.Headers.RetryAfter = "1";
        var bytes = Encode(refusal, code);
        response.ContentLength = bytes.Length;
        return HttpMethods.IsHead(context.Request.Method) ? Task.CompletedTask : response.Body.WriteAsync(bytes, context.RequestAborted).AsTask();
    }

    private static byte[] Encode(Refusal refusal, int status)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("type", "about:blank");
            json.WriteString("title", Microsoft.AspNetCore.WebUtilities.ReasonPhrases.GetReasonPhrase(status));
            json.WriteNumber("status", status);
            json.WriteString("code", refusal.Code);
            json.WriteString("detail", refusal.Detail);
            if (refusal.Next is not null)
                json.WriteString("next", refusal.Next);
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }
}
