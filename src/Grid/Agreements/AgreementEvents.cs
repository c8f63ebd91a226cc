using System.Collections.Immutable;
using System.Diagnostics;
using Grid.Networks;
using Grid.Units;
using Grid.World;

namespace Grid.Agreements;

/// <summary>What happens to an agreement. Names are stored and never change their meaning.</summary>
public abstract record AgreementEvent(AgreementId Agreement) : Event
{
    public override StreamId Stream => new("agreement", Agreement.Value);

    public sealed record Proposed(AgreementId Agreement, Version Version) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.proposed";
    }

    /// <summary>These farms countersigned the first version.</summary>
    public sealed record Countersigned(AgreementId Agreement, ImmutableArray<FarmId> Farms) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.countersigned";
    }

    /// <summary>Every farm has signed; capacity is held from here on.</summary>
    public sealed record Agreed(AgreementId Agreement) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.agreed";
    }

    public sealed record NodeReady(AgreementId Agreement, NodeId Node, TunnelEnds Ends) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.node-ready";
    }

    /// <summary>Every node is ready; the version is in force.</summary>
    public sealed record BecameReady(AgreementId Agreement) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.ready";
    }

    public sealed record NodeRunning(AgreementId Agreement, NodeId Node) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.node-running";
    }

    public sealed record BecameRunning(AgreementId Agreement) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.running";
    }

    public sealed record AmendmentProposed(AgreementId Agreement, Version Version) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.amendment-proposed";
    }

    public sealed record AmendmentCountersigned(AgreementId Agreement, ImmutableArray<FarmId> Farms) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.amendment-countersigned";
    }

    public sealed record AmendmentAgreed(AgreementId Agreement) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.amendment-agreed";
    }

    public sealed record AmendmentNodeReady(AgreementId Agreement, NodeId Node, TunnelEnds Ends) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.amendment-node-ready";
    }

    /// <summary>Every node is ready for it: the amendment is the version in force now.</summary>
    public sealed record Amended(AgreementId Agreement) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.amended";
    }

    /// <summary>The amendment came to nothing; what is in force stays as it is.</summary>
    /// <param name="Why">withdrawn, lapsed, or the code of a refusal</param>
    public sealed record AmendmentDropped(AgreementId Agreement, StatementId Version, string Why, string Detail) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.amendment-dropped";
    }

    public sealed record EndAnnounced(AgreementId Agreement, EndReason Reason, DateTimeOffset At) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.end-announced";
    }

    public sealed record Ended(AgreementId Agreement, EndReason Reason, DateTimeOffset At) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.ended";
    }

    public sealed record Lapsed(AgreementId Agreement) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.lapsed";
    }

    /// <param name="By">the node or farm that said no</param>
    public sealed record Refused(AgreementId Agreement, Digest By, string Code, string Detail) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.refused";
    }

    public sealed record Withdrawn(AgreementId Agreement) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.withdrawn";
    }

    /// <summary>A receipt was recorded. It changes no state by itself.</summary>
    public sealed record Receipted(AgreementId Agreement, NodeId Node) : AgreementEvent(Agreement)
    {
        public override string Name => "agreement.receipted";

        public override bool IsHighRate => true;
    }
}

public abstract partial record Agreement
{
    /// <summary>The state after an event; what cannot follow is a defect of ours.</summary>
    public static Agreement Evolve(Agreement? agreement, AgreementEvent happened, DateTimeOffset time) => (happened, agreement) switch
    {
        (AgreementEvent.Proposed e, null) => new Proposed(e.Agreement, e.Version, []),
        (AgreementEvent.Countersigned e, Proposed a) => a with { Signed = a.Signed.Union(e.Farms) },
        (AgreementEvent.Agreed, Proposed a) => new Agreed(a.Id, a.Version, []),
        (AgreementEvent.NodeReady e, Agreed a) => a with
        {
            ReadyNodes = a.ReadyNodes.Add(e.Node),
            Version = With(a.Version, e.Node, e.Ends),
        },
        (AgreementEvent.BecameReady, Agreed a) => new Ready(a.Id, a.Version, [], null, []),
        (AgreementEvent.NodeRunning e, Ready a) => a with { RunningNodes = a.RunningNodes.Add(e.Node) },
        (AgreementEvent.BecameRunning, Ready a) => new Running(a.Id, a.Version, time, a.Amendment, a.PastParts),

        (AgreementEvent.AmendmentProposed e, InForce { Amendment: null } a) => a with { Amendment = new Amendment.Proposed(e.Version, []) },
        (AgreementEvent.AmendmentCountersigned e, InForce { Amendment: Amendment.Proposed n } a) => a with { Amendment = n with { Signed = n.Signed.Union(e.Farms) } },
        (AgreementEvent.AmendmentAgreed, InForce { Amendment: Amendment.Proposed n } a) => a with { Amendment = new Amendment.Agreed(n.Version, []) },
        (AgreementEvent.AmendmentNodeReady e, InForce { Amendment: Amendment.Agreed n } a) => a with
        {
            Amendment = n with { ReadyNodes = n.ReadyNodes.Add(e.Node), Version = With(n.Version, e.Node, e.Ends) },
        },
        (AgreementEvent.Amended, InForce { Amendment: Amendment.Agreed n } a) => new Ready(a.Id, n.Version.After(a.Version, time), [], null, [.. a.PastParts, .. a.Version.Terms.Farms]),
        (AgreementEvent.AmendmentDropped, InForce { Amendment: not null } a) => a with { Amendment = null, PastParts = [.. a.PastParts, .. a.Amendment.Version.Terms.Farms] },

        (AgreementEvent.EndAnnounced e, InForce a) => new Ending(a.Id, a.Version, e.Reason, e.At, [.. a.PastParts, .. a.Amendment?.Version.Terms.Farms ?? []]),
        (AgreementEvent.EndAnnounced e, Ending a) => a with { Reason = e.Reason, At = e.At },
        (AgreementEvent.Ended e, Agreed or InForce or Ending) => new Ended(
            agreement.Id, agreement.Version, e.Reason, e.At, [.. agreement.PastParts, .. agreement.Next?.Version.Terms.Farms ?? []]),
        (AgreementEvent.Lapsed, Proposed or Agreed) => new Lapsed(agreement.Id, agreement.Version, time),
        (AgreementEvent.Refused e, Proposed or Agreed) => new Refused(agreement.Id, agreement.Version, e.By, e.Code, e.Detail, time),
        (AgreementEvent.Withdrawn, Proposed) => new Withdrawn(agreement.Id, agreement.Version, time),
        (AgreementEvent.Receipted, not null) => agreement,
        _ => throw new UnreachableException($"{happened.Name} cannot follow {agreement?.Status ?? "nothing"}."),
    };

    private static Version With(Version version, NodeId node, TunnelEnds ends) => version with { Ends = version.Ends.SetItem(node, ends) };
}
