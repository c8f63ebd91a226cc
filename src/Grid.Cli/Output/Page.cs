using System.Collections.Immutable;

namespace Grid.Cli.Output;

/// <summary>Writes blocks as text. Colour only where a terminal reads and NO_COLOR is not set (https://no-color.org).</summary>
public sealed class Page(TextWriter writer, bool colour)
{
    private const int Gap = 2;

    public void Write(IEnumerable<Block> blocks)
    {
        var first = true;
        foreach (var block in blocks)
        {
            if (!first)
                writer.WriteLine();
            first = false;
            Write(block);
        }
    }

    /// <summary>Text from elsewhere cannot move the cursor or repaint the screen: control characters are shown, not sent.</summary>
    /// <param name="tabs">true where nothing stands in columns: a tab moves on to the right and no further</param>
    public static string Printable(string text, bool tabs = false)
    {
        bool Shown(char c) => !char.IsControl(c) || (tabs && c == '\t');
        return text.All(Shown) ? text : string.Concat(text.Select(c => Shown(c) ? c.ToString() : $"\\x{(int)c:x2}"));
    }

    private void Write(Block block)
    {
        switch (block)
        {
            case Block.Table { Rows.IsEmpty: true } table:
                writer.WriteLine(table.WhenEmpty);
                break;
            case Block.Table table:
                var head = table.Columns.Select(c => new Cell(c.ToUpperInvariant(), Ink.Faint)).ToImmutableArray();
                Rows([head, .. table.Rows]);
                break;
            case Block.Fields fields:
                Rows([.. fields.Items.Select(f => ImmutableArray.Create(new Cell(f.Name + ":", Ink.Faint), f.Value))]);
                break;
            case Block.Lines lines:
                foreach (var line in lines.Items)
                    writer.WriteLine(Painted(line, tabs: true));
                break;
            case Block.Next next:
                writer.WriteLine(Painted(new Cell($"Next: {next.Command}", Ink.Faint)));
                break;
        }
    }

    private void Rows(ImmutableArray<ImmutableArray<Cell>> rows)
    {
        var widths = new int[rows.Max(r => r.Length)];
        foreach (var row in rows)
        {
            for (var i = 0; i < row.Length; i++)
                widths[i] = int.Max(widths[i], Printable(row[i].Text).Length);
        }
        foreach (var row in rows)
        {
            for (var i = 0; i < row.Length; i++)
            {
                writer.Write(Painted(row[i]));
                if (i < row.Length - 1)
                    writer.Write(new string(' ', widths[i] - Printable(row[i].Text).Length + Gap));
            }
            writer.WriteLine();
        }
    }

    private string Painted(Cell cell, bool tabs = false)
    {
        var text = Printable(cell.Text, tabs);
        var code = cell.Ink switch { Ink.Good => 32, Ink.Bad => 31, Ink.Notice => 33, Ink.Faint => 2, _ => 0 };
        return colour && code != 0 ? $"\e[{code}m{text}\e[0m" : text;
    }
}
