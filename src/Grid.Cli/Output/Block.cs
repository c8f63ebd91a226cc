using System.Collections.Immutable;

namespace Grid.Cli.Output;

/// <summary>What a person reads of a result. The same result's JSON is a document of its own, so neither is squeezed into the other.</summary>
public abstract record Block
{
    /// <summary>Rows under headings, columns aligned by spaces, never wrapped: an id can always be copied.</summary>
    public sealed record Table(ImmutableArray<string> Columns, ImmutableArray<ImmutableArray<Cell>> Rows, string WhenEmpty = "nothing found") : Block;

    /// <summary>Names and values of one thing.</summary>
    public sealed record Fields(ImmutableArray<(string Name, Cell Value)> Items) : Block;

    public sealed record Lines(ImmutableArray<Cell> Items) : Block;

    /// <summary>What a person may do now. Left out where hints are not wanted.</summary>
    public sealed record Next(string Command) : Block;

    public static Lines Line(string text, Ink ink = Ink.Plain) => new([new Cell(text, ink)]);
}

public enum Ink
{
    Plain,
    Good,
    Bad,
    Notice,
    Faint,
}

/// <summary>One piece of text and how it looks on a terminal.</summary>
public readonly record struct Cell(string Text, Ink Ink = Ink.Plain)
{
    public static implicit operator Cell(string? text) => new(text ?? "-");

    public static Cell FromText(string? text) => text;
}
