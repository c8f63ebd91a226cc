using Grid.Addresses;
using Grid.Gateways;
using Grid.Offers;
using Grid.Units;
using Grid.World;

namespace Grid.Agreements;

/// <summary>Whether terms can be agreed as the ledger stands: time, names, offers, prices, addresses, nodes, capacity.</summary>
public static class Agreeable
{
    /// <param name="inForce">the agreement that is amended; null for a first version</param>
    public static Refusal? Check(GridState state, AgreementTerms terms, Agreement? inForce, DateTimeOffset now) =>
        AgreementRules.Check(terms) is [var broken, ..] ? broken : Find(state, terms, inForce, now).FirstOrDefault();

    /// <summary>What stands against terms that break no static rule: of each name, offer, address and node the first that does. The draft tool asks for all of it.</summary>
    /// <param name="state">the ledger's, or as much of it as the terms name: nodes, offers, addresses, and who holds their names</param>
    /// <param name="inForce">the agreement that is amended; null for a first version</param>
    public static IEnumerable<Refusal> Find(GridState state, AgreementTerms terms, Agreement? inForce, DateTimeOffset now)
    {
        if (terms.Term.AnswerBy <= now)
            yield return new Refusal(RefusalCode.TermInPast, $"Everybody was to answer by {terms.Term.AnswerBy.Text()}; it is {now.Text()}.", "Draft it again with a later time, such as +10m.") { About = new About(null, "answerBy") };
        // A name is held as capacity is: from the last farm's signature on. A proposal costs nobody anything and holds nothing.
        foreach (var taken in terms.Gateways.Select(g => Taken.Name(g, Holder(state, g.Hostname, inForce))).OfType<Refusal>())
            yield return taken;
        foreach (var refusal in terms.Farms.Select(part => CheckOffer(state, terms, part, inForce, now)).OfType<Refusal>())
            yield return refusal;
        foreach (var foreign in terms.Addresses.Select(address => CheckAddress(state, terms, address, inForce)).OfType<Refusal>())
            yield return foreign;
        foreach (var refusal in terms.Nodes.Select(node => CheckNode(state, terms, node, inForce)).OfType<Refusal>())
            yield return refusal;
    }

    private static AgreementId? Holder(GridState state, string name, Agreement? inForce) => state.Names.TryGetValue(name, out var holder) && holder != inForce?.Id ? holder : null;

    private static Refusal? CheckAddress(GridState state, AgreementTerms terms, PublicAddress address, Agreement? inForce)
    {
        var farm = terms.Farms.First(f => f.Nodes.Contains(address.Node)).Farm;
        return state.Addresses.TryGetValue(address.Ip, out var owner) && owner == farm
            ? Taken.Address(address, Holder(state, $"{address.Ip}", inForce))
            : new Refusal(RefusalCode.AddressNotOwned, $"{address.Ip} of '{address.Name}' is no address of {farm}.", "'grid farm show' lists those it has.") { About = new About(address.Name, "ip") };
    }

    private static Refusal? CheckOffer(GridState state, AgreementTerms terms, FarmPart part, Agreement? inForce, DateTimeOffset now)
    {
        if (!state.Offers.TryGetValue(part.Offer, out var offer))
            return new Refusal(RefusalCode.NotFound, $"The offer {part.Offer} is not in this ledger.") { About = Under(part) };
        if (offer.Terms.Farm != part.Farm)
            return new Refusal(RefusalCode.OfferMismatch, $"The offer {offer.Id} is not the farm's {part.Farm}.") { About = Under(part) };
        // A withdrawn offer stops new agreements, never those that began under it.
        var kept = inForce is not null && inForce.Version.Terms.Farms.Any(f => f.Offer == part.Offer);
        if (!kept && !offer.IsOpen(now))
            return new Refusal(RefusalCode.OfferExpired, $"The offer {offer.Id} is {(offer.Withdrawn ? "withdrawn" : $"expired since {offer.Terms.Expires.Text()}")}.", "Choose an open one.") { About = Under(part) };
        return Meets(terms, part, offer.Id, offer.Terms);
    }

