using Grid.Farms;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Nodes;

/// <summary>A farmer's leave for one node to join; used once.</summary>
public sealed record Invite(StatementId Id, FarmId Farm, PublicKey Key, DateTimeOffset Expires, NodeId? UsedBy)
{
    public static Decision Decide(GridState state, Statement statement, InviteNode body, DateTimeOffset now)
    {
        if (state.SpeaksForFarm(body.Farm, statement, out _) is { } refusal)
            return refusal;
        return body.Expires <= now
            ? Decision.Refuse(RefusalCode.InviteExpired, $"The invite would have expired at {body.Expires.Text()}; it is {now.Text()}.")
            : new FarmEvent.NodeInvited(body.Farm, statement.Id, body.Key, body.Expires);
    }
}
