using System.Collections.Immutable;
using Grid.Networks;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Agreements;

/// <summary>
/// What user and farmers agreed, as it stands.
/// <code>
///  user signs        every farm signed     every node ready      every workload seen running
/// ──────────▶ Proposed ──────────▶ Agreed ──────────▶ Ready ──────────▶ Running
///                │ │                │ │                 │ ▲                │ ▲
///      withdrawn │ │ declined       │ │ refused         │ └── amendment ───┘ └── amendment
///                ▼ ▼ lapsed         ▼ ▼ lapsed          ▼                  ▼
///        Withdrawn Refused Lapsed   Refused Lapsed    Ended ◀── Ending ◀───┘
/// </code>
/// Signed by all at once it begins as Agreed; ended by somebody before Ready it is Ended. Nothing runs and nothing is billed before Ready. An amendment
/// is a version on its own way, beside the one in force; it takes force when every node answered ready, and anything less leaves what is in force untouched.
/// </summary>
public abstract partial record Agreement
{
    private Agreement(AgreementId id, Version version, ImmutableArray<FarmPart> pastParts)
    {
        (Id, Version, PastParts) = (id, version, pastParts);
    }

    public AgreementId Id { get; }

    /// <summary>The version in force, or on its way to be the first.</summary>
    public Version Version { get; init; }

    /// <summary>The parts of versions that are no longer in force; their farms still belong to the proof.</summary>
    public ImmutableArray<FarmPart> PastParts { get; init; }

    public AccountId User => Version.Terms.User;

    /// <summary>The stable name of the state.</summary>
    public abstract string Status { get; }

    /// <summary>When the ledger has to look at it again; null when it waits for nothing.</summary>
    public virtual DateTimeOffset? Due => null;

    /// <summary>True while nodes must do what <see cref="Version"/> says.</summary>
    public virtual bool IsInForce => false;

    /// <summary>True when nothing can follow but receipts.</summary>
    public virtual bool IsClosed => false;

    public virtual Amendment? Next => null;

    /// <summary>The nodes of which it holds capacity.</summary>
    public virtual IEnumerable<NodeId> HeldNodes => [];

    /// <summary>What it holds of a node.</summary>
    public virtual Capacity HeldOn(NodeId node) => Capacity.None;

    /// <summary>The hostnames and public addresses that no other agreement may have; no hostname reads as an address.</summary>
    public virtual IEnumerable<string> HeldNames => [];

    /// <summary>
    /// The UDP ports of nodes that no other agreement may have: those that their nodes published for what is in force or may yet be. A port is
    /// its node's, whatever the address: the kernel has each once.
    /// </summary>
    public virtual IEnumerable<NodePort> HeldPorts => [];

    private static IEnumerable<string> NamesOf(Version version) => version.Terms.Gateways.Select(g => g.Hostname).Concat(version.Terms.Addresses.Select(a => $"{a.Ip}"));

    private static IEnumerable<NodePort> PortsOf(Version version) => version.Ends.SelectMany(e => e.Value.Tunnels.Select(t => new NodePort(e.Key, t.Port)));

    /// <summary>The farms that signed a version so far; null when no signature of a farm is waited for under it.</summary>
    public ImmutableHashSet<FarmId>? SignedSoFar(StatementId version) => this switch
    {
        Proposed p when p.Version.Id == version => p.Signed,
        InForce { Amendment: Amendment.Proposed n } when n.Version.Id == version => n.Signed,
        _ => null,
    };

    public IEnumerable<FarmPart> EveryPart => Version.Terms.Farms.Concat(Next?.Version.Terms.Farms ?? []).Concat(PastParts);

    /// <param name="Signed">the farms that countersigned so far</param>
    public sealed record Proposed(AgreementId Id, Version Version, ImmutableHashSet<FarmId> Signed) : Agreement(Id, Version, [])
    {
        public override string Status => "proposed";

        public override DateTimeOffset? Due => Version.Terms.Term.AnswerBy;
    }

    /// <param name="ReadyNodes">the nodes that answered ready so far</param>
    public sealed record Agreed(AgreementId Id, Version Version, ImmutableHashSet<NodeId> ReadyNodes) : Agreement(Id, Version, [])
    {
        public override string Status => "agreed";

