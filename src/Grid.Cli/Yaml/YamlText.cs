using System.Collections.Immutable;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Grid.Cli.Yaml;

/// <summary>
/// Strict reader of the YAML that people write for Grid: one document, no tags, no anchors or aliases (a file says what it says, and cannot
/// grow when it is read), no field twice, bounded in size and depth.
/// </summary>
public static class YamlText
{
    public const int MaximumLength = 256 * 1024;

    private const int MaximumDepth = 24;

    private const string AsYaml = "Mend it there: one document of 'name: value' lines, without anchors and tags.";

    /// <returns>null and a fault when the text is not such a document</returns>
    public static YamlNode? Read(string text, out Fault? fault)
    {
        fault = null;
        if (text.Length > MaximumLength)
        {
            fault = new Fault(new(1, 1), new Refusal(RefusalCode.TooLarge, $"The file has {text.Length} characters; {MaximumLength} are allowed.", "Check that it is the file you mean."));
            return null;
        }
        try
        {
            var parser = new Parser(new Scanner(new StringReader(text), skipComments: true));
            parser.Consume<StreamStart>();
            if (parser.Accept<StreamEnd>(out _))
                throw new FaultException(new(1, 1), "The file is empty.");
            parser.Consume<DocumentStart>();
            var root = Node(parser, 0);
            parser.Consume<DocumentEnd>();
            if (!parser.Accept<StreamEnd>(out var next))
                throw new FaultException(At(next ?? parser.Current!), "One document is wanted; another follows.");
            return root;
        }
        catch (FaultException e)
        {
            fault = e.Fault;
        }
        catch (YamlException e)
        {
            fault = new Fault(At(e.Start), new Refusal(RefusalCode.Malformed, $"Not YAML: {e.Message}", AsYaml));
        }
        catch (InvalidOperationException)
        {
            // The scanner's own answer to some texts that are not YAML (seen with a cut flow mapping); it has no place.
            fault = new Fault(new(1, 1), new Refusal(RefusalCode.Malformed, "Not YAML: it cannot be read to its end.", AsYaml));
        }
        return null;
    }

    private static YamlNode Node(Parser parser, int depth)
    {
        var current = parser.Current ?? throw new FaultException(new(1, 1), "The file ends too soon.");
        var at = At(current);
        if (depth > MaximumDepth)
            throw new FaultException(at, $"Nested deeper than {MaximumDepth}.");
        if (current is AnchorAlias || current is NodeEvent { Anchor.IsEmpty: false })
            throw new FaultException(at, "Anchors and aliases are not allowed: write it out.");
        if (current is NodeEvent { Tag.IsEmpty: false })
            throw new FaultException(at, "Tags are not allowed.");
        if (parser.TryConsume<Scalar>(out var scalar))
            return new YamlNode.Scalar(at, scalar.Value, scalar.Style is not (ScalarStyle.Plain or ScalarStyle.Any));
        if (parser.TryConsume<SequenceStart>(out _))
        {
            var items = ImmutableArray.CreateBuilder<YamlNode>();
            while (!parser.TryConsume<SequenceEnd>(out _))
                items.Add(Node(parser, depth + 1));
            return new YamlNode.Sequence(at, items.ToImmutable());
        }
        parser.Consume<MappingStart>();
        var entries = ImmutableArray.CreateBuilder<(YamlNode.Scalar, YamlNode)>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (!parser.TryConsume<MappingEnd>(out _))
        {
            var place = At(parser.Current!);
            if (Node(parser, depth + 1) is not YamlNode.Scalar key)
                throw new FaultException(place, "A field's name must be a plain word.");
            if (!seen.Add(key.Text))
                throw new FaultException(place, $"The field '{key.Text}' stands here twice.");
            entries.Add((key, Node(parser, depth + 1)));
        }
        return new YamlNode.Mapping(at, entries.ToImmutable());
    }

    private static Position At(ParsingEvent e) => At(e.Start);

    private static Position At(Mark mark) => new((int)mark.Line, (int)mark.Column);

    // Carries one fault out of the recursion above; never leaves this file.
    private sealed class FaultException(Position at, string detail) : Exception
    {
        public Fault Fault { get; } = new(at, new Refusal(RefusalCode.Malformed, detail, AsYaml));
    }
}
