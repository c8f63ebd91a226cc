using System.Diagnostics;
using Grid.Agreements;
using Grid.Statements;
using Grid.Units;

namespace Grid.Client;

/// <summary>What a client asked a ledger, as spans; its calls carry the trace along (W3C Trace Context), as HttpClient does by itself.</summary>
public static class ClientTrace
{
    public const string Name = "grid.client";

    private static readonly ActivitySource Source = new(Name);

    internal static Activity? Submit(Statement statement)
    {
        if (Begin("submit statement", statement.Agreement()) is not { } span)
            return null;
        return span.SetTag(TraceTag.Statement, statement.Id.ToString()).SetTag(TraceTag.StatementKind, statement.Payload.Body.Kind);
    }

    internal static Activity? Begin(string name, AgreementId? agreement)
    {
        var span = Source.StartActivity(name);
        if (agreement is { } id)
            span?.SetTag(TraceTag.Agreement, id.ToString());
        return span;
    }

    /// <summary>Says on the span how it ended.</summary>
    internal static Answer<T> On<T>(this Answer<T> answer, Activity? span)
    {
        span.Ended(answer.Try(out _, out var refusal) ? null : refusal, failed: answer is Answer<T>.Disproved);
        return answer;
    }

    /// <param name="failed">false: a no is an answer as good as a yes</param>
    public static void Ended(this Activity? span, Refusal? refusal, bool failed)
    {
        span?.SetTag(TraceTag.Outcome, refusal?.Code ?? "done");
        if (refusal is not null && failed)
            span?.SetTag(TraceTag.Error, refusal.Code).SetStatus(ActivityStatusCode.Error);
    }
}
