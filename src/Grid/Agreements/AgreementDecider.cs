using System.Collections.Immutable;
using Grid.Farms;
using Grid.Networks;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Agreements;

public abstract partial record Agreement
{
    /// <summary>A version: proposed by the user, countersigned by farms, in one statement or in several over the same payload.</summary>
    public static Decision Decide(GridState state, Statement statement, AgreementTerms terms, DateTimeOffset now)
    {
        if (statement.Payload.By != terms.User.Value)
            return Decision.Refuse(RefusalCode.NotAParty, "The user named in the agreement must be the one who speaks.");
        var version = new Version(statement.Id, terms);
        var id = statement.Agreement()!.Value;
        var agreement = state.Agreements.GetValueOrDefault(id);
        if (Signing.Read(state, statement, terms, out var farms) is { } unsigned)
        {
            // Keys change; what was recorded with older ones stays so, and only what would be added to it is refused.
            return state.Known.TryGetValue(statement.Id, out var recorded) && Signing.AddsNothing(state, statement, terms, agreement?.SignedSoFar(statement.Id))
                ? new Decision.Known(recorded)
                : unsigned;
        }

        return agreement switch
        {
            null when terms.Amends is not null => Decision.Refuse(RefusalCode.NotFound, $"The agreement {id} is not in this ledger."),
            null => Agreeable.Check(state, terms, null, now) is { } no ? no : Decision.Accept(
                [new AgreementEvent.Proposed(id, version), .. Countersign(id, terms, [], farms)]),

            Proposed p when p.Version.Id == statement.Id => Further(state, p, farms, now) ?? AlreadyOr(state, statement),
            InForce { Amendment: Amendment.Proposed n } a when n.Version.Id == statement.Id => Further(state, a, n, farms, now) ?? AlreadyOr(state, statement),
            _ when state.Known.TryGetValue(statement.Id, out var index) => new Decision.Known(index),

            InForce { Amendment: { } other } => Decision.Refuse(RefusalCode.Conflict, $"Another amendment is on its way: {other.Version.Id}.",
                "Wait for its outcome, or withdraw it first."),
            InForce a when terms.Amends!.Digest != a.Version.Id => Decision.Refuse(RefusalCode.Conflict,
                $"It amends {terms.Amends.Digest}, but {a.Version.Id} (version {a.Version.Terms.Version}) is in force.", "Draft it again on what is in force."),
            InForce a => Amend(state, a, version, farms, now),
            _ => Decision.Refuse(RefusalCode.WrongState, $"The agreement {id} is {agreement.Status}; it cannot be amended."),
        };
    }

    /// <summary>A node's yes.</summary>
    public static Decision Decide(GridState state, Statement statement, WorkloadReady body)
    {
        if (Answering(state, statement, body.Agreement, body.Version, out var node, out var agreement) is { } refusal)
            return refusal;
        if (Mismatch(state, agreement, node, body.Ends) is { } mismatch)
            return mismatch;
        return agreement switch
        {
            Agreed a when a.ReadyNodes.Contains(node) => AlreadyAnswered(node),
            Agreed a when a.Version.Terms.Nodes.All(n => n == node || a.ReadyNodes.Contains(n)) => Decision.Accept(
                new AgreementEvent.NodeReady(a.Id, node, body.Ends), new AgreementEvent.BecameReady(a.Id)),
            Agreed a => new AgreementEvent.NodeReady(a.Id, node, body.Ends),

            InForce { Amendment: Amendment.Agreed n } when n.ReadyNodes.Contains(node) => AlreadyAnswered(node),
            InForce { Amendment: Amendment.Agreed n } a when n.Version.Terms.Nodes.All(x => x == node || n.ReadyNodes.Contains(x)) => Decision.Accept(
                new AgreementEvent.AmendmentNodeReady(a.Id, node, body.Ends), new AgreementEvent.Amended(a.Id)),
            InForce { Amendment: Amendment.Agreed } a => new AgreementEvent.AmendmentNodeReady(a.Id, node, body.Ends),
            _ => NothingToAnswer(agreement),
        };
    }

