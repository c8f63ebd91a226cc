using System.Collections.Immutable;
using System.Text.Json;
using Grid.Agreements;
using Grid.Cli.Commands;
using Grid.Cli.Settings;
using Grid.Client;
using Grid.Farms;
using Grid.Nodes;
using Grid.Offers;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli;

internal sealed record KnownFarm(FarmId Id, string Name, AccountId Account);

internal sealed record KnownNode(NodeId Id, FarmId Farm, JoinNode Joined);

internal sealed record KnownOffer(OfferId Id, PostOffer Terms);

/// <summary>
/// From what people write to what is proven. Lists of the ledger only help to find an id; what the thing is, its founding statement says, whose
/// place in the log is verified.
/// </summary>
internal sealed class Catalogue(LedgerClient ledger, Book book, CancellationToken cancellation)
{
    /// <param name="text">an id or the farm's name</param>
    public async Task<Answer<KnownFarm>> FarmAsync(string text)
    {
        if (!Id.TryParse<FarmId>(text, out var id))
        {
            if (!(await ledger.FarmsAsync(null, cancellation).ConfigureAwait(false)).Try(out var view, out var refusal))
                return refusal;
            if (!Render.Items(view).Any(i => Render.Text(i, "name") == text && Id.TryParse(Render.Text(i, "id"), out id)))
                return new Refusal(RefusalCode.NotFound, $"No farm is called '{text}'.", "See 'grid farm list'.");
        }
        if (!(await FoundingAsync<RegisterFarm>(id.Value, "farm").ConfigureAwait(false)).Try(out var found, out var no))
            return no;
        return Id.TryParse<FarmId>(text, out _) || found.Body.FarmName == text
            ? new KnownFarm(id, found.Body.FarmName, new AccountId(found.By!.Value))
            : new Refusal(RefusalCode.BadProof, $"The ledger says that '{text}' is {id}, which is really '{found.Body.FarmName}'.", "Believe nothing of this ledger until 'grid ledger audit' holds.");
    }

    /// <param name="text">an id, an alias of the address book, a farm's name when it has one node, or FARM/N for its N-th</param>
    public async Task<Answer<KnownNode>> NodeAsync(string text)
    {
        if (!Id.TryParse<NodeId>(book.Nodes.GetValueOrDefault(text) ?? text, out var id))
        {
            var (farmName, place) = text.LastIndexOf('/') is var slash and > 0 ? (text[..slash], text[(slash + 1)..]) : (text, null);
            if (!(await FarmAsync(farmName).ConfigureAwait(false)).Try(out var farm, out var refusal))
                return place is null && refusal.Code == RefusalCode.NotFound ? new Refusal(RefusalCode.UnresolvedNode, $"'{text}' is no node that is known here.", "Write a node1… id, a farm's name, or FARM/N. See 'grid node list'.") : refusal;
            if (!(await NodesOfAsync(farm.Id).ConfigureAwait(false)).Try(out var nodes, out refusal))
                return refusal;
            if (place is null && nodes.Length != 1)
                return new Refusal(nodes.IsEmpty ? RefusalCode.UnresolvedNode : CliCode.Ambiguous, $"The farm '{farmName}' has {nodes.Length} nodes.", nodes.IsEmpty ? "Let a node join first." : $"Write {farmName}/1 to {farmName}/{nodes.Length}, or a node1… id.");
            if (place is not null && (!int.TryParse(place, out var number) || number < 1 || number > nodes.Length))
                return new Refusal(RefusalCode.UnresolvedNode, $"The farm '{farmName}' has {nodes.Length} nodes; '{place}' is not one of their numbers.", $"See 'grid node list --farm {farmName}'.");
            id = nodes[place is null ? 0 : int.Parse(place, System.Globalization.CultureInfo.InvariantCulture) - 1];
        }
        return (await FoundingAsync<JoinNode>(id.Value, "node").ConfigureAwait(false)).Try(out var found, out var no)
            ? new KnownNode(id, found.Body.Farm, found.Body)
            : no.Code == RefusalCode.NotFound ? no with { Code = RefusalCode.UnresolvedNode } : no;
    }

