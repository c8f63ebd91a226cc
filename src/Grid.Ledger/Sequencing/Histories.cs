using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Farms;
using Grid.Ledger.Store;
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

    /// <param name="state">as the last of the entries left it; what it says of an agreement's parties holds for all of its past</param>
    internal Histories With(IEnumerable<Happened> entries, GridState state)
    {
        var next = new Builder(this, state);
        foreach (var (entry, events) in entries)
            next.Add(entry.Index, events);
        return next.ToHistories();
    }

    private sealed class Builder(Histories before, GridState state)
    {
        private readonly ImmutableDictionary<Digest, History>.Builder _bySubject = before.BySubject.ToBuilder();
        private readonly ImmutableDictionary<AgreementId, long>.Builder _changed = before.Changed.ToBuilder();
        private readonly Dictionary<NodeId, ImmutableHashSet<AgreementId>.Builder> _onNode = [];
        private readonly ImmutableDictionary<NodeId, long>.Builder _nodeChanged = before.NodeChanged.ToBuilder();
        private readonly ImmutableList<FarmId>.Builder _farms = before.Farms.ToBuilder();
        private readonly ImmutableList<NodeId>.Builder _nodes = before.Nodes.ToBuilder();
        private readonly ImmutableList<OfferId>.Builder _offers = before.Offers.ToBuilder();
        private readonly ImmutableList<AgreementId>.Builder _agreements = before.Agreements.ToBuilder();
        private readonly ImmutableList<ImmutableArray<string>>.Builder _names = before.Names.ToBuilder();

        public void Add(long index, ImmutableArray<Event> events)
        {
            _names.Add(NameList.Of(events));
            var report = Event.OnlyReport(events);
            foreach (var happened in events)
            {
                foreach (var subject in happened.Subjects)
                    Concern(index, report, subject);
                Note(index, happened);
            }
        }

        public Histories ToHistories() => new()
        {
            BySubject = _bySubject.ToImmutable(),
            Changed = _changed.ToImmutable(),
            OnNode = before.OnNode.SetItems(_onNode.Select(n => KeyValuePair.Create(n.Key, n.Value.ToImmutable()))),
            NodeChanged = _nodeChanged.ToImmutable(),
            Farms = _farms.ToImmutable(),
            Nodes = _nodes.ToImmutable(),
            Offers = _offers.ToImmutable(),
            Agreements = _agreements.ToImmutable(),
            Names = _names.ToImmutable(),
        };

        private void Concern(long index, bool report, Digest subject)
        {
            var newest = _bySubject.GetValueOrDefault(subject);
            if (newest?.Index != index)
                _bySubject[subject] = new History(index, report, newest);
        }

        private void Note(long index, Event happened)
        {
            switch (happened)
            {
                case FarmEvent.Registered e:
                    _farms.Add(e.Farm);
                    break;
                case FarmEvent.OfferPosted e:
                    _offers.Add(e.Offer);
                    break;
                case NodeEvent.Joined e:
                    _nodes.Add(e.Node);
                    break;
                case AgreementEvent { IsHighRate: false } e:
                    if (e is AgreementEvent.Proposed)
                        _agreements.Add(e.Agreement);
                    if (!_changed.TryGetValue(e.Agreement, out var changed) || changed != index)
                        Change(index, e.Agreement);
                    break;
            }
        }

        private void Change(long index, AgreementId id)
        {
            _changed[id] = index;
            foreach (var node in state.Agreements[id].EveryPart.SelectMany(p => p.Nodes))
            {
                if (!_onNode.TryGetValue(node, out var agreements))
                    _onNode[node] = agreements = before.OnNode.GetValueOrDefault(node, []).ToBuilder();
                agreements.Add(id);
                _nodeChanged[node] = index;
            }
        }
    }
}

/// <summary>Indexes of entries, newest first.</summary>
/// <param name="isReport">the entry changed nothing</param>
public sealed class History(long index, bool isReport, History? before)
{
    // Reports are the most of a long history: whoever does not want them steps over all that lie together.
    private readonly History? _changeBefore = before is { IsReport: true } ? before._changeBefore : before;

    public long Index => index;

    public bool IsReport => isReport;

    public History? Before => before;

    /// <summary>Those without which what stands would not be proven.</summary>
    public IEnumerable<long> Changes
    {
        get
        {
            for (var at = IsReport ? _changeBefore : this; at is not null; at = at._changeBefore)
                yield return at.Index;
        }
    }

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
