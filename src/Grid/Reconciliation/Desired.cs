using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Gateways;
using Grid.Networks;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Reconciliation;

/// <summary>The name of a workload on a node: an agreement's id and the workload's name within it.</summary>
public readonly record struct WorkloadKey(AgreementId Agreement, string Name) : IComparable<WorkloadKey>
{
    public int CompareTo(WorkloadKey other) =>
        Agreement != other.Agreement ? Agreement.Value.CompareTo(other.Agreement.Value) : string.CompareOrdinal(Name, other.Name);

    public static bool operator <(WorkloadKey left, WorkloadKey right) => left.CompareTo(right) < 0;

    public static bool operator >(WorkloadKey left, WorkloadKey right) => left.CompareTo(right) > 0;

    public static bool operator <=(WorkloadKey left, WorkloadKey right) => left.CompareTo(right) <= 0;

    public static bool operator >=(WorkloadKey left, WorkloadKey right) => left.CompareTo(right) >= 0;

    public override string ToString() => $"{Agreement}/{Name}";
}

/// <summary>One workload that must be on this node now.</summary>
/// <param name="Version">the version in force</param>
/// <param name="Paused">true while the ledger has been silent for longer than the term allows</param>
public sealed record Wish(WorkloadKey Key, StatementId Version, Placed Workload, bool Paused)
{
    /// <summary>Its ends of the networks it is in, sorted by network. They change while it runs, as other members come and go.</summary>
    public ImmutableArray<Tunnel> Tunnels { get; init; } = [];

    /// <summary>Whose agreement it is: for whom its secrets were sealed.</summary>
    public AccountId User { get; init; }

    /// <summary>Where a gateway leads; null for what is none. It changes when its backend gets another address.</summary>
    public Route? Route { get; init; }

    // In logs: what it says stands in the agreement, and environments are nobody's business.
    public override string ToString() => $"{Key}";

    public TunnelId TunnelOf(Tunnel tunnel) => new(Key.Agreement, new Membership(tunnel.Network, Key.Name));

    /// <summary>
    /// The digest of what is wished, independent of the version that says so: a workload that an amendment leaves alone is not touched.
    /// </summary>
    public Digest Spec { get; } = Digest.Of(CanonicalWriter.Encode(Workload.Write));
}

/// <summary>What the verified agreements ask of one node at one moment.</summary>
/// <param name="Wishes">what must be there</param>
/// <param name="Settled">
/// the agreements whose say is known: in force here, proven over, or proven not to exist. What belongs to any other is left alone, because
/// not knowing never tears down.
/// </param>
public sealed record Desired(ImmutableSortedDictionary<WorkloadKey, Wish> Wishes, ImmutableHashSet<AgreementId> Settled)
{
    public static readonly Desired Nothing = new(ImmutableSortedDictionary<WorkloadKey, Wish>.Empty, []);

    /// <summary>What each verified agreement still has a claim to, whatever this node's clock says.</summary>
    public ImmutableDictionary<AgreementId, Claim> Claims { get; init; } = ImmutableDictionary<AgreementId, Claim>.Empty;

    /// <summary>A moment that has come by this node's clock and by the ledger's; null when the ledger's is not known.</summary>
    public DateTimeOffset? Certain { get; init; }

    /// <param name="verified">the agreements that this node verified itself</param>
    /// <param name="unknown">agreements that the ledger says it does not have: its word, and no proof</param>
    /// <param name="silence">for how long the ledger has not been heard</param>
    public static Desired Of(
        NodeId node, IEnumerable<Agreement> verified, IEnumerable<AgreementId> unknown, TimeSpan silence, DateTimeOffset now, DateTimeOffset? certain)
    {
        var wishes = ImmutableSortedDictionary.CreateBuilder<WorkloadKey, Wish>();
        var settled = unknown.ToImmutableHashSet().ToBuilder();
        var claims = ImmutableDictionary.CreateBuilder<AgreementId, Claim>();
        foreach (var agreement in verified)
        {
            settled.Add(agreement.Id);
            claims[agreement.Id] = Claim.Of(agreement, node);
            var term = agreement.Version.Terms.Term;
            // The term binds the node by its own clock as well: past its end nothing runs, whether or not the ledger said so yet.
            if (!agreement.IsInForce || term.Start > now || term.End <= now || (agreement as Agreement.Ending)?.At <= now)
                continue;
            foreach (var workload in agreement.Version.Terms.On(node))
            {
                var key = new WorkloadKey(agreement.Id, workload.Name);
                wishes.Add(key, new Wish(key, agreement.Version.Id, workload, term.Offline.Pause && silence > term.Offline.After)
                {
                    User = agreement.User,
                    Tunnels = Tunnel.Of(agreement.Version, workload),
                    Route = workload is Gateway gateway ? Route.Of(agreement.Version.Terms, gateway) : null,
                });
            }
        }
        return new Desired(wishes.ToImmutable(), settled.ToImmutable()) { Claims = claims.ToImmutable(), Certain = certain };
    }

    /// <summary>True when what was kept for a workload may be destroyed: proven to be let go, and for long enough by both clocks.</summary>
    /// <param name="since">when the node let it go, by its clock at that time, which may have been wrong: what the ledger recorded counts, if that is later</param>
    public bool IsOver(WorkloadKey key, DateTimeOffset since, TimeSpan keep)
    {
        if (!Claims.TryGetValue(key.Agreement, out var claim) || claim.Names.Contains(key.Name))
            return false;
        var told = claim.EndedAt ?? claim.Dropped.GetValueOrDefault(key.Name, since);
        return Certain - (told > since ? told : since) >= keep;
    }
}

/// <summary>What an agreement holds on to on one node, by the ledger alone.</summary>
/// <param name="Names">the workloads of the versions that are in force or may yet be</param>
/// <param name="EndedAt">when the ledger recorded its end; null while it has none</param>
public sealed record Claim(ImmutableHashSet<string> Names, DateTimeOffset? EndedAt)
{
    /// <summary>When the ledger recorded that an amendment let go of a volume, by its name.</summary>
    public ImmutableDictionary<string, DateTimeOffset> Dropped { get; init; } = ImmutableDictionary<string, DateTimeOffset>.Empty;

    public static Claim Of(Agreement agreement, NodeId node)
    {
        Agreements.Version?[] versions = agreement.IsClosed ? [] : [agreement.Version, agreement.Next?.Version];
        return new Claim(
            [.. versions.OfType<Agreements.Version>().SelectMany(v => v.Terms.On(node)).Select(w => w.Name)], (agreement as Agreement.Closed)?.At)
        {
            Dropped = agreement.Version.Dropped.Where(d => d.Key.Node == node).ToImmutableDictionary(d => d.Key.Name, d => d.Value),
        };
    }
}
