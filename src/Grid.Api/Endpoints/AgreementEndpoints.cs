using System.Collections.Frozen;
using System.Text.Json;
using Grid.Agreements;
using Grid.Ledger.Sequencing;
using Grid.Units;

namespace Grid.Api.Endpoints;

/// <summary>Agreements as they stand, what proves them, and what a node has to know of.</summary>
internal sealed class AgreementEndpoints(Sequencer sequencer, LogRelay logs, TimeProvider clock, CancellationToken ending)
{
    private const int LongestWait = 60;

    private static readonly FrozenSet<string> Statuses =
        new[] { "proposed", "agreed", "ready", "running", "ending", "ended", "lapsed", "refused", "withdrawn" }.ToFrozenSet();

    public void Map(RouteGroupBuilder v1)
    {
        v1.MapGet("/agreements", List).WithMetadata(new Queries("user", "farm", "node", "status", "cursor", "limit")).Produces<PageDocument<AgreementView>>()
            .WithSummary("Agreements in the order of their proposal, filtered.");
        v1.MapGet("/agreements/{id}", One).Produces<AgreementDocument>();
        v1.MapGet("/agreements/{id}/bundle", BundleAsync).WithMetadata(new Queries("receipts")).Produces(StatusCodes.Status200OK, contentType: "application/json")
            .WithSummary("Everything that proves an agreement, to be verified offline with the ledger's key alone.")
            .WithDescription("With 'receipts=false' the entries of receipts that changed nothing are left out. It proves the same agreement and does not grow while the agreement runs; what only receipts say is not in it.");
        v1.MapGet("/nodes/{id}/agreements", OfNodeAsync).WithMetadata(new Queries("after", "wait", "asked")).Produces<NodeAgreementsDocument>()
            .WithSummary("A node's agreements whose state changed after an entry; waits for one up to 'wait' seconds.")
            .WithDescription("With 'asked', the number that came last, also the requests for logs that came since, as soon as there is one.");
    }

    private IResult List(string? user, string? farm, string? node, string? status, string? cursor, string? limit)
    {
        var (byUser, byFarm, byNode) = (Requests.OptionalId<AccountId>(user), Requests.OptionalId<FarmId>(farm), Requests.OptionalId<NodeId>(node));
        if (status is not null && !Statuses.Contains(status))
            throw RequestFormatException.Malformed("There is no such status.", $"One of {string.Join(", ", Statuses.Order(StringComparer.Ordinal))}.");
        var snapshot = sequencer.Current;
        return TypedResults.Ok(Page.Of(snapshot, snapshot.Histories.Agreements, cursor, limit, id =>
        {
            var a = snapshot.State.Agreements[id];
            return (byUser is null || a.User == byUser) && (status is null || a.Status == status)
                && (byFarm is null || a.EveryPart.Any(p => p.Farm == byFarm)) && (byNode is null || a.EveryPart.Any(p => p.Nodes.Contains(byNode.Value)))
                ? AgreementView.Of(a, snapshot.Histories.ChangedAt(id))
                : null;
        }));
    }

    private IResult One(string id)
    {
        var agreement = Requests.Id<AgreementId>(id);
        var snapshot = sequencer.Current;
        return snapshot.State.Agreements.TryGetValue(agreement, out var found)
            ? TypedResults.Ok(new AgreementDocument(snapshot.Size - 1, AgreementView.Of(found, snapshot.Histories.ChangedAt(agreement)), snapshot.Histories.Of(agreement.Value)!.Index))
            : Missing(agreement);
    }

    private async Task<IResult> BundleAsync(string id, string? receipts, HttpContext context)
    {
        var agreement = Requests.Id<AgreementId>(id);
        var all = Requests.Flag("receipts", receipts, absent: true);
        var snapshot = sequencer.Current;
        if (!snapshot.State.Agreements.ContainsKey(agreement))
            return Missing(agreement);
        var indexes = snapshot.State.ProofOf(agreement).SelectMany(subject => snapshot.Histories.Of(subject) is { } h ? all ? h.Indexes : h.Changes : [])
            .Distinct().Take(Bundle.MaximumEntries + 1).Order().ToArray();
        if (indexes.Length > Bundle.MaximumEntries)
            return new Problem(new Refusal(RefusalCode.TooLarge, $"The proof of {agreement} has more than {Bundle.MaximumEntries} entries.",
                all ? "Ask with 'receipts=false'." : "Verify it with 'grid ledger audit'."));
        context.Response.ContentType = "application/json";
        await WriteAsync(context, agreement, snapshot, indexes);
        return TypedResults.Empty;
    }