    /// <summary>A node's no ends the first version everywhere, and drops an amendment.</summary>
    public static Decision Decide(GridState state, Statement statement, WorkloadRefused body)
    {
        if (Answering(state, statement, body.Agreement, body.Version, out var node, out var agreement) is { } refusal)
            return refusal;
        return agreement switch
        {
            Agreed a when a.ReadyNodes.Contains(node) => AlreadyAnswered(node),
            Agreed a => new AgreementEvent.Refused(a.Id, node.Value, body.Code, body.Detail),
            InForce { Amendment: Amendment.Agreed n } when n.ReadyNodes.Contains(node) => AlreadyAnswered(node),
            InForce { Amendment: Amendment.Agreed } a => new AgreementEvent.AmendmentDropped(a.Id, body.Version, body.Code, body.Detail),
            _ => NothingToAnswer(agreement),
        };
    }

    /// <summary>A receipt is recorded whatever it says; the first that shows all of a node's workloads running counts towards Running.</summary>
    public static Decision Decide(GridState state, Statement statement, Receipt body, DateTimeOffset now)
    {
        if (state.NodeSpeaks(statement, out var speaker) is { } refusal)
            return refusal;
        var node = speaker.Id;
        if (!state.Agreements.TryGetValue(body.Agreement, out var agreement))
            return Decision.Refuse(RefusalCode.NotFound, $"The agreement {body.Agreement} is not in this ledger.");
        if (!agreement.EveryPart.Any(p => p.Nodes.Contains(node)))
            return Decision.Refuse(RefusalCode.NotAParty, $"The node {node} has no part in {agreement.Id}.");
        if (agreement is Proposed or Agreed)
            return Decision.Refuse(RefusalCode.WrongState, $"The agreement {agreement.Id} is {agreement.Status}: nothing runs and nothing is receipted.");
        if (body.To > now.Later(GridState.ClockSkew))
            return Decision.Refuse(RefusalCode.NotYetValid, $"The receipt is for a time until {body.To.Text()}; it is {now.Text()}.", "Set the node's clock.");

        var receipted = new AgreementEvent.Receipted(agreement.Id, node);
        if (agreement is not Ready ready || body.Version != ready.Version.Id || ready.RunningNodes.Contains(node) || !RunsWhole(ready.Version.Terms, node, body))
            return receipted;
        var running = new AgreementEvent.NodeRunning(ready.Id, node);
        return ready.Version.Terms.Nodes.All(n => n == node || ready.RunningNodes.Contains(n))
            ? Decision.Accept(receipted, running, new AgreementEvent.BecameRunning(ready.Id))
            : Decision.Accept(receipted, running);
    }

    /// <summary>The user ends at once or at a time, and withdraws; a farmer ends with notice, and what comes sooner is a breach.</summary>
    public static Decision Decide(GridState state, Statement statement, CancelAgreement body, DateTimeOffset now)
    {
        if (!state.Agreements.TryGetValue(body.Agreement, out var agreement))
            return Decision.Refuse(RefusalCode.NotFound, $"The agreement {body.Agreement} is not in this ledger.");
        if (statement.Payload.By == agreement.User.Value)
            return state.SpeaksFor(agreement.User, statement) is { } unsigned ? unsigned : ByUser(agreement, body, now);
        var part = agreement.Version.Terms.Farms.FirstOrDefault(f => state.Farms.TryGetValue(f.Farm, out var farm) && farm.Account.Value == statement.Payload.By);
        if (part is null)
            return Decision.Refuse(RefusalCode.NotAParty, "Only the user or a farm of the agreement can end it.");
        return state.SpeaksForFarm(part.Farm, statement, out _) is { } refusal ? refusal : ByFarm(agreement, part.Farm, body, now);
    }

    /// <summary>The ledger's own fact: a time that the agreement waited for has come.</summary>
    public static Decision Decide(GridState state, Statement statement, DeadlinePassed body, DateTimeOffset now)
    {
        if (statement.Payload.By is not null || !statement.Signers.SequenceEqual([state.LedgerKey]))
            return Decision.Refuse(RefusalCode.NotAParty, "Only the ledger says that a deadline has passed.");
        if (!state.Agreements.TryGetValue(body.Agreement, out var agreement))
            return Decision.Refuse(RefusalCode.NotFound, $"The agreement {body.Agreement} is not in this ledger.");
        if (agreement.Due != body.Due || body.Due > now)
            return Decision.Refuse(RefusalCode.WrongState, $"The agreement {agreement.Id} does not wait for {body.Due.Text()}.");
        var term = agreement.Version.Terms.Term;
        return agreement switch
        {
            Proposed or Agreed => new AgreementEvent.Lapsed(agreement.Id),
            InForce when term.End == body.Due => new AgreementEvent.Ended(agreement.Id, new EndReason.Expired(), body.Due),
            InForce { Amendment: { } n } when n.Version.Terms.Term.AnswerBy == body.Due => new AgreementEvent.AmendmentDropped(
                agreement.Id, n.Version.Id, "lapsed", "Somebody did not answer in time."),
            Ready => new AgreementEvent.Ended(agreement.Id, new EndReason.NotConverged(), body.Due),
            Ending when term.End == body.Due => new AgreementEvent.Ended(agreement.Id, new EndReason.Expired(), body.Due),
            Ending e => new AgreementEvent.Ended(agreement.Id, e.Reason, body.Due),
            _ => Decision.Refuse(RefusalCode.WrongState, $"The agreement {agreement.Id} waits for nothing."),
        };
    }

