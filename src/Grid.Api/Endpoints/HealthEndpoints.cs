using System.Globalization;
using System.Text;
using Grid.Ledger.Sequencing;

namespace Grid.Api.Endpoints;

/// <summary>For whoever watches the process: alive, ready, and numbers in the Prometheus text format 0.0.4.</summary>
internal sealed class HealthEndpoints(Sequencer sequencer)
{
    public void Map(IEndpointRouteBuilder app)
    {
        app.MapGet("/healthz", () => TypedResults.Text("ok\n")).WithSummary("The process answers.");
        app.MapGet("/readyz", Ready).WithSummary("Statements can be recorded now.");
        app.MapGet("/metrics", () => TypedResults.Text(Metrics(), "text/plain; version=0.0.4", Encoding.UTF8)).WithSummary("Prometheus text format 0.0.4.");
    }

    private IResult Ready() => sequencer.IsReady
        ? TypedResults.Text("ok\n")
        : new Problem(new Refusal(ApiCode.Busy, "The store is away; the ledger waits for it."));

    private string Metrics()
    {
        var (m, snapshot) = (sequencer.Measurements, sequencer.Current);
        var text = new StringBuilder();
        Gauge(text, "grid_log_size", "Entries in the log.", snapshot.Size);
        Gauge(text, "grid_ready", "1 when statements can be recorded.", sequencer.IsReady ? 1 : 0);
        Gauge(text, "grid_agreements", "Agreements ever proposed.", snapshot.State.Agreements.Count);
        Gauge(text, "grid_deadlines", "Agreements that wait for a time.", snapshot.State.Deadlines.Count);
        Counter(text, "grid_statements_accepted_total", "Statements recorded since the start.", m.Accepted);
        Counter(text, "grid_statements_known_total", "Statements that were recorded before.", m.Known);
        Counter(text, "grid_statements_busy_total", "Statements turned away because too many wait.", m.Busy);
        Counter(text, "grid_statements_unknown_total", "Statements whose outcome the caller was not told.", m.Unknown);
        Counter(text, "grid_commits_failed_total", "Transactions that failed.", m.FailedCommits);
        Histogram(text, "grid_batch_entries", "Entries a transaction.", m.BatchEntries);
        Histogram(text, "grid_commit_seconds", "A transaction, sync to disk included.", m.CommitSeconds);
        Histogram(text, "grid_answer_seconds", "From arrival to the durable answer.", m.AnswerSeconds);
        Head(text, "grid_statements_refused_total", "Statements refused, by code.", "counter");
        foreach (var (code, count) in m.Refusals.OrderBy(r => r.Key, StringComparer.Ordinal))
            text.Append(CultureInfo.InvariantCulture, $"grid_statements_refused_total{{code=\"{code}\"}} {count}\n");
        return text.ToString();
    }

    private static void Histogram(StringBuilder text, string name, string help, Histogram histogram)
    {
        var (buckets, count, sum) = histogram.Read();
        Head(text, name, help, "histogram");
        foreach (var (bound, upTo) in buckets)
            text.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{le=\"{bound}\"}} {upTo}\n");
        text.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}\n");
    }

    private static void Gauge(StringBuilder text, string name, string help, long value) => One(text, name, help, "gauge", value);

    private static void Counter(StringBuilder text, string name, string help, long value) => One(text, name, help, "counter", value);

    private static void One(StringBuilder text, string name, string help, string kind, long value)
    {
        Head(text, name, help, kind);
        text.Append(CultureInfo.InvariantCulture, $"{name} {value}\n");
    }

    private static void Head(StringBuilder text, string name, string help, string kind) => text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} {kind}\n");
}