    // The same text as BundleJson.Format makes, entry by entry: a long history is never held whole.
    private async Task WriteAsync(HttpContext context, AgreementId agreement, Snapshot snapshot, long[] indexes)
    {
        var stop = context.RequestAborted;
        await using var json = new Utf8JsonWriter(context.Response.BodyWriter);
        json.WriteStartObject();
        json.WriteNumber("version", BundleJson.Version);
        json.WriteString("origin", sequencer.Origin);
        json.WriteString("agreement", agreement.ToString());
        json.WriteString("checkpoint", snapshot.Checkpoint);
        json.WriteStartArray("entries");
        foreach (var index in indexes)
        {
            var entry = await sequencer.Entries.EntryAsync(index, stop);
            json.WriteStartObject();
            json.WriteNumber("index", index);
            json.WriteBase64String("entry", entry.Span);
            json.WriteStartArray("path");
            foreach (var hash in snapshot.Tree.InclusionPath(index, snapshot.Size))
                json.WriteStringValue(hash.ToString());
            json.WriteEndArray();
            json.WriteEndObject();
            if (json.BytesPending > 1 << 16)
            {
                await json.FlushAsync(stop);
                await context.Response.BodyWriter.FlushAsync(stop);
            }
        }
        json.WriteEndArray();
        json.WriteEndObject();
        await json.FlushAsync(stop);
        await context.Response.BodyWriter.FlushAsync(stop);
    }

    private async Task<IResult> OfNodeAsync(string id, string? after, string? wait, string? asked, CancellationToken stop)
    {
        var node = Requests.Id<NodeId>(id);
        var last = Requests.Number("after", after, -1, long.MaxValue, -1);
        long? heard = asked is null ? null : Requests.Number("asked", asked, 0, long.MaxValue, 0);
        var patience = TimeSpan.FromSeconds(Requests.Number("wait", wait, 0, LongestWait, 0));
        var snapshot = sequencer.Current;
        if (!snapshot.State.Nodes.ContainsKey(node))
            return new Problem(new Refusal(RefusalCode.NotFound, $"The node {node} is not in this ledger."));
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stop, ending);
        var started = clock.GetTimestamp();
        var asks = heard is null ? null : logs.NextAsync(node, heard.Value);
        while ((snapshot.Histories.OnNode.GetValueOrDefault(node)?.Index ?? -1) <= last && asks is not { IsCompleted: true }
            && patience - clock.GetElapsedTime(started) is var left && left > TimeSpan.Zero)
        {
            try
            {
                var next = snapshot.Next;
                await Task.WhenAny(next, asks ?? next).WaitAsync(left, clock, either.Token);
                if (next.IsCompleted)
                    snapshot = await next;
            }
            catch (Exception e) when (e is TimeoutException || (e is OperationCanceledException && !stop.IsCancellationRequested))
            {
                // Nothing new within the time, or the ledger is ending: what is known is the answer.
                break;
            }
        }
        var (newest, requests) = heard is null ? (0, []) : logs.For(node, heard.Value);
        return TypedResults.Ok(new NodeAgreementsDocument(snapshot.Size - 1,
        [
            .. (snapshot.Histories.OnNode.GetValueOrDefault(node)?.Since(last) ?? [])
                .Select(a => new NodeAgreementItem(a.Agreement.ToString(), a.Changed, snapshot.State.Agreements[a.Agreement].Status)),
        ], heard is null ? null : newest, requests.IsDefaultOrEmpty ? null : [.. requests]));
    }

    private static Problem Missing(AgreementId id) => new(new Refusal(RefusalCode.NotFound, $"The agreement {id} is not in this ledger."));
}
