using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grid.Agreements;
using Grid.Cli.Yaml;
using Grid.Client;
using Grid.Farms;
using Grid.Nodes;
using Grid.Offers;
using Grid.Units;
using Grid.World;

namespace Grid.Cli.Drafts;

/// <summary>What a draft came to, and what it rests on.</summary>
/// <param name="Farms">where the draft names the offer of each farm, else the farm's first node</param>
internal sealed record Resolved(AgreementTerms Terms, ImmutableArray<KnownNode> Nodes, ImmutableArray<KnownOffer> Offers, Draft Draft, ImmutableDictionary<FarmId, Position> Farms)
{
    /// <summary>Where that part of the terms is written.</summary>
    public Position Place(About? about) =>
        about is { Workload: null, Field: "farms", Item: { } farm } && Id.TryParse<FarmId>(farm, out var id) ? Farms[id] : Draft.Place(about);
}

/// <summary>
/// What the ledger would say of terms as it stands, by the function that it decides with, before anything is signed. How a node or an offer began is proven; what
/// became of it, who holds a name and what a farm lists is the ledger's word: it can only refuse, and would refuse the same when it is asked to record.
/// </summary>
internal sealed class Outlook(LedgerClient ledger, CancellationToken cancellation)
{
    /// <param name="inForce">the agreement that is amended; null for a first version</param>
    public async Task<Answer<ImmutableArray<Refusal>>> AskAsync(Resolved resolved, Agreement? inForce, DateTimeOffset now)
    {
        var (terms, state) = (resolved.Terms, GridState.Empty);
        foreach (var known in resolved.Offers)
        {
            if (!(await OfferAsync(known).ConfigureAwait(false)).Try(out var offer, out var refusal))
                return refusal;
            state = state with { Offers = state.Offers.Add(known.Id, offer) };
        }
        foreach (var known in resolved.Nodes.DistinctBy(n => n.Id))
        {
            if (!(await NodeAsync(known).ConfigureAwait(false)).Try(out var node, out var refusal))
                return refusal;
            state = state with { Nodes = state.Nodes.Add(known.Id, node) };
        }
        foreach (var farm in terms.Addresses.Select(a => terms.Farms.First(f => f.Nodes.Contains(a.Node)).Farm).Distinct())
        {
            if (!(await AddressesAsync(farm).ConfigureAwait(false)).Try(out var addresses, out var refusal))
                return refusal;
            state = state with { Addresses = state.Addresses.SetItems(addresses.Select(a => KeyValuePair.Create(a.Address, farm))) };
        }
        foreach (var name in terms.Gateways.Select(g => g.Hostname).Concat(terms.Addresses.Select(a => $"{a.Ip}")))
        {
            if (!(await ledger.HolderAsync(name, cancellation).ConfigureAwait(false)).Try(out var holder, out var refusal))
                return refusal;
            if (holder is { } other)
                state = state with { Names = state.Names.SetItem(name, other) };
        }
        return Agreeable.Find(state, terms, inForce, now).ToImmutableArray();
    }

    private async Task<Answer<Offer>> OfferAsync(KnownOffer known) =>
        (await ledger.OfferAsync(known.Id, cancellation).ConfigureAwait(false)).Try(out var view, out var refusal)
            ? Read(view, OutlookContext.Default.OfferAnswer, a => new Offer(known.Id, known.Terms, a.Offer.Withdrawn))
            : refusal;

    private async Task<Answer<Node>> NodeAsync(KnownNode known) =>
        (await ledger.NodeAsync(known.Id, cancellation).ConfigureAwait(false)).Try(out var view, out var refusal)
            ? Read(view, OutlookContext.Default.NodeAnswer, a => new Node(known.Id, known.Farm, known.Joined.Key, known.Joined.Invite, known.Joined.Hardware)
            {
                Report = a.Node.Offered is { } offered ? new ReportNode(offered.Capacity, Capacity.None, a.Node.Kinds, known.Joined.Hardware) { Domain = a.Node.Domain } : null,
                Held = a.Node.Held.Capacity,
                Retired = a.Node.Retired,
                DrainedByItself = a.Node.Drains,
            })
            : refusal;

    private async Task<Answer<ImmutableArray<FarmAddress>>> AddressesAsync(FarmId farm) =>
        (await ledger.FarmAsync(farm, cancellation).ConfigureAwait(false)).Try(out var view, out var refusal)
            ? Read(view, OutlookContext.Default.FarmAnswer, a => a.Farm.Addresses.Select(t => t is not null && FarmAddress.TryParse(t, out var one) ? one! : throw new JsonException()).ToImmutableArray())
            : refusal;

    private static Answer<TThing> Read<TView, TThing>(LedgerView view, System.Text.Json.Serialization.Metadata.JsonTypeInfo<TView> form, Func<TView, TThing> make) where TView : class
    {
        try
        {
            return make(view.Body.Deserialize(form) ?? throw new JsonException());
        }
        catch (JsonException)
        {
            return new Answer<TThing>.Disproved(new Refusal(RefusalCode.Malformed, $"The ledger's answer is not {typeof(TView).Name[..^6].ToLowerInvariant()} as it stands.", "Check that the address is a Grid ledger's."));
        }
    }

    internal sealed record OfferAnswer(OfferSaid Offer);

    internal sealed record OfferSaid(bool Withdrawn);

    internal sealed record NodeAnswer(NodeSaid Node);

    internal sealed record NodeSaid(bool Retired, ImmutableArray<string> Kinds, CapacitySaid Held, CapacitySaid? Offered = null, string? Drains = null, string? Domain = null);

    internal sealed record CapacitySaid(long Cpu, long Memory, long Ssd, long Hdd, int Ipv4)
    {
        // A hundred times what a node may report: sums of it do not overflow.
        private const long Most = 100_000_000_000_000_000;

        [JsonIgnore]
        public Capacity Capacity => new[] { Cpu, Memory, Ssd, Hdd, Ipv4 }.All(v => v is >= 0 and <= Most)
            ? new(new MilliCores(Cpu), new Bytes(Memory), new Bytes(Ssd), new Bytes(Hdd), Ipv4)
            : throw new JsonException("No node has as much.");
    }

    internal sealed record FarmAnswer(FarmSaid Farm);

    internal sealed record FarmSaid(ImmutableArray<string> Addresses);
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(Outlook.OfferAnswer))]
[JsonSerializable(typeof(Outlook.NodeAnswer))]
[JsonSerializable(typeof(Outlook.FarmAnswer))]
internal sealed partial class OutlookContext : JsonSerializerContext;
