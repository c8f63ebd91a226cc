using System.Collections.Immutable;
using System.Net;
using Grid.Gateways;
using Grid.Ledger.Sequencing;
using Grid.Units;

namespace Grid.Api.Endpoints;

/// <summary>Accounts, farms, nodes, offers and names as they stand.</summary>
internal sealed class ThingEndpoints(Sequencer sequencer)
{
    private const string Version = "v1";

    public void Map(RouteGroupBuilder v1)
    {
        v1.MapGet("/ledger", () => TypedResults.Ok(new LedgerDocument(sequencer.Origin, sequencer.Key.ToString(), sequencer.Current.Size, Version)))
            .WithSummary("What this ledger is: its origin, key and size.");
        v1.MapGet("/accounts/{id}", (string id) => One<AccountId>(id, "account", (s, a) =>
            s.State.Accounts.TryGetValue(a, out var account) ? new AccountDocument(s.Size - 1, AccountView.Of(account)) : null)).Produces<AccountDocument>();
        v1.MapGet("/farms/{id}", (string id) => One<FarmId>(id, "farm", (s, f) =>
            s.State.Farms.TryGetValue(f, out var farm) ? new FarmDocument(s.Size - 1, FarmView.Of(farm)) : null)).Produces<FarmDocument>();
        v1.MapGet("/nodes/{id}", (string id) => One<NodeId>(id, "node", (s, n) =>
            s.State.Nodes.TryGetValue(n, out var node) ? new NodeDocument(s.Size - 1, NodeView.Of(node)) : null)).Produces<NodeDocument>();
        v1.MapGet("/offers/{id}", (string id) => One<OfferId>(id, "offer", (s, o) =>
            s.State.Offers.TryGetValue(o, out var offer) ? new OfferDocument(s.Size - 1, OfferView.Of(offer)) : null)).Produces<OfferDocument>();
        v1.MapGet("/names/{name}", Holder).Produces<NameDocument>()
            .WithSummary("Which agreement holds a gateway's name or a public address; not found when nobody does.");

        v1.MapGet("/farms", (string? cursor, string? limit) => Many(cursor, limit, s => s.Histories.Farms, (s, f) => FarmView.Of(s.State.Farms[f])))
            .WithMetadata(new Queries("cursor", "limit")).Produces<PageDocument<FarmView>>();
        v1.MapGet("/nodes", (string? cursor, string? limit) => Many(cursor, limit, s => s.Histories.Nodes, (s, n) => NodeView.Of(s.State.Nodes[n])))
            .WithMetadata(new Queries("cursor", "limit")).Produces<PageDocument<NodeView>>();
        v1.MapGet("/offers", (string? cursor, string? limit) => Many(cursor, limit, s => s.Histories.Offers, (s, o) => OfferView.Of(s.State.Offers[o])))
            .WithMetadata(new Queries("cursor", "limit")).Produces<PageDocument<OfferView>>();
    }

    private IResult One<T>(string text, string what, Func<Snapshot, T, object?> find) where T : struct, IId<T>
    {
        var id = Requests.Id<T>(text);
        return find(sequencer.Current, id) is { } document
            ? Results.Json(document, document.GetType(), ApiJson.Default)
            : new Problem(new Refusal(RefusalCode.NotFound, $"The {what} {id} is not in this ledger."));
    }

    private IResult Holder(string name)
    {
        if (!Hostname.IsValid(name) && !(IPAddress.TryParse(name, out var ip) && ip.ToString() == name))
            throw RequestFormatException.Malformed("A name is a hostname such as shop.example.org, or an address such as 203.0.113.7, written in the one way that agreements write it.");
        var snapshot = sequencer.Current;
        return snapshot.State.Names.TryGetValue(name, out var holder)
            ? TypedResults.Ok(new NameDocument(snapshot.Size - 1, new NameView(name, holder.ToString())))
            : new Problem(new Refusal(RefusalCode.NotFound, $"No agreement holds {name}."));
    }

    private IResult Many<TId, TView>(string? cursor, string? limit, Func<Snapshot, ImmutableList<TId>> all, Func<Snapshot, TId, TView> view)
    {
        var snapshot = sequencer.Current;
        return TypedResults.Ok(Page.Of(snapshot, all(snapshot), cursor, limit, id => view(snapshot, id)));
    }
}

/// <summary>Pages of a list in the order of founding. The cursor is the position to go on from: nothing is ever inserted before it.</summary>
internal static class Page
{
    public const int MaximumItems = 1000;

    // However little a filter lets through, one request looks at so many and no more.
    private const int MaximumLooks = 20_000;

    /// <param name="view">null leaves the item out</param>
    public static PageDocument<TView> Of<TId, TView>(Snapshot snapshot, ImmutableList<TId> all, string? cursor, string? limit, Func<TId, TView?> view)
    {
        var at = (int)Requests.Number("cursor", cursor, 0, int.MaxValue, 0);
        var most = (int)Requests.Number("limit", limit, 1, MaximumItems, MaximumItems);
        var items = ImmutableArray.CreateBuilder<TView>();
        var end = (int)long.Min(all.Count, at + (long)MaximumLooks);
        for (; at < end && items.Count < most; at++)
        {
            if (view(all[at]) is { } item)
                items.Add(item);
        }
        return new PageDocument<TView>(snapshot.Size - 1, items.ToImmutable(), at < all.Count ? at.ToString(System.Globalization.CultureInfo.InvariantCulture) : null);
    }
}
