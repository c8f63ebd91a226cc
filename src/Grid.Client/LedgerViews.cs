using System.Text.Json;
using Grid.Client.Http;
using Grid.Units;

namespace Grid.Client;

public sealed partial class LedgerClient
{
    public Task<Answer<LedgerView>> AccountAsync(AccountId id, CancellationToken cancellation) => ViewAsync($"v1/accounts/{id}", cancellation);

    public Task<Answer<LedgerView>> FarmsAsync(CancellationToken cancellation) => ViewAsync("v1/farms", cancellation);

    public Task<Answer<LedgerView>> FarmAsync(FarmId id, CancellationToken cancellation) => ViewAsync($"v1/farms/{id}", cancellation);

    public Task<Answer<LedgerView>> NodesAsync(CancellationToken cancellation) => ViewAsync("v1/nodes", cancellation);

    public Task<Answer<LedgerView>> NodeAsync(NodeId id, CancellationToken cancellation) => ViewAsync($"v1/nodes/{id}", cancellation);

    public Task<Answer<LedgerView>> OffersAsync(CancellationToken cancellation) => ViewAsync("v1/offers", cancellation);

    public Task<Answer<LedgerView>> OfferAsync(OfferId id, CancellationToken cancellation) => ViewAsync($"v1/offers/{id}", cancellation);

    public Task<Answer<LedgerView>> AgreementAsync(AgreementId id, CancellationToken cancellation) => ViewAsync($"v1/agreements/{id}", cancellation);

    public Task<Answer<LedgerView>> AgreementsAsync(AgreementQuery query, CancellationToken cancellation)
    {
        (string Name, string? Value)[] filters =
        [
            ("user", query.User?.ToString()), ("farm", query.Farm?.ToString()), ("node", query.Node?.ToString()), ("status", query.Status),
            ("cursor", query.Cursor), ("limit", query.Limit?.ToString(System.Globalization.CultureInfo.InvariantCulture)),
        ];
        var text = string.Join('&', filters.Where(f => f.Value is not null).Select(f => $"{f.Name}={Uri.EscapeDataString(f.Value!)}"));
        return ViewAsync(text.Length == 0 ? "v1/agreements" : $"v1/agreements?{text}", cancellation);
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