    private static Decision Amend(GridState state, InForce agreement, Version version, ImmutableArray<FarmId> farms, DateTimeOffset now)
    {
        if (AgreementRules.CheckAmendment(agreement.Version.Terms, version.Terms) is [var first, ..])
            return first;
        return Agreeable.Check(state, version.Terms, agreement, now) is { } no ? no : Decision.Accept(
        [
            new AgreementEvent.AmendmentProposed(agreement.Id, version),
            .. farms.IsEmpty ? [] : (AgreementEvent[])[new AgreementEvent.AmendmentCountersigned(agreement.Id, farms)],
            .. IsWhole(version.Terms, [], farms) ? (AgreementEvent[])[new AgreementEvent.AmendmentAgreed(agreement.Id)] : [],
        ]);
    }

    private static IEnumerable<Event> Countersign(AgreementId id, AgreementTerms terms, ImmutableHashSet<FarmId> signed, ImmutableArray<FarmId> farms)
    {
        if (!farms.IsEmpty)
            yield return new AgreementEvent.Countersigned(id, farms);
        if (IsWhole(terms, signed, farms))
            yield return new AgreementEvent.Agreed(id);
    }

    private static bool IsWhole(AgreementTerms terms, ImmutableHashSet<FarmId> signed, ImmutableArray<FarmId> farms) =>
        terms.Farms.All(f => signed.Contains(f.Farm) || farms.Contains(f.Farm));

    // Between proposal and the last signature others may have taken the capacity or the offer may be gone: it is checked again when it counts.
    private static Decision? Further(GridState state, Proposed agreement, ImmutableArray<FarmId> farms, DateTimeOffset now)
    {
        var fresh = farms.RemoveAll(agreement.Signed.Contains);
        if (fresh.IsEmpty)
            return null;
        return Agreeable.Check(state, agreement.Version.Terms, null, now) is { } no
            ? no
            : Decision.Accept([.. Countersign(agreement.Id, agreement.Version.Terms, agreement.Signed, fresh)]);
    }

    private static Decision? Further(GridState state, InForce agreement, Amendment.Proposed next, ImmutableArray<FarmId> farms, DateTimeOffset now)
    {
        var fresh = farms.RemoveAll(next.Signed.Contains);
        if (fresh.IsEmpty)
            return null;
        if (Agreeable.Check(state, next.Version.Terms, agreement, now) is { } no)
            return no;
        var signed = new AgreementEvent.AmendmentCountersigned(agreement.Id, fresh);
        return IsWhole(next.Version.Terms, next.Signed, fresh)
            ? Decision.Accept(signed, new AgreementEvent.AmendmentAgreed(agreement.Id))
            : signed;
    }

    private static Decision AlreadyOr(GridState state, Statement statement) => new Decision.Known(state.Known[statement.Id]);

    private static Refusal? Answering(
        GridState state, Statement statement, AgreementId id, StatementId version, out NodeId node, out Agreement agreement)
    {
        (node, agreement) = (default, null!);
        if (state.NodeSpeaks(statement, out var speaker) is { } refusal)
            return refusal;
        node = speaker.Id;
        if (!state.Agreements.TryGetValue(id, out agreement!))
            return new Refusal(RefusalCode.NotFound, $"The agreement {id} is not in this ledger.");
        var asked = agreement.Next?.Version ?? agreement.Version;
        if (asked.Id != version)
            return new Refusal(RefusalCode.WrongState, $"The version {version} is not the one that waits for an answer.");
        return asked.Terms.Nodes.Contains(node) ? null : new Refusal(RefusalCode.NotAParty, $"The node {node} has no part in {version}.");
    }

