using System.Collections.Immutable;
using Grid.Offers;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Farms;

/// <summary>The nodes of one account under one name.</summary>
public sealed record Farm(FarmId Id, AccountId Account, string Name)
{
    /// <summary>Its public addresses, sorted; no other farm lists one of them.</summary>
    public ImmutableArray<FarmAddress> Addresses { get; init; } = [];

    public static Decision Decide(GridState state, Statement statement, RegisterFarm body)
    {
        if (!Names.IsValid(body.FarmName, 3, 40))
            return Decision.Refuse(RefusalCode.NameInvalid, $"'{body.FarmName}' is not a farm's name.", "Use 3–40 of a–z, 0–9 and hyphens, none at either end.");
        if (statement.Payload.By is not { } by)
            return Decision.Refuse(RefusalCode.NotAParty, "An account must speak.");
        if (state.SpeaksFor(new AccountId(by), statement) is { } refusal)
            return refusal;
        return state.FarmNames.TryGetValue(body.FarmName, out var taken)
            ? Decision.Refuse(RefusalCode.NameTaken, $"The name '{body.FarmName}' is taken by {taken}.", "Choose another.")
            : new FarmEvent.Registered(new FarmId(statement.Id.Value), new AccountId(by), body.FarmName);
    }
}

/// <summary>What happens to a farm, its invites and its offers.</summary>
public abstract record FarmEvent(FarmId Farm) : Event
{
    public override StreamId Stream => new("farm", Farm.Value);

    public sealed record Registered(FarmId Farm, AccountId Account, string FarmName) : FarmEvent(Farm)
    {
        public override string Name => "farm.registered";
    }

    public sealed record AddressesListed(FarmId Farm, ImmutableArray<FarmAddress> Addresses) : FarmEvent(Farm)
    {
        public override string Name => "farm.addresses-listed";
    }

    public sealed record NodeInvited(FarmId Farm, StatementId Invite, PublicKey Key, DateTimeOffset Expires) : FarmEvent(Farm)
    {
        public override string Name => "farm.node-invited";

        public override ImmutableArray<Digest> Subjects => [Invite.Value];
    }

    public sealed record OfferPosted(FarmId Farm, OfferId Offer, PostOffer Terms) : FarmEvent(Farm)
    {
        public override string Name => "farm.offer-posted";

        public override ImmutableArray<Digest> Subjects => [Offer.Value];
    }

    public sealed record OfferWithdrawn(FarmId Farm, OfferId Offer) : FarmEvent(Farm)
    {
        public override string Name => "farm.offer-withdrawn";

        public override ImmutableArray<Digest> Subjects => [Offer.Value];
    }
}
