using System.Globalization;
using Grid.Bench.Start;

namespace Grid.Bench.Node;

/// <summary>Each row beside what it should be, and beside what others publish of themselves.</summary>
internal sealed class NumberTable
{
    // Of fewer rounds the worst says more than a percentile.
    private const int Enough = 30;

    private readonly Table _table = new("what", "p50", "p99, or worst", "of", "aim", "met", "published elsewhere");

    public void Print(TextWriter to) => _table.Print(to);

    /// <param name="worst">what the worst may be; without it the aim is for every round where there are few, and for the median where there are many</param>
    public void Times(string what, IReadOnlyCollection<double> milliseconds, double? aim = null, double? worst = null, string elsewhere = "")
    {
        var (median, bad) = (StartBench.Percentile(milliseconds, 0.5), StartBench.Percentile(milliseconds, milliseconds.Count < Enough ? 1 : 0.99));
        var limit = worst ?? (milliseconds.Count < Enough ? aim : null);
        _table.Add(what, Milliseconds(median), Milliseconds(bad), $"{milliseconds.Count}", Aims(aim, worst), Met(aim is null ? null : median <= aim && (limit is null || bad <= limit)), elsewhere);
    }

    public void Amount(string what, string amount, string aim = "", bool? met = null, string elsewhere = "", string of = "") => _table.Add(what, amount, "", of, aim, Met(met), elsewhere);

    private static string Met(bool? met) => met switch { true => "yes", false => "no", null => "" };

    private static string Aims(double? aim, double? worst) =>
        (aim is { } a ? $"≤ {Milliseconds(a)}" : "") + (worst is { } w ? $", p99 ≤ {Milliseconds(w)}" : "");

    private static string Milliseconds(double value) => value switch
    {
        >= 1000 => (value / 1000).ToString("0.0# s", CultureInfo.InvariantCulture),
        >= 100 => value.ToString("0 ms", CultureInfo.InvariantCulture),
        _ => value.ToString("0.# ms", CultureInfo.InvariantCulture),
    };
}
