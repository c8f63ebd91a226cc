using Grid.Gateways;
using Grid.Offers;
using Grid.Units;
using Grid.World;

namespace Grid.Agreements;

/// <summary>Whether terms can be agreed as the ledger stands: time, offers, prices, nodes, capacity.</summary>
public static class Agreeable
{
    /// <param name="inForce">the agreement that is amended; null for a first version</param>
    public static Refusal? Check(GridState state, AgreementTerms terms, Agreement? inForce, DateTimeOffset now)
    {
        if (AgreementRules.Check(terms) is [var broken, ..])
            return broken;
        if (terms.Term.AnswerBy <= now)
            return new Refusal(RefusalCode.TermInPast, $"Everybody was to answer by {terms.Term.AnswerBy.Text()}; it is {now.Text()}.", "Draft it again with a later time.");
        if (Taken(state, terms, inForce) is { } taken)
            return taken;
        foreach (var part in terms.Farms)
        {
            if (CheckOffer(state, terms, part, inForce, now) is { } refusal)
                return refusal;
        }
        if (CheckAddresses(state, terms, inForce) is { } foreign)
            return foreign;
        return terms.Nodes.Select(node => CheckNode(state, terms, node, inForce)).FirstOrDefault(r => r is not null);
    }

    // A name is held as capacity is: from the last farm's signature on. A proposal costs nobody anything and holds nothing.
    private static Refusal? Taken(GridState state, AgreementTerms terms, Agreement? inForce) => terms.Gateways
        .Where(g => state.Names.TryGetValue(g.Hostname, out var holder) && holder != inForce?.Id)
        .Select(g => new Refusal(RefusalCode.NameTaken, $"{g.Hostname} of '{g.Name}' is held by another agreement, {state.Names[g.Hostname]}.", "Choose another name."))
        .FirstOrDefault();

    private static Refusal? CheckAddresses(GridState state, AgreementTerms terms, Agreement? inForce)
    {
        foreach (var address in terms.Addresses)
        {
            var farm = terms.Farms.First(f => f.Nodes.Contains(address.Node)).Farm;
            if (!state.Addresses.TryGetValue(address.Ip, out var owner) || owner != farm)
                return new Refusal(RefusalCode.AddressNotOwned, $"{address.Ip} of '{address.Name}' is no address of {farm}.", "'grid farm show' lists those it has.");
            if (state.Names.TryGetValue($"{address.Ip}", out var holder) && holder != inForce?.Id)
                return new Refusal(RefusalCode.AddressConflict, $"{address.Ip} of '{address.Name}' is held by another agreement, {holder}.", "Choose another address of the farm.");
        }
        return null;
    }

    private static Refusal? CheckOffer(GridState state, AgreementTerms terms, FarmPart part, Agreement? inForce, DateTimeOffset now)
    {
        if (!state.Offers.TryGetValue(part.Offer, out var offer))
            return new Refusal(RefusalCode.NotFound, $"The offer {part.Offer} is not in this ledger.");
        if (offer.Terms.Farm != part.Farm)
            return new Refusal(RefusalCode.OfferMismatch, $"The offer {offer.Id} is not the farm's {part.Farm}.");
        // A withdrawn offer stops new agreements, never those that began under it.
        var kept = inForce is not null && inForce.Version.Terms.Farms.Any(f => f.Offer == part.Offer);
        if (!kept && !offer.IsOpen(now))
            return new Refusal(RefusalCode.OfferExpired, $"The offer {offer.Id} is {(offer.Withdrawn ? "withdrawn" : $"expired since {offer.Terms.Expires.Text()}")}.", "Choose an open one.");
        return Meets(terms, part, offer.Id, offer.Terms);
    }