    /// <param name="text">an id or an alias of the address book</param>
    public async Task<Answer<KnownOffer>> OfferAsync(string text)
    {
        if (!Id.TryParse<OfferId>(book.Offers.GetValueOrDefault(text) ?? text, out var id))
            return new Refusal(RefusalCode.NotFound, $"No offer is called '{text}' on this machine.", "Write an offer1… id. See 'grid offer list'.");
        return (await FoundingAsync<PostOffer>(id.Value, "offer").ConfigureAwait(false)).As(f => new KnownOffer(id, f.Body));
    }

    /// <summary>The farm's only open offer.</summary>
    public async Task<Answer<KnownOffer>> OpenOfferAsync(KnownFarm farm, DateTimeOffset now)
    {
        if (!(await ledger.OffersAsync(null, cancellation).ConfigureAwait(false)).Try(out var view, out var refusal))
            return refusal;
        var open = new List<KnownOffer>();
        foreach (var item in Render.Items(view).Where(i => Render.Text(i, "farm") == farm.Id.ToString() && Render.Text(i, "withdrawn") is null or "false"))
        {
            if (Id.TryParse<OfferId>(Render.Text(item, "id"), out var id)
                && (await FoundingAsync<PostOffer>(id.Value, "offer").ConfigureAwait(false)).Try(out var found, out refusal) && found.Body.Farm == farm.Id && found.Body.Expires > now)
                open.Add(new KnownOffer(id, found.Body));
        }
        return open is [var only]
            ? only
            : new Refusal(open.Count == 0 ? RefusalCode.OfferExpired : CliCode.Ambiguous, $"The farm '{farm.Name}' has {open.Count} open offers.",
                open.Count == 0 ? "Ask the farmer for one." : $"Say which under 'offers': {string.Join(", ", open.Select(o => o.Id))}.");
    }

    /// <param name="text">an id or the name of an agreement made on this machine</param>
    public Answer<AgreementId> Agreement(string text) => Id.TryParse<AgreementId>(book.Agreements.GetValueOrDefault(text) ?? text, out var id)
        ? id
        : new Refusal(RefusalCode.NotFound, $"No agreement is called '{text}' on this machine.", "Write an agr1… id. See 'grid agreement list'.");

    /// <param name="text">an id or a name of the address book</param>
    public Answer<AccountId> Account(string text) => Id.TryParse<AccountId>(book.Accounts.GetValueOrDefault(text)?.Id ?? text, out var id)
        ? id
        : new Refusal(RefusalCode.NotFound, $"No account is called '{text}' on this machine.", "Write an acct1… id. See 'grid account list'.");

    /// <summary>The farm's nodes that are not retired, in the order in which they joined.</summary>
    private async Task<Answer<ImmutableArray<NodeId>>> NodesOfAsync(FarmId farm)
    {
        if (!(await ledger.NodesAsync(null, cancellation).ConfigureAwait(false)).Try(out var view, out var refusal))
            return refusal;
        var found = new List<(long Index, NodeId Id)>();
        foreach (var item in Render.Items(view).Where(i => Render.Text(i, "farm") == farm.ToString() && Render.Text(i, "retired") is null or "false"))
        {
            if (!Id.TryParse<NodeId>(Render.Text(item, "id"), out var id))
                continue;
            if (!(await ledger.StatementAsync(new StatementId(id.Value), cancellation).ConfigureAwait(false)).Try(out var joined, out refusal))
                return refusal;
            if (joined.Statement.Payload.Body is JoinNode join && join.Farm == farm)
                found.Add((joined.Index, id));
        }
        return found.OrderBy(f => f.Index).Select(f => f.Id).ToImmutableArray();
    }

    private async Task<Answer<(T Body, Digest? By)>> FoundingAsync<T>(Digest id, string what) where T : Body
    {
        var answer = await ledger.StatementAsync(new StatementId(id), cancellation).ConfigureAwait(false);
        if (!answer.Try(out var recorded, out var refusal))
            return refusal.Code == RefusalCode.NotFound ? new Refusal(RefusalCode.NotFound, $"The {what} is not in this ledger.", $"See 'grid {what} list'.") : refusal;
        return recorded.Statement.Payload.Body is T body
            ? (body, recorded.Statement.Payload.By)
            : new Refusal(RefusalCode.NotFound, $"{recorded.Statement.Id} founds no {what}; it is '{recorded.Statement.Payload.Body.Kind}'.", $"See 'grid {what} list'.");
    }
}
