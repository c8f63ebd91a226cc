using Microsoft.AspNetCore.WebUtilities;

namespace Grid.Api;

/// <summary>What an address or its load adds to the codes of <see cref="RefusalCode"/>; none of these is about a statement.</summary>
public static class ApiCode
{
    public const string TooManyRequests = "too-many-requests";

    /// <summary>The ledger takes nothing on right now. Nothing was done.</summary>
    public const string Busy = "busy";

    /// <summary>It may or may not have been recorded. Sending the same bytes again is safe and gives the answer.</summary>
    public const string UnknownOutcome = "unknown-outcome";

    /// <summary>A node was asked and did not answer in time.</summary>
    public const string NodeSilent = "node-silent";

    /// <summary>The body came more slowly than is waited for.</summary>
    public const string TooSlow = "too-slow";

    public const string UnsupportedMediaType = "unsupported-media-type";
    public const string MethodNotAllowed = "method-not-allowed";
    public const string Defect = "defect";
}

/// <summary>RFC 9457, with the members of a <see cref="Refusal"/>.</summary>
/// <param name="Type">about:blank: the code says it</param>
public sealed record ProblemDocument(string Type, string Title, int Status, string Code, string Detail, string? Next);

/// <summary>An answer that is a refusal.</summary>
internal sealed class Problem(Refusal refusal, int status) : IResult
{
    public Problem(Refusal refusal) : this(refusal, StatusOf(refusal.Code))
    {
    }

    public static int StatusOf(string code) => code switch
    {
        RefusalCode.Malformed or RefusalCode.UnknownField or RefusalCode.MissingField or RefusalCode.UnknownKind or RefusalCode.UnknownVersion
            => StatusCodes.Status400BadRequest,
        RefusalCode.BadSignature or RefusalCode.SignatureMissing or RefusalCode.StrangerSigned or RefusalCode.KeyInvalid => StatusCodes.Status403Forbidden,
        RefusalCode.NotFound => StatusCodes.Status404NotFound,
        RefusalCode.Conflict or RefusalCode.WrongState or RefusalCode.NameTaken or RefusalCode.AlreadySo => StatusCodes.Status409Conflict,
        ApiCode.UnsupportedMediaType => StatusCodes.Status415UnsupportedMediaType,
        RefusalCode.TooLarge => StatusCodes.Status413PayloadTooLarge,
        ApiCode.TooManyRequests => StatusCodes.Status429TooManyRequests,
        ApiCode.Busy or ApiCode.UnknownOutcome => StatusCodes.Status503ServiceUnavailable,
        _ => StatusCodes.Status422UnprocessableEntity,
    };

    /// <summary>The problem that stands for a status the framework chose.</summary>
    public static Problem Of(int status) => new(status switch
    {
        StatusCodes.Status404NotFound => new Refusal(RefusalCode.NotFound, "There is nothing at this address.", "See /openapi/v1.json."),
        StatusCodes.Status405MethodNotAllowed => new Refusal(ApiCode.MethodNotAllowed, "This address does not take that method.", "See /openapi/v1.json."),
        StatusCodes.Status408RequestTimeout => new Refusal(ApiCode.TooSlow, "The body came too slowly.", "Send it again."),
        StatusCodes.Status413PayloadTooLarge => new Refusal(RefusalCode.TooLarge, "The body is longer than anything that is taken here.", "See /openapi/v1.json."),
        // Chosen by the router, which does not tell what it would have taken.
        StatusCodes.Status415UnsupportedMediaType => new Refusal(
            ApiCode.UnsupportedMediaType, "A statement is sent as application/cose, what concerns a log as application/cbor.", "See /openapi/v1.json."),
        _ => new Refusal(RefusalCode.Malformed, "The request cannot be read."),
    }, status);

    public Task ExecuteAsync(HttpContext httpContext)
    {
        var response = httpContext.Response;
        response.StatusCode = status;
        response.Headers.CacheControl = "no-store";
        if (status is StatusCodes.Status429TooManyRequests or StatusCodes.Status503ServiceUnavailable)
            response.Headers.RetryAfter = "1";
        var document = new ProblemDocument("about:blank", ReasonPhrases.GetReasonPhrase(status), status, refusal.Code, refusal.Detail, refusal.Next);
        return response.WriteAsJsonAsync(document, ApiJson.Default.ProblemDocument, "application/problem+json", httpContext.RequestAborted);
    }
}

/// <summary>Something in a request's address, query or headers is wrong.</summary>
internal sealed class RequestFormatException(Refusal refusal) : FormatException(refusal.Detail)
{
    public Refusal Refusal { get; } = refusal;

    public static RequestFormatException Malformed(string detail, string? next = null) => new(new Refusal(RefusalCode.Malformed, detail, next));
}
