using System.Globalization;
using Grid.Units;

namespace Grid.Api;

/// <summary>Strict reading of what stands in addresses and queries.</summary>
internal static class Requests
{
    public static T Id<T>(string text) where T : struct, IId<T>
    {
        try
        {
            return Units.Id.Parse<T>(text);
        }
        catch (FormatException e)
        {
            throw RequestFormatException.Malformed(e.Message);
        }
    }

    public static T? OptionalId<T>(string? text) where T : struct, IId<T> => text is null ? null : Id<T>(text);

    public static long Number(string name, string? text, long minimum, long maximum, long absent)
    {
        if (text is null)
            return absent;
        return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= minimum && number <= maximum
            ? number
            : throw RequestFormatException.Malformed($"'{name}' is a number from {minimum} to {maximum}.");
    }

    public static bool Flag(string name, string? text, bool absent) => text switch
    {
        null => absent,
        "true" => true,
        "false" => false,
        _ => throw RequestFormatException.Malformed($"'{name}' is true or false."),
    };

    /// <summary>The whole body, which is one thing of one type.</summary>
    /// <param name="what">stands at the beginning of a sentence</param>
    /// <exception cref="RequestFormatException">it is of another type, or longer, whether its length was stated or not</exception>
    public static async Task<ReadOnlyMemory<byte>> BodyAsync(HttpContext context, string what, string type, int maximum)
    {
        if (context.Request.ContentType?.Split(';')[0].Trim() is not { } sent || !sent.Equals(type, StringComparison.OrdinalIgnoreCase))
            throw new RequestFormatException(new Refusal(ApiCode.UnsupportedMediaType, $"{what} is sent as {type}.", $"Set Content-Type: {type}."));
        var tooLarge = new RequestFormatException(new Refusal(RefusalCode.TooLarge, $"{what} has at most {maximum} bytes."));
        if (context.Request.ContentLength > maximum)
            throw tooLarge;
        // One more than may come tells the longest from what is too long.
        var buffer = new byte[(int)(context.Request.ContentLength ?? maximum) + 1];
        var length = await context.Request.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, context.RequestAborted);
        return length <= maximum ? buffer.AsMemory(0, length) : throw tooLarge;
    }

    /// <summary>Names that the endpoint does not know are refused: a misspelt filter would otherwise answer what was not asked.</summary>
    public static async ValueTask<object?> RefuseUnknownQuery(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        var known = http.GetEndpoint()?.Metadata.GetMetadata<Queries>()?.Names ?? [];
        foreach (var (name, values) in http.Request.Query)
        {
            if (!known.Contains(name))
                throw new RequestFormatException(new Refusal(RefusalCode.UnknownField, $"The query '{(name.Length > 40 ? name[..40] : name)}' is not known here.",
                    known.Length == 0 ? "There is none." : $"Known: {string.Join(", ", known)}."));
            if (values.Count != 1)
                throw RequestFormatException.Malformed($"'{name}' stands {values.Count} times.");
        }
        return await next(context);
    }
}

/// <summary>The query names an endpoint knows.</summary>
internal sealed record Queries(params string[] Names);
