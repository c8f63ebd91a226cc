using System.Diagnostics;
using Grid.Agreements;
using Grid.Statements;

namespace Grid.Ledger.Sequencing;

/// <summary>
/// A statement's way through the ledger as spans: submit, decide, commit. The loop serves many callers at once, so a statement takes its caller's
/// context with it, and each has its own part of a common batch.
/// </summary>
public static class LedgerTrace
{
    public const string Name = "grid.ledger";

    private static readonly ActivitySource Source = new(Name);

    internal static Activity? Submit() => Source.StartActivity("submit");

    internal static Activity? Decide(Submission submission) =>
        submission.Trace == default ? null : Source.StartActivity("decide", ActivityKind.Internal, submission.Trace).About(submission.Statement!);

    /// <summary>One for each entry of a batch whose caller is traced.</summary>
    internal static List<Activity>? Commit(Pending pending)
    {
        if (!Source.HasListeners())
            return null;
        var spans = new List<Activity>();
        foreach (var (submission, happened) in pending.Traced)
        {
            if (Source.StartActivity("commit", ActivityKind.Internal, submission.Trace) is { } span)
                spans.Add(span.SetTag(TraceTag.Index, happened.Entry.Index).About(submission.Statement!)!);
        }
        return spans;
    }

    internal static void Ended(this List<Activity>? spans, bool committed)
    {
        foreach (var span in Enumerable.Reverse(spans ?? []))
        {
            if (!committed)
                span.SetTag(TraceTag.Error, "store").SetStatus(ActivityStatusCode.Error);
            span.Dispose();
        }
    }

    internal static Activity? About(this Activity? span, Statement statement)
    {
        if (span is null)
            return null;
        if (statement.Agreement() is { } agreement)
            span.SetTag(TraceTag.Agreement, agreement.ToString());
        return span.SetTag(TraceTag.Statement, statement.Id.ToString()).SetTag(TraceTag.StatementKind, statement.Payload.Body.Kind);
    }

    internal static void Ended(this Activity? span, Answer answer)
    {
        if (span is null)
            return;
        span.SetTag(TraceTag.Outcome, answer switch
        {
            Answer.Recorded { Known: false } => "recorded",
            Answer.Recorded => "known",
            Answer.Refused refused => refused.Refusal.Code,
            Answer.Busy => "busy",
            _ => "unknown",
        });
        if (answer is Answer.Recorded recorded)
            span.SetTag(TraceTag.Index, recorded.Recording.Index);
        if (answer is Answer.Busy or Answer.Unknown)
            span.SetTag(TraceTag.Error, answer is Answer.Busy ? "busy" : "unknown").SetStatus(ActivityStatusCode.Error);
    }
}
