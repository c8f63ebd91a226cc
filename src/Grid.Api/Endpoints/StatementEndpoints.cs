using System.Diagnostics;
using Grid.Ledger.Sequencing;
using Grid.Statements;
using Grid.Units;
using Microsoft.AspNetCore.Mvc;

namespace Grid.Api.Endpoints;

/// <summary>The one way to change anything, and drafts on their way there.</summary>
internal sealed class StatementEndpoints(Sequencer sequencer, Drafts drafts)
{
    private const string Cose = "application/cose";

    public void Map(RouteGroupBuilder v1)
    {
        v1.MapPost("/statements", (Delegate)PostAsync).Accepts<byte[]>(Cose).Produces<RecordedDocument>().WithSummary("Submit a signed statement; the answer proves that it is in the log.");
        v1.MapGet("/statements/{id}", GetAsync).Produces<RecordedDocument>().WithSummary("A recorded statement with its proof.");
        v1.MapPost("/drafts", (Delegate)LayAsync).Accepts<byte[]>(Cose).Produces<DraftedDocument>(StatusCodes.Status202Accepted).WithSummary("Lay down a half-signed statement for its other signers.");
        v1.MapGet("/drafts", Draft).WithMetadata(new Queries("for")).Produces<DraftsDocument>().WithSummary("Half-signed statements in which an account has a say.");
    }

    private async Task<IResult> PostAsync(HttpContext context)
    {
        var bytes = await ReadAsync(context);
        return await sequencer.SubmitAsync(bytes, context.RequestAborted) switch
        {
            Answer.Recorded r => TypedResults.Ok(ToDocument(r.Recording, r.Known)),
            Answer.Refused r => new Problem(r.Refusal),
            Answer.Busy => new Problem(new Refusal(ApiCode.Busy, "More statements are waiting than the ledger takes on.", "Send it again in a moment.")),
            Answer.Unknown u => new Problem(new Refusal(ApiCode.UnknownOutcome, u.Detail, "Send the same bytes again: it is recorded once.")),
            var other => throw new UnreachableException(other.ToString()),
        };
    }

    private async Task<IResult> GetAsync(string id, CancellationToken stop)
    {
        var statement = Requests.Id<StatementId>(id);
        return await sequencer.FindAsync(statement, stop) is { } recording
            ? TypedResults.Ok(ToDocument(recording, known: true))
            : new Problem(new Refusal(RefusalCode.NotFound, $"The statement {statement} is not in this ledger."));
    }

    private async Task<IResult> LayAsync(HttpContext context)
    {
        var bytes = await ReadAsync(context);
        Statement statement;
        try
        {
            statement = Statement.Decode(bytes);
        }
        catch (StatementFormatException e)
        {
            return new Problem(e.ToRefusal());
        }
        return (statement.VerifySignatures() ?? drafts.Lay(statement, sequencer.Current.State)) is { } refusal
            ? new Problem(refusal)
            : TypedResults.Accepted((string?)null, new DraftedDocument(statement.Id.ToString()));
    }

    private IResult Draft([FromQuery(Name = "for")] string? party)
    {
        var account = party is not null
            ? Requests.Id<AccountId>(party)
            : throw new RequestFormatException(new Refusal(RefusalCode.MissingField, "Whose drafts? 'for' is missing.", "Add ?for=acct1…"));
        var snapshot = sequencer.Current;
        return TypedResults.Ok(new DraftsDocument(snapshot.Size - 1,
            [.. drafts.For(account, snapshot.State).Select(s => new DraftDocument(s.Id.ToString(), s.Bytes))]));
    }

    private static RecordedDocument ToDocument(Recording r, bool known) => new(
        r.Id.ToString(), r.Index, r.Time, known, r.Entry, r.Size, [.. r.Path.Select(p => p.ToString())], r.Checkpoint, r.Events);

    private static Task<ReadOnlyMemory<byte>> ReadAsync(HttpContext context) => Requests.BodyAsync(context, "A statement", Cose, Statement.MaximumSize);
}