        public override DateTimeOffset? Due => Version.Terms.Term.AnswerBy;

        public override IEnumerable<NodeId> HeldNodes => Version.Terms.Nodes;

        public override Capacity HeldOn(NodeId node) => Version.Terms.DemandOn(node);

        public override IEnumerable<string> HeldNames => NamesOf(Version);

        public override IEnumerable<NodePort> HeldPorts => PortsOf(Version);
    }

    /// <summary>In force: the common part of Ready and Running.</summary>
    public abstract record InForce(AgreementId Id, Version Version, Amendment? Amendment, ImmutableArray<FarmPart> PastParts)
        : Agreement(Id, Version, PastParts)
    {
        public override bool IsInForce => true;

        public override Amendment? Next => Amendment;

        public override IEnumerable<NodeId> HeldNodes => Amendment is Amendment.Agreed next ? Version.Terms.Nodes.Union(next.Version.Terms.Nodes) : Version.Terms.Nodes;

        // Until the nodes have answered, either version may be the one that runs: both must fit.
        public override Capacity HeldOn(NodeId node) => Amendment is Amendment.Agreed next
            ? Capacity.Max(Version.Terms.DemandOn(node), next.Version.Terms.DemandOn(node))
            : Version.Terms.DemandOn(node);

        public override IEnumerable<string> HeldNames => Amendment is Amendment.Agreed next ? NamesOf(Version).Union(NamesOf(next.Version)) : NamesOf(Version);

        public override IEnumerable<NodePort> HeldPorts => Amendment is Amendment.Agreed next ? PortsOf(Version).Union(PortsOf(next.Version)) : PortsOf(Version);

        protected DateTimeOffset? SoonestWith(DateTimeOffset? own)
        {
            DateTimeOffset?[] all = [own, Version.Terms.Term.End, Amendment?.Version.Terms.Term.AnswerBy];
            return all.Min();
        }
    }

    /// <summary>Every node said ready; nodes start what is theirs.</summary>
    /// <param name="RunningNodes">the nodes whose receipt said that all of theirs runs</param>
    public sealed record Ready(
        AgreementId Id, Version Version, ImmutableHashSet<NodeId> RunningNodes, Amendment? Amendment, ImmutableArray<FarmPart> PastParts)
        : InForce(Id, Version, Amendment, PastParts)
    {
        public override string Status => "ready";

        // Only the first version is bound to converge: ending what a user had running because a change is slow would break more than it mends.
        public override DateTimeOffset? Due => SoonestWith(Version.Terms.Version == 1 ? Version.Terms.Term.ConvergeBy : null);
    }

    public sealed record Running(AgreementId Id, Version Version, DateTimeOffset Since, Amendment? Amendment, ImmutableArray<FarmPart> PastParts)
        : InForce(Id, Version, Amendment, PastParts)
    {
        public override string Status => "running";

        public override DateTimeOffset? Due => SoonestWith(null);
    }

    /// <summary>Its end is announced; until then it is in force and takes no amendments.</summary>
    public sealed record Ending(AgreementId Id, Version Version, EndReason Reason, DateTimeOffset At, ImmutableArray<FarmPart> PastParts)
        : Agreement(Id, Version, PastParts)
    {
        public override string Status => "ending";

        public override bool IsInForce => true;

        public override DateTimeOffset? Due => Version.Terms.Term.End is { } end && end < At ? end : At;

        public override IEnumerable<NodeId> HeldNodes => Version.Terms.Nodes;

        public override Capacity HeldOn(NodeId node) => Version.Terms.DemandOn(node);

        public override IEnumerable<string> HeldNames => NamesOf(Version);

        public override IEnumerable<NodePort> HeldPorts => PortsOf(Version);
    }

    /// <summary>The common part of the four states after which only receipts come.</summary>
    public abstract record Closed(AgreementId Id, Version Version, DateTimeOffset At, ImmutableArray<FarmPart> PastParts)
        : Agreement(Id, Version, PastParts)
    {
        public override bool IsClosed => true;
    }

