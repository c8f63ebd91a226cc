using System.Globalization;

namespace Grid.Bench;

/// <summary>Rows of what was measured, aligned, as Markdown that is also readable in a terminal.</summary>
public sealed class Table(params string[] columns)
{
    private readonly List<string[]> _rows = [columns];

    public void Add(params string[] cells) => _rows.Add(cells);

    public void Print(TextWriter to)
    {
        var widths = Enumerable.Range(0, columns.Length).Select(c => _rows.Max(r => r[c].Length)).ToArray();
        for (var row = 0; row < _rows.Count; row++)
        {
            to.WriteLine($"| {string.Join(" | ", _rows[row].Select((cell, c) => c == 0 ? cell.PadRight(widths[c]) : cell.PadLeft(widths[c])))} |");
            if (row == 0)
                to.WriteLine($"| {string.Join(" | ", widths.Select((w, c) => c == 0 ? new string('-', w) : new string('-', w - 1) + ':'))} |");
        }
    }

    public static string Number(double value) => value.ToString("N0", CultureInfo.InvariantCulture);

    public static string Milliseconds(double value) => value.ToString("0.00", CultureInfo.InvariantCulture);
}
