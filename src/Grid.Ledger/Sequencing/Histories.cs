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
    public VersionedMap<Digest, History> BySubject { get; init; } = VersionedMap<Digest, History>.Empty;

    /// <summary>The newest change of an agreement that any version of which names the node; older ones follow.</summary>
    public ImmutableDictionary<NodeId, NodeHistory> OnNode { get; init; } = ImmutableDictionary<NodeId, NodeHistory>.Empty;

    // In the order of founding, which pages of a list rest on: nothing is ever inserted before a cursor.
    public ImmutableList<FarmId> Farms { get; init; } = [];

    public ImmutableList<NodeId> Nodes { get; init; } = [];

    public ImmutableList<OfferId> Offers { get; init; } = [];

    public ImmutableList<AgreementId> Agreements { get; init; } = [];

    /// <summary>The names of what each entry made happen, by index.</summary>
    public ImmutableList<ImmutableArray<string>> Names { get; init; } = [];

    /// <summary>The index of the newest entry that changed an agreement's state; receipts that only report do not.</summary>
    /// <exception cref="KeyNotFoundException">there is no such agreement</exception>
    public long ChangedAt(AgreementId agreement) => Of(agreement.Value)?.Changes.First() ?? throw new KeyNotFoundException($"{agreement} has no entry.");

    /// <summary>The newest entry about a thing; null when there is none.</summary>
    public History? Of(Digest subject) => BySubject.TryGetValue(subject, out var newest) ? newest : null;

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
        private readonly Dictionary<Digest, History> _bySubject = [];
        private readonly ImmutableDictionary<NodeId, NodeHistory>.Builder _onNode = before.OnNode.ToBuilder();
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
            BySubject = before.BySubject.SetItems(_bySubject),
            OnNode = _onNode.ToImmutable(),
            Farms = _farms.ToImmutable(),
            Nodes = _nodes.ToImmutable(),
            Offers = _offers.ToImmutable(),
            Agreements = _agreements.ToImmutable(),
            Names = _names.ToImmutable(),
        };

        private void Concern(long index, bool report, Digest subject)
        {
            var newest = _bySubject.GetValueOrDefault(subject) ?? before.Of(subject);
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
                    foreach (var part in state.Agreements[e.Agreement].EveryPart)
                    {
                        foreach (var node in part.Nodes)
                            Change(index, node, e.Agreement);
                    }
                    break;
            }
        }

        // One entry makes several things happen to one agreement, and several of its parts may name the node.
        private void Change(long index, NodeId node, AgreementId agreement)
        {
            var newest = _onNode.GetValueOrDefault(node);
            if (newest is null || (newest.Index, newest.Agreement) != (index, agreement))
                _onNode[node] = new NodeHistory(index, agreement, newest);
        }
    }
}

/// <summary>An entry that changed an agreement of a node, and those before it.</summary>
public sealed class NodeHistory(long index, AgreementId agreement, NodeHistory? before)
{
    public long Index => index;

    public AgreementId Agreement => agreement;

    public NodeHistory? Before => before;

    /// <summary>The newest change of each agreement that changed behind the index, oldest first.</summary>
    public IEnumerable<(AgreementId Agreement, long Changed)> Since(long last)
    {
        var seen = new HashSet<AgreementId>();
        var found = new Stack<(AgreementId, long)>();
        for (var at = this; at is not null && at.Index > last; at = at.Before)
        {
            if (seen.Add(at.Agreement))
                found.Push((at.Agreement, at.Index));
        }
        return found;
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
