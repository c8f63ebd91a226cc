using System.Collections.Immutable;

namespace Grid.Cli.Yaml;

/// <summary>Line and column in a file, both from 1.</summary>
public readonly record struct Position(int Line, int Column)
{
    public override string ToString() => $"{Line}:{Column}";
}

/// <summary>A YAML document as it was written, every part with its place.</summary>
public abstract record YamlNode(Position At)
{
    public abstract string What { get; }

    /// <param name="Quoted">true when quotes or a block style make it a text whatever it looks like</param>
    public sealed record Scalar(Position At, string Text, bool Quoted) : YamlNode(At)
    {
        public override string What => "a value";
    }

    public sealed record Sequence(Position At, ImmutableArray<YamlNode> Items) : YamlNode(At)
    {
        public override string What => "a list";
    }

    public sealed record Mapping(Position At, ImmutableArray<(Scalar Key, YamlNode Value)> Entries) : YamlNode(At)
    {
        public override string What => "a set of fields";
    }
}

/// <summary>Something wrong at one place of a file.</summary>
public sealed record Fault(Position At, Refusal Refusal);
