using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Grid.Log;

/// <summary>
/// The name of a tile (C2SP tlog-tiles): <c>tile/&lt;L&gt;/&lt;N&gt;[.p/&lt;W&gt;]</c> for hashes, <c>tile/entries/&lt;N&gt;[.p/&lt;W&gt;]</c> for entries.
/// </summary>
/// <param name="Level">0–63; null for an entry bundle</param>
/// <param name="Index">of the tile within its level</param>
/// <param name="Width">1–255 for a partial tile, 256 for a full one</param>
public sealed partial record TilePath(int? Level, long Index, int Width)
{
    public const int Height = 8;
    public const int FullWidth = 1 << Height;

    // Six groups name more tiles than a log of 2⁶³ leaves has at level 0, and fit a long.
    private const int MaximumGroups = 6;

    public bool IsPartial => Width < FullWidth;

    /// <summary>How many hashes the tile has in a tree of that size; 0 when there is no such tile.</summary>
    public static int WidthAt(long size, int level, long index)
    {
        if (level is < 0 or > 63 || index < 0)
            return 0;
        var hashes = level * Height < 63 ? size >> (level * Height) : 0;
        var first = index <= long.MaxValue / FullWidth ? index * FullWidth : long.MaxValue;
        return (int)long.Clamp(hashes - first, 0, FullWidth);
    }

    /// <summary>Every tile of hashes that a tree of size <paramref name="to"/> has and one of size <paramref name="from"/> had not, each in its newest width.</summary>
    public static IEnumerable<TilePath> Between(long from, long to)
    {
        for (var level = 0; level * Height < 63 && to >> (level * Height) > 0; level++)
        {
            var (before, after) = (from >> (level * Height), to >> (level * Height));
            for (var index = before / FullWidth; before < after && index * FullWidth < after; index++)
                yield return new TilePath(level, index, WidthAt(to, level, index));
        }
    }

    /// <summary>Strict: refuses leading zeroes, a partial width of 0 or 256, groups that are not three digits.</summary>
    public static bool TryParse(string? text, [NotNullWhen(true)] out TilePath? path)
    {
        path = null;
        if (text is null || text.Length > 64 || Form().Match(text) is not { Success: true } match || match.Groups["group"].Captures.Count >= MaximumGroups)
            return false;
        long index = 0;
        foreach (var group in match.Groups["group"].Captures.Append(match.Groups["last"].Captures[0]))
            index = (index * 1000) + Number(group.Value);
        // A leading group of zeroes is a second name of the same tile.
        if (match.Groups["group"].Captures is [var first, ..] && first.Value == "000")
            return false;
        int? level = match.Groups["level"].Success ? (int)Number(match.Groups["level"].Value) : null;
        var width = match.Groups["width"].Success ? (int)Number(match.Groups["width"].Value) : FullWidth;
        if (level > 63 || (match.Groups["width"].Success && width is < 1 or >= FullWidth))
            return false;
        path = new TilePath(level, index, width);
        return true;
    }

    public override string ToString()
    {
        var groups = (Index % 1000).ToString("000", CultureInfo.InvariantCulture);
        for (var rest = Index / 1000; rest > 0; rest /= 1000)
            groups = $"x{(rest % 1000).ToString("000", CultureInfo.InvariantCulture)}/{groups}";
        var level = Level?.ToString(CultureInfo.InvariantCulture) ?? "entries";
        return IsPartial ? $"tile/{level}/{groups}.p/{Width}" : $"tile/{level}/{groups}";
    }

    private static long Number(string digits) => long.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"\Atile/(?:(?<level>0|[1-9][0-9]?)|entries)/(?:x(?<group>[0-9]{3})/)*(?<last>[0-9]{3})(?:\.p/(?<width>[1-9][0-9]{0,2}))?\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture)]
    private static partial Regex Form();
}