    /// <summary>Whether an agreement is within what an offer says: nodes, notice, currency, kinds, ceiling, price. The draft tool asks it as well.</summary>
    public static Refusal? Meets(AgreementTerms terms, FarmPart part, OfferId id, PostOffer offer)
    {
        if (!offer.Nodes.IsEmpty && part.Nodes.FirstOrDefault(n => !offer.Nodes.Contains(n)) is var stray && stray != default)
            return new Refusal(RefusalCode.OfferMismatch, $"The offer {id} is not for the node {stray}.") { About = new About(terms.On(stray).First().Name, "node") };
        if (terms.Term.Notice < offer.Notice)
            return new Refusal(RefusalCode.OfferMismatch, $"The offer asks for {offer.Notice.TotalSeconds} s of notice; the agreement gives {terms.Term.Notice.TotalSeconds} s.") { About = new About(null, "notice") };
        if (terms.Money.Currency != offer.Currency)
            return new Refusal(RefusalCode.PriceMismatch, $"The offer is in {offer.Currency}, the agreement in {terms.Money.Currency}.");
        var use = Capacity.None;
        foreach (var node in part.Nodes)
        {
            use += terms.DemandOn(node);
            if (terms.KindsOn(node).FirstOrDefault(k => !offer.Kinds.Contains(k)) is { } kind)
                return new Refusal(RefusalCode.UnsupportedKind, $"The offer {id} has no {kind}, which the agreement wants on {node}.") { About = Wanting(terms, node, kind) };
        }
        if (!use.FitsIn(offer.Ceiling))
            return new Refusal(RefusalCode.OfferMismatch, $"The offer allows {offer.Ceiling}; the agreement takes {use}.");
        var (rate, agreed) = (offer.Prices.Rate(use), terms.Money.Parts.First(p => p.Farm == part.Farm).Rate);
        return rate == agreed
            ? null
            : new Refusal(RefusalCode.PriceMismatch, $"By the offer {id} it costs {rate} per second, not {agreed}.");
    }

    private static About Wanting(AgreementTerms terms, NodeId node, string kind) => terms.On(node).FirstOrDefault(w => w.Kind == kind) is { } workload
        ? new About(workload.Name, "kind")
        : new About(terms.On(node).First(w => !w.Networks.IsEmpty).Name, "networks");

    private static Refusal? CheckNode(GridState state, AgreementTerms terms, NodeId id, Agreement? inForce)
    {
        var part = terms.Farms.First(f => f.Nodes.Contains(id));
        if (!state.Nodes.TryGetValue(id, out var node) || node.Farm != part.Farm)
            return new Refusal(RefusalCode.UnresolvedNode, $"The node {id} is not one of {part.Farm}.");
        if (node.Retired || node.Report is null)
            return new Refusal(RefusalCode.UnresolvedNode, $"The node {id} {(node.Retired ? "is retired" : "has not reported what it has")}.");
        // Those who are there already may change what they have, and leave.
        if (node.Drains && inForce?.Version.Terms.Nodes.Contains(id) is not true)
            return new Refusal(RefusalCode.NodeDrains, $"The node {id} takes nothing new: {node.DrainedByFarmer ?? node.DrainedByItself}", "Choose another node.");
        if (terms.KindsOn(id).FirstOrDefault(k => !node.Report.Kinds.Contains(k)) is { } kind)
            return new Refusal(RefusalCode.UnsupportedKind, $"The node {id} has no {kind}.", "Choose another node; 'grid node show' lists what each can do.");
        if (terms.Gateways.Where(g => g.Node == id).Select(g => GatewayRules.CheckDomain(g, node.Report.Domain)).FirstOrDefault(r => r is not null) is { } unproven)
            return unproven;
        var own = inForce?.HeldOn(id) ?? Capacity.None;
        var held = node.Held - own + Capacity.Max(own, terms.DemandOn(id));
        // A node that has less than it promised keeps its promises, and who asks for no more of something than is promised anyway makes none.
        return held.FitsIn(Capacity.Max(node.Offered, node.Held))
            ? null
            : new Refusal(RefusalCode.Capacity, $"The node {id} offers {node.Offered}; with this it would hold {held}.", "Ask for less, or choose another node.");
    }
}
