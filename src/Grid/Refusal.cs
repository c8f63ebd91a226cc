namespace Grid;

/// <summary>
/// A typed "no": what is refused and why, and what to do next. Refusals are values, never exceptions.
/// </summary>
/// <param name="Code">stable, lower-case words with hyphens; one of <see cref="RefusalCode"/></param>
/// <param name="Detail">one sentence that names the thing at fault</param>
/// <param name="Next">what the caller can do about it, when there is something</param>
public sealed record Refusal(string Code, string Detail, string? Next = null)
{
    public override string ToString() => Next is null ? $"{Code}: {Detail}" : $"{Code}: {Detail} {Next}";
}
