using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Cli.Yaml;
using Grid.Client;
using Grid.Offers;
using Grid.Secrets;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Cli.Drafts;

/// <summary>Where the new version stands: nothing before it, or what is in force.</summary>
/// <param name="First">when the first version was written; times such as +24h count from it, so that the same file says the same tomorrow</param>
internal sealed record Standing(Agreement Agreement, DateTimeOffset First)
{
    public Agreements.Version InForce => Agreement.Version;
}

/// <summary>
/// Turns a draft into terms: names into ids whose founding statements are proven, the price from the signed offers, times from the given now.
/// The same draft, now and ledger give the same bytes.
/// </summary>
internal sealed class Resolver(Catalogue catalogue, SecretSealer sealer, AccountId user, DateTimeOffset now)
{
    private readonly List<Fault> _faults = [];
    private readonly Dictionary<FarmId, Position> _farms = [];

    /// <summary>False when one of the faults is this machine's, or an answer that nobody should believe: then nothing is known to have moved.</summary>
    public bool Moved { get; private set; } = true;

    /// <returns>null when there are faults</returns>
    public async Task<(Resolved? Resolved, ImmutableArray<Fault> Faults)> ResolveAsync(Draft draft, Standing? standing)
    {
        var nodes = new Dictionary<string, KnownNode>();
        foreach (var named in draft.Workloads.Select(w => w.Node).OfType<Named>().DistinctBy(n => n.Text))
        {
            if (await catalogue.NodeAsync(named.Text).ConfigureAwait(false) is var answer && answer.Try(out var node, out var refusal))
                nodes[named.Text] = node;
            else
                Fault(named.At, answer);
        }
        var workloads = draft.Workloads.Where(w => w.Node is null || nodes.ContainsKey(w.Node.Text))
            .Select(w => w.Workload is Placed placed ? Place(placed, w.Secrets, nodes[w.Node!.Text]) : w.Workload).ToImmutableArray();
        var offers = await OffersAsync(draft, nodes, standing).ConfigureAwait(false);
        if (_faults.Count > 0)
            return (null, [.. _faults]);

        var parts = offers.OrderBy(o => o.Key.Value).Select(o => new FarmPart(o.Key, o.Value.Id,
            [.. nodes.Values.Where(n => n.Farm == o.Key).Select(n => n.Id).Distinct().OrderBy(n => n.Value)])).ToImmutableArray();
        var currencies = offers.Values.Select(o => o.Terms.Currency).Distinct().ToList();
        if (currencies.Count != 1)
            _faults.Add(new Fault(draft.Place(null), new Refusal(RefusalCode.PriceMismatch, $"The offers are in different currencies: {string.Join(", ", currencies.Select(c => c.Code))}.", "Choose offers in one.")));
        var rates = parts.Select(p => new FarmRate(p.Farm, Rate(offers[p.Farm].Terms.Prices, p, workloads))).ToImmutableArray();
        var origin = standing?.First ?? now;
        var term = new Term(draft.Term.Start?.From(origin), draft.Term.Until?.From(origin), draft.Term.Notice ?? offers.Values.Max(o => o.Terms.Notice),
            draft.Term.AnswerBy.From(now), draft.Term.ConvergeBy.From(now), new Offline(draft.Term.OfflineAfter, draft.Term.OfflinePause));
        var terms = new AgreementTerms(
            standing is null ? 1 : standing.InForce.Terms.Version + 1, standing is null ? null : new Amends(standing.Agreement.Id, standing.InForce.Id), user, parts, term,
            new MoneyTerms(currencies[0], rates.Aggregate(Money.Zero, (sum, r) => sum + r.Rate), rates, draft.Grace), workloads, draft.Note);
        Check(draft, terms, standing);
        return _faults.Count > 0 ? (null, [.. _faults]) : (new Resolved(terms, [.. nodes.Values], [.. offers.Values], draft, _farms.ToImmutableDictionary()), []);
    }

