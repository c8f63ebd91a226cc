namespace Grid.Units;

/// <summary>Names that people give: lower-case letters, digits and hyphens, none at either end (as in RFC 1123 labels).</summary>
public static class Names
{
    public static bool IsValid(string text, int minimum, int maximum) =>
        text.Length >= minimum && text.Length <= maximum && text[0] != '-' && text[^1] != '-'
        && text.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-');
}
