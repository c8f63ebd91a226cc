using System.Collections.Immutable;
using System.Diagnostics;
using Grid.Agreements;
using Grid.Gateways;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Nodes;

/// <summary>One machine with one key.</summary>
/// <param name="Invite">the invite it joined by</param>
public sealed record Node(NodeId Id, FarmId Farm, PublicKey Key, StatementId Invite, Hardware Hardware)
{
    /// <summary>What it last reported; nothing can be agreed before it did.</summary>
    public ReportNode? Report { get; init; }

    /// <summary>What agreements hold of it: the sum over all of <see cref="Agreement.HeldOn"/>.</summary>
    public Capacity Held { get; init; }

    public bool Retired { get; init; }

    /// <summary>Why nothing new may come to it, as its farmer says; null when the farmer says nothing.</summary>
    public string? DrainedByFarmer { get; init; }

    /// <summary>The same, as it says itself.</summary>
    public string? DrainedByItself { get; init; }

    public bool Drains => DrainedByFarmer is not null || DrainedByItself is not null;

    /// <summary>What may be agreed in all: what it reported less its reserve.</summary>
    public Capacity Offered => Report is null ? Capacity.None : Report.Capacity - Report.Reserve;

    public static Decision Decide(GridState state, Statement statement, JoinNode body, DateTimeOffset now)
    {
        if (statement.Payload.By is not null)
            return Decision.Refuse(RefusalCode.Malformed, "Nobody speaks when a node joins: 'by' is null.");
        if (!state.Invites.TryGetValue(body.Invite, out var invite))
            return Decision.Refuse(RefusalCode.NotFound, $"The invite {body.Invite} is not in this ledger.", "Ask the farmer for an invite.");
        if (invite.Farm != body.Farm)
            return Decision.Refuse(RefusalCode.NotAParty, $"The invite is for {invite.Farm}, not {body.Farm}.");
        if (invite.UsedBy is { } user)
            return Decision.Refuse(RefusalCode.InviteUsed, $"The invite was used by {user}.", "Ask the farmer for another.");
        if (invite.Expires <= now)
            return Decision.Refuse(RefusalCode.InviteExpired, $"The invite expired at {invite.Expires.Text()}.", "Ask the farmer for another.");
        foreach (var key in new[] { body.Key, invite.Key })
        {
            if (!statement.Signers.Contains(key))
                return Decision.Refuse(RefusalCode.SignatureMissing, $"The key {key} must sign: a node joins with its own key and the invite's.");
        }
        if (GridState.Stranger(statement, k => k == body.Key || k == invite.Key) is { } stranger)
            return stranger;
        return new NodeEvent.Joined(new NodeId(statement.Id.Value), body.Farm, body.Invite, body.Key, body.Hardware);
    }

    public static Decision Decide(GridState state, Statement statement, ReportNode body)
    {
        if (state.NodeSpeaks(statement, out var node) is { } refusal)
            return refusal;
        if (body.Domain is { } domain && !Hostname.IsValid(domain))
            return Decision.Refuse(RefusalCode.HostnameInvalid, $"'{domain}' is not a domain under which names can be given.");
        return (body.Capacity - body.Reserve).IsNegative
            ? Decision.Refuse(RefusalCode.Capacity, "The reserve is larger than the capacity.")
            : new NodeEvent.Reported(node.Id, body);
    }

    public static Decision Decide(GridState state, Statement statement, RetireNode body, DateTimeOffset now)
    {
        if (!state.Nodes.TryGetValue(body.Node, out var node))
            return Decision.Refuse(RefusalCode.NotFound, $"The node {body.Node} is not in this ledger.");
        if (state.SpeaksForFarm(node.Farm, statement, out var farm) is { } refusal)
            return refusal;
        if (node.Retired)
            return Decision.Refuse(RefusalCode.NodeRetired, $"The node {node.Id} is retired already.");
        var running = state.Agreements.Values.Where(a => a.HeldNodes.Contains(node.Id)).OrderBy(a => a.Id.Value).ToList();
        if (running.Count > 0 && !body.Breach)
        {
            return Decision.Refuse(RefusalCode.AgreementsRunning, $"{running.Count} agreements run on {node.Id}, the first is {running[0].Id}.",
                "Announce their end with notice, or retire the node as a breach.");
        }
        // The record says who broke the agreement; it never says that the user cancelled.
        return Decision.Accept(
        [
            .. running.Select(a => new AgreementEvent.Ended(a.Id, new EndReason.FarmerBreach(farm.Id), now)),
            new NodeEvent.Retired(node.Id),
        ]);
    }

    public static Decision Decide(GridState state, Statement statement, DrainNode body)
    {
        if (!state.Nodes.TryGetValue(body.Node, out var node))
            return Decision.Refuse(RefusalCode.NotFound, $"The node {body.Node} is not in this ledger.");
        var itself = statement.Payload.By == node.Id.Value;
        if ((itself ? state.NodeSpeaks(statement, out _) : state.SpeaksForFarm(node.Farm, statement, out _)) is { } refusal)
            return refusal;
        if (node.Retired)
            return Decision.Refuse(RefusalCode.NodeRetired, $"The node {node.Id} is retired.");
        var (before, after) = (itself ? node.DrainedByItself : node.DrainedByFarmer, body.Drains ? body.Reason : null);
        return before == after
            ? Decision.Refuse(RefusalCode.AlreadySo, $"The node {node.Id} {(body.Drains ? "drains already, for that reason" : "does not drain by that word")}.")
            : new NodeEvent.Drained(node.Id, itself, after);
    }

    public static Node Evolve(Node node, NodeEvent happened) => happened switch
    {
        NodeEvent.Reported e => node with { Report = e.Report },
        NodeEvent.Drained { ByItself: true } e => node with { DrainedByItself = e.Reason },
        NodeEvent.Drained e => node with { DrainedByFarmer = e.Reason },
        NodeEvent.Retired => node with { Retired = true },
        _ => throw new UnreachableException($"{happened.Name} cannot follow."),
    };
}

public abstract record NodeEvent(NodeId Node) : Event
{
    public override StreamId Stream => new("node", Node.Value);

    public sealed record Joined(NodeId Node, FarmId Farm, StatementId Invite, PublicKey Key, Hardware Hardware) : NodeEvent(Node)
    {
        public override string Name => "node.joined";
    }

    public sealed record Reported(NodeId Node, ReportNode Report) : NodeEvent(Node)
    {
        public override string Name => "node.reported";
    }

    /// <param name="Reason">null when it is lifted</param>
    public sealed record Drained(NodeId Node, bool ByItself, string? Reason) : NodeEvent(Node)
    {
        public override string Name => "node.drained";
    }

    public sealed record Retired(NodeId Node) : NodeEvent(Node)
    {
        public override string Name => "node.retired";
    }
}
