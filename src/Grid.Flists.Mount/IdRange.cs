using System.Globalization;

namespace Grid.Flists.Mount;

/// <summary>The user and group ids of this machine that stand for 0 … <paramref name="Count"/> − 1 of a tree.</summary>
/// <param name="First">the one that stands for 0</param>
public readonly record struct IdRange(uint First, uint Count)
{
    // The kernel's own overflow id, which it shows for an owner that a namespace has no id for (/proc/sys/kernel/overflowuid).
    private const uint Nobody = 65_534;

    /// <summary>The id that one of the tree is here; nobody's, when it is beyond the range.</summary>
    public uint Of(uint id) => id < Count ? First + id : Nobody;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{First}+{Count}");

    internal static IdRange? TryParse(string text) =>
        text.Split('+') is [var first, var count]
        && uint.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out var from) && uint.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out var many)
            ? new IdRange(from, many)
            : null;
}