    // Within what the offer says: nodes, notice, currency, kinds, ceiling, price.
    private static Refusal? Meets(AgreementTerms terms, FarmPart part, OfferId id, PostOffer offer)
    {
        if (!offer.Nodes.IsEmpty && part.Nodes.FirstOrDefault(n => !offer.Nodes.Contains(n)) is var stray && stray != default)
            return new Refusal(RefusalCode.OfferMismatch, $"The offer {id} is not for the node {stray}.") { About = At(terms, stray) };
        if (terms.Term.Notice < offer.Notice)
            return new Refusal(RefusalCode.OfferMismatch, $"The offer asks for {offer.Notice.TotalSeconds} s of notice; the agreement gives {terms.Term.Notice.TotalSeconds} s.") { About = new About(null, "notice") };
        if (terms.Money.Currency != offer.Currency)
            return new Refusal(RefusalCode.PriceMismatch, $"The offer is in {offer.Currency}, the agreement in {terms.Money.Currency}.") { About = Under(part) };
        var use = Capacity.None;
        foreach (var node in part.Nodes)
        {
            use += terms.DemandOn(node);
            if (terms.KindsOn(node).FirstOrDefault(k => !offer.Kinds.Contains(k)) is { } kind)
                return new Refusal(RefusalCode.UnsupportedKind, $"The offer {id} has no {kind}, which the agreement wants on {node}.") { About = Wanting(terms, node, kind) };
        }
        if (!use.FitsIn(offer.Ceiling))
            return new Refusal(RefusalCode.OfferMismatch, $"The offer allows {offer.Ceiling}; the agreement takes {use}.") { About = Taken.Most(part.Nodes.SelectMany(terms.On), use.Beyond(offer.Ceiling)) };
        var (rate, agreed) = (offer.Prices.Rate(use), terms.Money.Parts.First(p => p.Farm == part.Farm).Rate);
        return rate == agreed
            ? null
            : new Refusal(RefusalCode.PriceMismatch, $"By the offer {id} it costs {rate} per second, not {agreed}.") { About = Under(part) };
    }

    private static About Under(FarmPart part) => new(null, "farms", $"{part.Farm}");

    private static About At(AgreementTerms terms, NodeId node) => new(terms.On(node).First().Name, "node");

    private static About Wanting(AgreementTerms terms, NodeId node, string kind) => terms.On(node).FirstOrDefault(w => w.Kind == kind) is { } workload
        ? new About(workload.Name, "kind")
        : new About(terms.On(node).First(w => !w.Networks.IsEmpty).Name, "networks");

    private static Refusal? CheckNode(GridState state, AgreementTerms terms, NodeId id, Agreement? inForce)
    {
        var part = terms.Farms.First(f => f.Nodes.Contains(id));
        if (!state.Nodes.TryGetValue(id, out var node) || node.Farm != part.Farm)
            return new Refusal(RefusalCode.UnresolvedNode, $"The node {id} is not one of {part.Farm}.") { About = At(terms, id) };
        if (node.Retired || node.Report is null)
            return new Refusal(RefusalCode.UnresolvedNode, $"The node {id} {(node.Retired ? "is retired" : "has not reported what it has")}.", "Choose another node.") { About = At(terms, id) };
        // Those who are there already may change what they have, and leave.
        if (node.Drains && inForce?.Version.Terms.Nodes.Contains(id) is not true)
            return new Refusal(RefusalCode.NodeDrains, $"The node {id} takes nothing new: {node.DrainedByFarmer ?? node.DrainedByItself}", "Choose another node.") { About = At(terms, id) };
        if (terms.KindsOn(id).FirstOrDefault(k => !node.Report.Kinds.Contains(k)) is { } kind)
            return new Refusal(RefusalCode.UnsupportedKind, $"The node {id} has no {kind}.", "Choose another node; 'grid node show' lists what each can do.") { About = Wanting(terms, id, kind) };
        if (terms.Gateways.Where(g => g.Node == id).Select(g => GatewayRules.CheckDomain(g, node.Report.Domain)).FirstOrDefault(r => r is not null) is { } unproven)
            return unproven;
        var own = inForce?.HeldOn(id) ?? Capacity.None;
        return Taken.Room(id, node.Offered, node.Held - own, own, terms);
    }
}