    public sealed record Ended(AgreementId Id, Version Version, EndReason Reason, DateTimeOffset At, ImmutableArray<FarmPart> PastParts)
        : Closed(Id, Version, At, PastParts)
    {
        public override string Status => "ended";
    }

    /// <summary>Somebody did not answer in time.</summary>
    public sealed record Lapsed(AgreementId Id, Version Version, DateTimeOffset At) : Closed(Id, Version, At, [])
    {
        public override string Status => "lapsed";
    }

    /// <param name="By">the node or farm that said no</param>
    public sealed record Refused(AgreementId Id, Version Version, Digest By, string Code, string Detail, DateTimeOffset At) : Closed(Id, Version, At, [])
    {
        public override string Status => "refused";
    }

    /// <summary>By the user, before every farm had signed.</summary>
    public sealed record Withdrawn(AgreementId Id, Version Version, DateTimeOffset At) : Closed(Id, Version, At, [])
    {
        public override string Status => "withdrawn";
    }
}

/// <param name="Id">the statement that carries it: what is signed, countersigned and answered</param>
public sealed record Version(StatementId Id, AgreementTerms Terms)
{
    /// <summary>What each node that is ready for it said of its tunnels.</summary>
    public ImmutableDictionary<NodeId, TunnelEnds> Ends { get; init; } = ImmutableDictionary<NodeId, TunnelEnds>.Empty;

    /// <summary>The volumes that versions before this one had and it has not, each with the time of the entry that let go of it.</summary>
    public ImmutableDictionary<VolumePlace, DateTimeOffset> Dropped { get; init; } = ImmutableDictionary<VolumePlace, DateTimeOffset>.Empty;

    /// <summary>This version in the place of the one that was in force until now.</summary>
    internal Version After(Version before, DateTimeOffset time)
    {
        var kept = VolumePlace.In(Terms).ToHashSet();
        var gone = VolumePlace.In(before.Terms).Where(p => !kept.Contains(p)).Select(p => KeyValuePair.Create(p, time));
        return this with { Dropped = before.Dropped.RemoveRange(kept).SetItems(gone) };
    }

    /// <summary>What a node published of a tunnel; null when it did not answer yet.</summary>
    public TunnelEnd? End(NodeId node, Membership of) => Ends.GetValueOrDefault(node)?.Tunnels.FirstOrDefault(t => t.Of == of);

    public bool Equals(Version? other) => other is not null && Id == other.Id && Terms == other.Terms
        && Ends.Count == other.Ends.Count && Ends.All(e => other.Ends.TryGetValue(e.Key, out var ends) && e.Value.Equals(ends))
        && Dropped.Count == other.Dropped.Count && Dropped.All(other.Dropped.Contains);

    public override int GetHashCode() => Id.GetHashCode();
}

/// <summary>A UDP port on which a node has a tunnel.</summary>
public readonly record struct NodePort(NodeId Node, int Port);

/// <summary>A volume by its name, and the node that has its data.</summary>
public readonly record struct VolumePlace(NodeId Node, string Name)
{
    public static IEnumerable<VolumePlace> In(AgreementTerms terms) => terms.Workloads.OfType<Volume>().Select(v => new VolumePlace(v.Node, v.Name));
}

/// <summary>The next version on its way, beside the one in force.</summary>
public abstract record Amendment(Version Version)
{
    public sealed record Proposed(Version Version, ImmutableHashSet<FarmId> Signed) : Amendment(Version);

    public sealed record Agreed(Version Version, ImmutableHashSet<NodeId> ReadyNodes) : Amendment(Version);
}

/// <summary>Why an agreement ended, and by whose act.</summary>
public abstract record EndReason(string Code)
{
    public sealed record User() : EndReason("user");

    public sealed record FarmerNotice(FarmId Farm) : EndReason("farmer-notice");

    public sealed record FarmerBreach(FarmId Farm) : EndReason("farmer-breach");

    public sealed record Expired() : EndReason("expired");

    public sealed record Funds() : EndReason("funds");

    public sealed record NotConverged() : EndReason("not-converged");
}
