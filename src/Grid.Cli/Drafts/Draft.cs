using System.Collections.Immutable;
using Grid.Cli.Yaml;
using Grid.Workloads;

namespace Grid.Cli.Drafts;

/// <summary>A <c>grid.yaml</c> as its author meant it: amounts are amounts, but farms, nodes, offers and accounts are still names.</summary>
/// <param name="Name">what the agreement is called on this machine; it is not part of what is signed</param>
/// <param name="User">the account that signs; null: the one that is set</param>
/// <param name="Source">what it was read from</param>
/// <param name="Offers">under which offer each farm's nodes are taken; a farm without one takes part under its only open offer</param>
public sealed record Draft(
    string Name, Named? User, string Note, DraftTerm Term, TimeSpan Grace, ImmutableArray<(Named Farm, Named Offer)> Offers,
    ImmutableArray<DraftWorkload> Workloads, YamlNode Source)
{
    /// <summary>Where that part of the terms is written: at its value, at its name when it holds several, or at the nearest that says it at all.</summary>
    public Position Place(About? about)
    {
        // The terms call 'end' what their author calls 'until'.
        var field = about is { Workload: null, Field: "end" } ? "until" : about?.Field;
        string?[] path = about switch
        {
            null => [],
            { Workload: { } workload } => ["workloads", workload, field, about.Item],
            _ => ["term", field, about.Item],
        };
        var (at, node) = (Source.At, Source);
        foreach (var name in path.OfType<string>())
        {
            YamlNode? next = null;
            switch (node)
            {
                case YamlNode.Mapping mapping when mapping.Entries.FirstOrDefault(e => e.Key.Text == name) is { Key: { } key, Value: var value }:
                    (at, next) = (value is YamlNode.Scalar && name == field ? value.At : key.At, value);
                    break;
                case YamlNode.Sequence list when list.Items.FirstOrDefault(i => i is YamlNode.Scalar s && s.Text == name) is { } item:
                    (at, next) = (item.At, item);
                    break;
            }
            if (next is null)
                break;
            node = next;
        }
        return at;
    }
}

/// <param name="Start">null: as soon as every node is ready</param>
/// <param name="Until">null: until somebody ends it</param>
/// <param name="Notice">null: what the offers ask, the longest</param>
/// <param name="AnswerBy">counted from each plan</param>
/// <param name="ConvergeBy">counted from each plan</param>
public sealed record DraftTerm(
    DraftTime? Start, DraftTime? Until, TimeSpan? Notice, DraftTime AnswerBy, DraftTime ConvergeBy, TimeSpan OfflineAfter, bool OfflinePause);

/// <param name="Workload">complete but for its node and its secrets</param>
/// <param name="Node">an id, an alias, a farm with one node, or FARM/N for the farm's N-th node; null for kinds that are on no single node</param>
public sealed record DraftWorkload(Workload Workload, Named? Node, Position At)
{
    /// <summary>Not sealed yet: to whom they are follows from the node.</summary>
    public ImmutableArray<DraftSecret> Secrets { get; init; } = [];
}

/// <summary>A name and where it stands, so that whoever cannot resolve it can say where.</summary>
public sealed record Named(string Text, Position At);
