using Grid.Ledger.Sequencing;
using Grid.Logs;
using Grid.Statements;
using Grid.Units;

namespace Grid.Api.Endpoints;

/// <summary>What workloads wrote, sealed, on its way from a node to its user. Nodes hear of requests where they hear of agreements.</summary>
internal sealed class WorkloadLogEndpoints(Sequencer sequencer, LogRelay relay)
{
    private const string Cbor = "application/cbor";

    public void Map(RouteGroupBuilder v1)
    {
        v1.MapPost("/logs", (Delegate)AskAsync).Accepts<byte[]>(Cbor).Produces<byte[]>(StatusCodes.Status200OK, Cbor)
            .WithSummary("Ask a node for what a workload wrote; waits for its sealed answer.");
        v1.MapPost("/logs/{request}", (Delegate)AnswerAsync).Accepts<byte[]>(Cbor).Produces(StatusCodes.Status204NoContent)
            .WithSummary("A node's answer to a request.");
    }

    private async Task<IResult> AskAsync(HttpContext context)
    {
        var bytes = await Requests.BodyAsync(context, "A request for a log", Cbor, LogRequest.MaximumSize);
        SignedLogRequest request;
        try
        {
            request = LogRequest.Decode(bytes);
        }
        catch (StatementFormatException e)
        {
            return new Problem(e.ToRefusal());
        }
        var (answer, refusal) = await relay.AskAsync(request, bytes, sequencer.Current.State, context.RequestAborted);
        return refusal is not null ? new Problem(refusal) : TypedResults.Bytes(answer, Cbor);
    }

    private async Task<IResult> AnswerAsync(string request, HttpContext context)
    {
        if (request.Length != 2 * Digest.Size || !request.All(char.IsAsciiHexDigit))
            throw RequestFormatException.Malformed("A request is named by its hash.");
        var bytes = await Requests.BodyAsync(context, "An answer", Cbor, LogAnswer.MaximumSize);
        return relay.Answer(Digest.ParseHex(request), bytes, sequencer.Current.State) is { } refusal ? new Problem(refusal) : TypedResults.NoContent();
    }
}