    private static Decision AlreadyAnswered(NodeId node) => Decision.Refuse(RefusalCode.AlreadySo, $"The node {node} has answered already.");

    private static Decision NothingToAnswer(Agreement agreement) =>
        Decision.Refuse(RefusalCode.WrongState, $"The agreement {agreement.Id} is {agreement.Status}; no answer is wanted.");

    // What the others would dial must be all that they need, and nothing that two of them would share, in this agreement or in two.
    private static Refusal? Mismatch(GridState state, Agreement agreement, NodeId node, TunnelEnds ends)
    {
        var wanted = (agreement.Next?.Version ?? agreement.Version).Terms.MembershipsOn(node);
        if (!ends.Tunnels.Select(t => t.Of).SequenceEqual(wanted) || ends.Underlay.IsEmpty != wanted.IsEmpty)
            return new Refusal(RefusalCode.TunnelMismatch, $"The version has {wanted.Length} tunnels on {node}; the answer must publish just these, and where the node is reached.");
        if (ends.Tunnels.Any(t => t.Port == 0) || ends.Tunnels.DistinctBy(t => t.Port).Count() != wanted.Length)
            return new Refusal(RefusalCode.PortConflict, "Every tunnel has a port of its own.");
        if (ends.Tunnels.FirstOrDefault(t => state.Ports.TryGetValue(new NodePort(node, t.Port), out var holder) && holder != agreement.Id) is { } taken)
            return new Refusal(RefusalCode.PortConflict, $"The node published port {taken.Port} for another agreement, {state.Ports[new NodePort(node, taken.Port)]}.", "Choose another port.");
        return ends.Tunnels.DistinctBy(t => t.Key).Count() == wanted.Length ? null : new Refusal(RefusalCode.TunnelMismatch, "Every tunnel has a key of its own.");
    }

    private static bool RunsWhole(AgreementTerms terms, NodeId node, Receipt receipt) => terms.On(node)
        .All(w => receipt.Workloads.Any(r => r.Name == w.Name && r.State == WorkloadState.Running));

    private static Decision ByUser(Agreement agreement, CancelAgreement body, DateTimeOffset now)
    {
        if (body.Version is { } version)
        {
            return agreement.Next?.Version.Id == version
                ? new AgreementEvent.AmendmentDropped(agreement.Id, version, "withdrawn", "The user withdrew it.")
                : Decision.Refuse(RefusalCode.WrongState, $"{version} is not an amendment on its way.");
        }
        var at = body.At is { } time && time > now ? time : now;
        return agreement switch
        {
            Proposed => new AgreementEvent.Withdrawn(agreement.Id),
            Agreed => new AgreementEvent.Ended(agreement.Id, new EndReason.User(), now),
            Ending e when at >= e.At => Decision.Refuse(RefusalCode.WrongState, $"It ends at {e.At.Text()} already ({e.Reason.Code})."),
            InForce or Ending when at == now => new AgreementEvent.Ended(agreement.Id, new EndReason.User(), now),
            InForce or Ending => new AgreementEvent.EndAnnounced(agreement.Id, new EndReason.User(), at),
            _ => Decision.Refuse(RefusalCode.WrongState, $"The agreement {agreement.Id} is {agreement.Status}."),
        };
    }

    private static Decision ByFarm(Agreement agreement, FarmId farm, CancelAgreement body, DateTimeOffset now)
    {
        if (body.Version is not null)
            return Decision.Refuse(RefusalCode.NotAParty, "Only the user withdraws an amendment.", "Leave it unsigned; it lapses.");
        var at = body.At is { } time && time > now ? time : now;
        EndReason reason = at >= now.Later(agreement.Version.Terms.Term.Notice) ? new EndReason.FarmerNotice(farm) : new EndReason.FarmerBreach(farm);
        return agreement switch
        {
            Proposed => new AgreementEvent.Refused(agreement.Id, farm.Value, "declined", "The farmer declined."),
            Agreed => new AgreementEvent.Ended(agreement.Id, reason, now),
            Ending e when at >= e.At => Decision.Refuse(RefusalCode.WrongState, $"It ends at {e.At.Text()} already ({e.Reason.Code})."),
            InForce or Ending when at == now => new AgreementEvent.Ended(agreement.Id, reason, now),
            InForce or Ending => new AgreementEvent.EndAnnounced(agreement.Id, reason, at),
            _ => Decision.Refuse(RefusalCode.WrongState, $"The agreement {agreement.Id} is {agreement.Status}."),
        };
    }
}
