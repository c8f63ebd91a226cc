using System.Collections.Immutable;
using Grid.Accounts;
using Grid.Agreements;
using Grid.Farms;
using Grid.Nodes;
using Grid.Units;
using Grid.World;

namespace Grid.Ledger.Sequencing;

/// <summary>
/// Which entry concerned what: a fold of the log beside <see cref="GridState"/>, for those who ask about one thing. Immutable like the state.
/// </summary>
public sealed record Histories
{
    public static readonly Histories Empty = new();

    private Histories()
    {
    }

    /// <summary>The newest entry of each thing, by the digest that names it; older ones follow.</summary>
    public ImmutableDictionary<Digest, History> BySubject { get; init; } = ImmutableDictionary<Digest, History>.Empty;

    /// <summary>The index of the newest entry that changed an agreement's state; receipts that only report do not.</summary>
    public ImmutableDictionary<AgreementId, long> Changed { get; init; } = ImmutableDictionary<AgreementId, long>.Empty;

    /// <summary>The agreements that any version of which names the node.</summary>
    public ImmutableDictionary<NodeId, ImmutableHashSet<AgreementId>> OnNode { get; init; } = ImmutableDictionary<NodeId, ImmutableHashSet<AgreementId>>.Empty;

    /// <summary>The newest <see cref="Changed"/> of each node's agreements.</summary>
    public ImmutableDictionary<NodeId, long> NodeChanged { get; init; } = ImmutableDictionary<NodeId, long>.Empty;

    // In the order of founding, which pages of a list rest on: nothing is ever inserted before a cursor.
    public ImmutableList<FarmId> Farms { get; init; } = [];

    public ImmutableList<NodeId> Nodes { get; init; } = [];

    public ImmutableList<OfferId> Offers { get; init; } = [];

    public ImmutableList<AgreementId> Agreements { get; init; } = [];

    /// <summary>The names of what each entry made happen, by index.</summary>
    public ImmutableList<ImmutableArray<string>> Names { get; init; } = [];

    /// <param name="state">as the entry left it</param>
    internal Histories With(long index, ImmutableArray<Event> events, GridState state)
    {
        var next = this with { Names = Names.Add(NameList.Of(events)), BySubject = Concern(index, events) };
        foreach (var happened in events)
            next = next.With(index, happened, state);
        return next;
    }

    private ImmutableDictionary<Digest, History> Concern(long index, ImmutableArray<Event> events)
    {
        var subjects = BySubject;
        foreach (var subject in events.SelectMany(e => e.Subjects))
        {
            var before = subjects.GetValueOrDefault(subject);
            if (before?.Index != index)
                subjects = subjects.SetItem(subject, new History(index, before));
        }
        return subjects;
    }

    private Histories With(long index, Event happened, GridState state) => happened switch
    {
        FarmEvent.Registered e => this with { Farms = Farms.Add(e.Farm) },
        FarmEvent.OfferPosted e => this with { Offers = Offers.Add(e.Offer) },
        NodeEvent.Joined e => this with { Nodes = Nodes.Add(e.Node) },
        AgreementEvent.Proposed e => (this with { Agreements = Agreements.Add(e.Agreement) }).Change(index, e.Agreement, state),
        AgreementEvent { IsHighRate: false } e => Change(index, e.Agreement, state),
        _ => this,
    };

    private Histories Change(long index, AgreementId id, GridState state)
    {
        var (onNode, changed) = (OnNode, NodeChanged);
        foreach (var node in state.Agreements[id].EveryPart.SelectMany(p => p.Nodes))
        {
            var agreements = onNode.GetValueOrDefault(node, []);
            if (!agreements.Contains(id))
                onNode = onNode.SetItem(node, agreements.Add(id));
            changed = changed.SetItem(node, index);
        }
        return this with { Changed = Changed.SetItem(id, index), OnNode = onNode, NodeChanged = changed };
    }
}

/// <summary>Indexes of entries, newest first.</summary>
public sealed record History(long Index, History? Before)
{
    public IEnumerable<long> Indexes
    {
        get
        {
            for (var at = this; at is not null; at = at.Before)
                yield return at.Index;
        }
    }
}

/// <summary>The few combinations of names that there are, each kept once.</summary>
internal static class NameList
{
    private static ImmutableDictionary<string, ImmutableArray<string>> s_known = ImmutableDictionary<string, ImmutableArray<string>>.Empty;

    public static ImmutableArray<string> Of(ImmutableArray<Event> events)
    {
        if (events.Length > 8)
            return [.. events.Select(e => e.Name)];
        var key = events.Length == 1 ? events[0].Name : string.Join(' ', events.Select(e => e.Name));
        return ImmutableInterlocked.GetOrAdd(ref s_known, key, static (_, all) => [.. all.Select(e => e.Name)], events);
    }
}
