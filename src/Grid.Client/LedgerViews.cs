using System.Globalization;
using System.Net;
using System.Text.Json;
using Grid.Client.Http;
using Grid.Units;

namespace Grid.Client;

public sealed partial class LedgerClient
{
    /// <summary>Items of a list, however many pages they come in.</summary>
    public const int MaximumListed = 100_000;

    private const int MaximumPage = 1000;
    private const int MaximumPages = 10_000;

    public Task<Answer<LedgerView>> AccountAsync(AccountId id, CancellationToken cancellation) => ViewAsync($"v1/accounts/{id}", cancellation);

    /// <param name="limit">at most so many; null for all, to the last page</param>
    public Task<Answer<LedgerView>> FarmsAsync(int? limit, CancellationToken cancellation) => ListAsync("v1/farms", [], limit, cancellation);

    public Task<Answer<LedgerView>> FarmAsync(FarmId id, CancellationToken cancellation) => ViewAsync($"v1/farms/{id}", cancellation);

    /// <inheritdoc cref="FarmsAsync"/>
    public Task<Answer<LedgerView>> NodesAsync(int? limit, CancellationToken cancellation) => ListAsync("v1/nodes", [], limit, cancellation);

    public Task<Answer<LedgerView>> NodeAsync(NodeId id, CancellationToken cancellation) => ViewAsync($"v1/nodes/{id}", cancellation);

    /// <inheritdoc cref="FarmsAsync"/>
    public Task<Answer<LedgerView>> OffersAsync(int? limit, CancellationToken cancellation) => ListAsync("v1/offers", [], limit, cancellation);

    public Task<Answer<LedgerView>> OfferAsync(OfferId id, CancellationToken cancellation) => ViewAsync($"v1/offers/{id}", cancellation);

    /// <summary>Which agreement the ledger says holds a gateway's hostname or a public address; null when none does.</summary>
    public async Task<Answer<AgreementId?>> HolderAsync(string name, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"v1/names/{Uri.EscapeDataString(name)}");
        var reply = await SendAsync(request, MaximumBody, cancellation).ConfigureAwait(false);
        if (reply.Status == HttpStatusCode.NotFound && reply.Refusal is { Code: RefusalCode.NotFound })
            return (AgreementId?)null;
        var answer = Read(reply, WireContext.Default.NameDocument, "who holds a name");
        if (!answer.Try(out var document, out _))
            return answer.As(_ => (AgreementId?)null);
        return document.Name.Name == name && Id.TryParse<AgreementId>(document.Name.Agreement, out var holder)
            ? holder
            : new Answer<AgreementId?>.Disproved(reply.Malformed($"who holds {name}"));
    }

    public Task<Answer<LedgerView>> AgreementAsync(AgreementId id, CancellationToken cancellation) => ViewAsync($"v1/agreements/{id}", cancellation);

    public Task<Answer<LedgerView>> AgreementsAsync(AgreementQuery query, CancellationToken cancellation) => ListAsync("v1/agreements",
        [("user", query.User?.ToString()), ("farm", query.Farm?.ToString()), ("node", query.Node?.ToString()), ("status", query.Status)], query.Limit, cancellation);

    /// <summary>One list out of all its pages. Each page is true at its own index; the list names the first, which all others are newer than.</summary>
    private async Task<Answer<LedgerView>> ListAsync(string path, (string Name, string? Value)[] filters, int? limit, CancellationToken cancellation)
    {
        var (items, cursors, first) = (new List<JsonElement>(), new HashSet<string>(), (LedgerView?)null);
        for (string? cursor = null; ;)
        {
            var most = int.Min(MaximumPage, (limit ?? MaximumListed) - items.Count);
            (string Name, string? Value)[] query = [.. filters, ("cursor", cursor), ("limit", most.ToString(CultureInfo.InvariantCulture))];
            var text = string.Join('&', query.Where(f => f.Value is not null).Select(f => $"{f.Name}={Uri.EscapeDataString(f.Value!)}"));
            var answer = await ViewAsync($"{path}?{text}", cancellation).ConfigureAwait(false);
            if (!answer.Try(out var page, out _))
                return answer;
            if (!page.Body.TryGetProperty("items", out var found) || found.ValueKind != JsonValueKind.Array || found.GetArrayLength() > most)
                return Endless("is not one");
            first ??= page;
            items.AddRange(found.EnumerateArray());
            cursor = page.Body.TryGetProperty("next", out var next) && next.ValueKind == JsonValueKind.String ? next.GetString() : null;
            if (cursor is null || items.Count == limit)
                return new LedgerView(first.Index, Whole(first.Index, items, cursor));
            // A server that gives no end is not asked without end.
            if (!cursors.Add(cursor) || cursors.Count > MaximumPages)
                return Endless("has no end");
            if (items.Count == MaximumListed)
                return new Refusal(RefusalCode.TooLarge, $"There are more than {MaximumListed}.", "Ask for less with --limit, or filter.");
        }

        Answer<LedgerView> Endless(string what) => new Answer<LedgerView>.Disproved(new Refusal(RefusalCode.Malformed, $"What the ledger gives as the list {path} {what}."));
    }

    private static JsonElement Whole(long index, List<JsonElement> items, string? next)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("index", index);
            json.WriteStartArray("items");
            foreach (var item in items)
                item.WriteTo(json);
            json.WriteEndArray();
            if (next is not null)
                json.WriteString("next", next);
            json.WriteEndObject();
        }
        using var document = JsonDocument.Parse(buffer.ToArray());
        return document.RootElement.Clone();
    }

    private async Task<Answer<LedgerView>> ViewAsync(string path, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        var reply = await SendAsync(request, MaximumBody, cancellation).ConfigureAwait(false);
        if ((int)reply.Status is < 200 or > 299)
            return reply.Refusal is { } refusal ? refusal : new Answer<LedgerView>.Disproved(reply.Malformed("a view"));
        return reply.Element is { } body && body.TryGetProperty("index", out var at) && at.ValueKind == JsonValueKind.Number && at.TryGetInt64(out var index)
            ? new LedgerView(index, body)
            : new Answer<LedgerView>.Disproved(reply.Malformed("a view with the index it is true at"));
    }
}
