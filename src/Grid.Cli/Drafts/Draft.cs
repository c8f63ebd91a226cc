using System.Collections.Immutable;
using Grid.Cli.Yaml;
using Grid.Workloads;

namespace Grid.Cli.Drafts;

/// <summary>A <c>grid.yaml</c> as its author meant it: amounts are amounts, but farms, nodes, offers and accounts are still names.</summary>
/// <param name="Name">what the agreement is called on this machine; it is not part of what is signed</param>
/// <param name="User">the account that signs; null: the one that is set</param>
/// <param name="Offers">under which offer each farm's nodes are taken; a farm without one takes part under its only open offer</param>
public sealed record Draft(
    string Name, Named? User, string Note, DraftTerm Term, TimeSpan Grace, ImmutableArray<(Named Farm, Named Offer)> Offers,
    ImmutableArray<DraftWorkload> Workloads);

/// <param name="Start">null: as soon as every node is ready</param>
/// <param name="Until">null: until somebody ends it</param>
/// <param name="Notice">null: what the offers ask, the longest</param>
/// <param name="AnswerBy">counted from each plan</param>
/// <param name="ConvergeBy">counted from each plan</param>
public sealed record DraftTerm(
    DraftTime? Start, DraftTime? Until, TimeSpan? Notice, DraftTime AnswerBy, DraftTime ConvergeBy, TimeSpan OfflineAfter, bool OfflinePause);

/// <param name="Workload">complete but for its node</param>
/// <param name="Node">an id, an alias, a farm with one node, or FARM/N for the farm's N-th node; null for kinds that are on no single node</param>
public sealed record DraftWorkload(Workload Workload, Named? Node, Position At);

/// <summary>A name and where it stands, so that whoever cannot resolve it can say where.</summary>
public sealed record Named(string Text, Position At);
