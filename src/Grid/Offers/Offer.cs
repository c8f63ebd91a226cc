using Grid.Farms;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Offers;

/// <summary>A farmer's signed price list and conditions, as it stands.</summary>
public sealed record Offer(OfferId Id, PostOffer Terms, bool Withdrawn)
{
    public bool IsOpen(DateTimeOffset now) => !Withdrawn && now < Terms.Expires;

    public static Decision Decide(GridState state, Statement statement, PostOffer body, DateTimeOffset now)
    {
        if (state.SpeaksForFarm(body.Farm, statement, out _) is { } refusal)
            return refusal;
        if (body.Expires <= now)
            return Decision.Refuse(RefusalCode.OfferExpired, $"The offer would have expired at {body.Expires.Text()}; it is {now.Text()}.");
        if (body.Kinds.IsEmpty)
            return Decision.Refuse(RefusalCode.OfferMismatch, "An offer is for at least one kind of workload.");
        foreach (var node in body.Nodes)
        {
            if (!state.Nodes.TryGetValue(node, out var known) || known.Farm != body.Farm)
                return Decision.Refuse(RefusalCode.UnresolvedNode, $"The node {node} is not one of this farm's.");
        }
        return new FarmEvent.OfferPosted(body.Farm, new OfferId(statement.Id.Value), body);
    }

    public static Decision Decide(GridState state, Statement statement, WithdrawOffer body)
    {
        if (!state.Offers.TryGetValue(body.Offer, out var offer))
            return Decision.Refuse(RefusalCode.NotFound, $"The offer {body.Offer} is not in this ledger.");
        if (state.SpeaksForFarm(offer.Terms.Farm, statement, out _) is { } refusal)
            return refusal;
        return offer.Withdrawn
            ? Decision.Refuse(RefusalCode.AlreadySo, $"The offer {offer.Id} is withdrawn already.")
            : new FarmEvent.OfferWithdrawn(offer.Terms.Farm, offer.Id);
    }
}