    private Placed Place(Placed workload, ImmutableArray<DraftSecret> secrets, KnownNode node)
    {
        workload = workload with { Node = node.Id };
        var done = ImmutableArray.CreateBuilder<Secret>();
        foreach (var secret in secrets)
        {
            if (sealer.Seal(secret, workload.Name, node.Joined.Key).Try(out var one, out var refusal))
                done.Add(one);
            else
            {
                Moved = false;
                _faults.Add(new Fault(secret.Place, refusal));
            }
        }
        return workload is Runnable runs ? runs with { Secrets = done.ToImmutable() } : workload;
    }

    // The same function that the ledger and every node call: what it refuses here would be refused there.
    private void Check(Draft draft, AgreementTerms terms, Standing? standing)
    {
        var found = AgreementRules.Check(terms);
        if (standing is not null)
            found = found.AddRange(AgreementRules.CheckAmendment(standing.InForce.Terms, terms));
        foreach (var refusal in found)
            _faults.Add(new Fault(draft.Place(refusal.About), refusal));
    }

    private async Task<Dictionary<FarmId, KnownOffer>> OffersAsync(Draft draft, Dictionary<string, KnownNode> nodes, Standing? standing)
    {
        var farms = nodes.Values.Select(n => n.Farm).Distinct().ToList();
        var chosen = new Dictionary<FarmId, KnownOffer>();
        foreach (var (farmName, offerName) in draft.Offers)
        {
            var farm = await catalogue.FarmAsync(farmName.Text).ConfigureAwait(false);
            var offer = await catalogue.OfferAsync(offerName.Text).ConfigureAwait(false);
            if (!farm.Try(out var f, out _))
                Fault(farmName.At, farm);
            else if (!offer.Try(out var o, out _))
                Fault(offerName.At, offer);
            else if (o.Terms.Farm != f.Id)
                _faults.Add(new Fault(offerName.At, new Refusal(RefusalCode.OfferMismatch, $"The offer is not of the farm '{f.Name}'.", "See 'grid offer list'.")));
            else if (!farms.Contains(f.Id))
                _faults.Add(new Fault(farmName.At, new Refusal(RefusalCode.UnresolvedNode, $"No workload is on a node of '{f.Name}'.", "Leave its offer out.")));
            else
                (chosen[f.Id], _farms[f.Id]) = (o, offerName.At);
        }
        foreach (var id in farms.Where(f => !chosen.ContainsKey(f)))
        {
            var at = draft.Workloads.Select(w => w.Node).OfType<Named>().First(n => nodes.TryGetValue(n.Text, out var node) && node.Farm == id).At;
            _farms[id] = at;
            // An amendment stays under the offer that it began with.
            if (standing?.InForce.Terms.Farms.FirstOrDefault(f => f.Farm == id) is { } part && (await catalogue.OfferAsync(part.Offer.ToString()).ConfigureAwait(false)).Try(out var kept, out _))
            {
                chosen[id] = kept;
                continue;
            }
            var farm = await catalogue.FarmAsync(id.ToString()).ConfigureAwait(false);
            if (!farm.Try(out var f, out _))
                Fault(at, farm);
            else if (await catalogue.OpenOfferAsync(f, now).ConfigureAwait(false) is var open && open.Try(out var offer, out _))
                chosen[id] = offer;
            else
                Fault(at, open);
        }
        return chosen;
    }

    private static Money Rate(Prices prices, FarmPart part, ImmutableArray<Workload> workloads) =>
        prices.Rate(workloads.OfType<Placed>().Where(w => part.Nodes.Contains(w.Node)).Aggregate(Capacity.None, (sum, w) => sum + w.Demand));

    private void Fault<T>(Position at, Answer<T> answer)
    {
        if (answer.Try(out _, out var refusal))
            return;
        // Nodes retire, offers come and go. What was ever recorded stays: another no is the address book's, or of an answer that does not hold.
        Moved &= refusal.Code is RefusalCode.UnresolvedNode or RefusalCode.OfferExpired or CliCode.Ambiguous;
        _faults.Add(new Fault(at, refusal));
    }
}
