using System.Collections.Immutable;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Grid.Cli.Yaml;

/// <summary>
/// Takes the fields of one mapping, each once, and gathers every fault instead of stopping at the first. A value that is wrong reads as its
/// default; whoever reads looks at <see cref="Faults"/> before using anything.
/// </summary>
public sealed partial class Fields
{
    private readonly YamlNode.Mapping _mapping;
    private readonly string _what;
    private readonly List<Fault> _faults;
    private readonly List<string> _asked = [];

    private Fields(YamlNode.Mapping mapping, string what, List<Fault> faults)
    {
        (_mapping, _what, _faults) = (mapping, what, faults);
    }

    public delegate bool Parser<T>(string text, out T value);

    public Position At => _mapping.At;

    public List<Fault> Faults => _faults;

    /// <param name="what">what the mapping describes, for messages: "the workload 'web'"</param>
    /// <returns>an empty set of fields, with a fault, when the node is something else</returns>
    public static Fields Of(YamlNode node, string what, List<Fault> faults)
    {
        if (node is YamlNode.Mapping mapping)
            return new Fields(mapping, what, faults);
        faults.Add(new Fault(node.At, new Refusal(RefusalCode.Malformed, $"{Capital(what)} must be a set of fields; {node.What} is there.", "Write one 'name: value' a line, indented alike.")));
        return new Fields(new YamlNode.Mapping(node.At, []), what, faults) { Broken = true };
    }

    /// <summary>True when there was no mapping; missing fields are then not worth a message of their own.</summary>
    public bool Broken { get; private init; }

    public ImmutableArray<(YamlNode.Scalar Key, YamlNode Value)> All
    {
        get
        {
            _asked.AddRange(_mapping.Entries.Select(e => e.Key.Text));
            return _mapping.Entries;
        }
    }

    public YamlNode? Node(string name)
    {
        _asked.Add(name);
        return _mapping.Entries.FirstOrDefault(e => e.Key.Text == name).Value;
    }

    public YamlNode? Required(string name)
    {
        var node = Node(name);
        if (node is null && !Broken)
            Fault(At, RefusalCode.MissingField, $"{Capital(_what)} must say '{name}'.");
        return node;
    }

    public YamlNode.Scalar? Scalar(string name, bool required = false) => Scalar(required ? Required(name) : Node(name), name);

    public YamlNode.Scalar? Scalar(YamlNode? node, string name)
    {
        if (node is YamlNode.Scalar { Quoted: false, Text: "" or "~" or "null" } empty)
        {
            Fault(empty.At, RefusalCode.Malformed, $"'{name}' has no value.", "Give it one or leave the field out.");
            return null;
        }
        if (node is not null and not YamlNode.Scalar)
            Fault(node.At, RefusalCode.Malformed, $"'{name}' must be a single value; {node.What} is there.", "Write one 'name: value' a line, indented alike.");
        return node as YamlNode.Scalar;
    }

    public string? Text(string name, bool required = false) => Scalar(name, required)?.Text;

    /// <param name="form">what a right value looks like</param>
    public T Parsed<T>(string name, Parser<T> parse, string form, T fallback, bool required = false) =>
        Parsed(Scalar(name, required), name, parse, form, fallback);

    public T Parsed<T>(YamlNode.Scalar? scalar, string name, Parser<T> parse, string form, T fallback)
    {
        if (scalar is null)
            return fallback;
        if (parse(scalar.Text, out var value))
            return value;
        // What smaller numbers would make right holds one that is too large, and a statement would be refused for that.
        var large = !scalar.Text.Contains('.') && parse(Digits().Replace(scalar.Text, n => n.Value.All(c => c == '0') ? n.Value : "1"), out _);
        Fault(scalar.At, large ? RefusalCode.TooLarge : RefusalCode.Malformed, $"'{name}' cannot be '{scalar.Text}'.", $"Write {form}.");
        return fallback;
    }

    public int Integer(string name, int minimum, int maximum, int fallback) => Parsed(name,
        (string text, out int value) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value >= minimum && value <= maximum,
        $"a whole number from {minimum} to {maximum}", fallback);

    public ImmutableArray<YamlNode> List(string name)
    {
        switch (Node(name))
        {
            case null:
                return [];
            case YamlNode.Sequence sequence:
                return sequence.Items;
            case var other:
                Fault(other.At, RefusalCode.Malformed, $"'{name}' must be a list; {other.What} is there.");
                return [];
        }
    }

    public ImmutableArray<string> Texts(string name) => [.. List(name).Select(item => Scalar(item, name)?.Text ?? "")];

    public void Fault(Position at, string code, string detail, string? next = null) => _faults.Add(new Fault(at, new Refusal(code, detail, next)));

    /// <summary>Refuses every field that nobody asked for.</summary>
    public void Close()
    {
        foreach (var (key, _) in _mapping.Entries)
        {
            if (_asked.Contains(key.Text))
                continue;
            if (RefusalCode.HostAccessFields.Contains(key.Text))
                Fault(key.At, RefusalCode.HostAccess, $"The field '{key.Text}' would reach into the host; no workload may.", "Remove it.");
            else
                Fault(key.At, RefusalCode.UnknownField, $"{Capital(_what)} has no field '{key.Text}'.", Suggestion(key.Text));
        }
    }

    private string Suggestion(string name)
    {
        var nearest = _asked.Distinct().MinBy(known => Distance(known, name));
        return nearest is not null && Distance(nearest, name) <= 2 ? $"Did you mean '{nearest}'?" : $"It knows: {string.Join(", ", _asked.Distinct().Order(StringComparer.Ordinal))}.";
    }

    private static string Capital(string text) => char.ToUpperInvariant(text[0]) + text[1..];

    // Levenshtein's distance, in one row.
    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var cost = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = int.Min(cost, int.Min(row[j], row[j - 1]) + 1);
            }
        }
        return row[b.Length];
    }

    [GeneratedRegex("[0-9]+")]
    private static partial Regex Digits();
}
