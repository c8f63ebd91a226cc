namespace Grid.Hub;

/// <summary>The query names an endpoint knows.</summary>
internal sealed record Queries(params string[] Names)
{
    /// <summary>Names that the endpoint does not know are refused: a misspelt one would otherwise answer what was not asked.</summary>
    public static Task RefuseUnknown(HttpContext context, RequestDelegate next)
    {
        if (context.GetEndpoint() is not { } endpoint)
            return next(context);
        var known = endpoint.Metadata.GetMetadata<Queries>()?.Names ?? [];
        foreach (var (name, values) in context.Request.Query)
        {
            if (!known.Contains(name))
                throw new RefusedException(new Refusal(RefusalCode.UnknownField, $"The query '{(name.Length > 40 ? name[..40] : name)}' is not known here.",
                    known.Length == 0 ? "There is none." : $"Known: {string.Join(", ", known)}."));
            if (values.Count != 1)
                throw new RefusedException(new Refusal(RefusalCode.Malformed, $"'{name}' stands {values.Count} times."));
        }
        return next(context);
    }
}
