namespace Grid;

/// <summary>
/// A typed "no": what is refused and why, and what to do next. Refusals are values, never exceptions.
/// </summary>
/// <param name="Code">stable, lower-case words with hyphens; one of <see cref="RefusalCode"/></param>
/// <param name="Detail">one sentence that names the thing at fault</param>
/// <param name="Next">what the caller can do about it, when there is something</param>
public sealed record Refusal(string Code, string Detail, string? Next = null)
{
    /// <summary>The part of an agreement's terms at fault, for whoever wrote them; null when it is about none, or came over a wire.</summary>
    public About? About { get; init; }

    /// <summary>As a program says what keeps it from starting, one line for each thing it has to say.</summary>
    public string From(string program) => Next is null ? $"{program}: error[{Code}]: {Detail}" : $"{program}: error[{Code}]: {Detail}\n  next: {Next}";

    public override string ToString() => Next is null ? $"{Code}: {Detail}" : $"{Code}: {Detail} {Next}";
}

/// <summary>A part of an agreement's terms, in their own words.</summary>
/// <param name="Workload">null: the field is one of the term, or is "farms"</param>
/// <param name="Field">as the signed form calls it; null: all of the workload</param>
/// <param name="Item">which one, in a field that holds several: a path, a variable, a network, an argument, a farm</param>
public sealed record About(string? Workload, string? Field = null, string? Item = null);
