namespace Grid.Gateways;

/// <summary>
/// Names by which the world asks for a gateway: fully qualified, lower case, letters, digits and hyphens (RFC 1123 §2.1), one way to write each.
/// No address, no trailing dot, no wildcard.
/// </summary>
public static class Hostname
{
    /// <summary>In text; 255 on the wire (RFC 1035 §2.3.4).</summary>
    public const int Longest = 253;

    /// <summary>What is read at all, so that a longer one is refused for what it is.</summary>
    public const int LongestRead = 300;

    private const int LongestLabel = 63;

    public static bool IsValid(string text) => text.Length <= Longest && text.Split('.') is { Length: > 1 } labels && Array.TrueForAll(labels, IsLabel)
        // What ends in a number is read as an IPv4 address by browsers (URL Standard, "ends in a number").
        && char.IsAsciiLetterLower(labels[^1][0]);

    /// <summary>True when it is one label under a domain: what a wildcard entry of that domain leads to its node.</summary>
    public static bool IsDirectlyUnder(string hostname, string domain) =>
        hostname.Length > domain.Length + 1 && hostname.IndexOf('.') == hostname.Length - domain.Length - 1 && hostname.EndsWith(domain, StringComparison.Ordinal);

    private static bool IsLabel(string label) => label.Length is >= 1 and <= LongestLabel && label[0] != '-' && label[^1] != '-'
        && label.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-');
}
