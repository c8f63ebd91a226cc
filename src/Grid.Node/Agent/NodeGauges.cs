using System.Diagnostics.Metrics;
using Grid.Flists.Cache;

namespace Grid.Node.Agent;

/// <summary>How the node stands, read when a collector asks and at no other time.</summary>
internal static class NodeGauges
{
    public static void Offer(StatusFile status, LedgerContact contact, Receipts receipts, string cache)
    {
        var meter = NodeTrace.Meter;
        meter.CreateObservableUpDownCounter("grid.node.workloads", () => Workloads(status), "{workload}", "Workloads that are agreed here, by kind and by what is there of them.");
        meter.CreateObservableGauge("grid.node.workload.attempts", () => Attempts(status), "{attempt}", "Failures since a workload last stayed up; none is listed that has none.");
        meter.CreateObservableGauge("grid.node.ledger.silence", () => Silence(contact), "s", "Time since the ledger last proved itself.");
        meter.CreateObservableUpDownCounter("grid.node.receipts.waiting", () => receipts.Waits, "{receipt}", "Receipts that the ledger has not taken yet.");
        meter.CreateObservableUpDownCounter("grid.node.flist.cache.size", () => FlistCache.SizeOf(cache), "By", "What of flists is kept here.");
    }

    private static IEnumerable<Measurement<int>> Workloads(StatusFile status) => (status.Last?.Workloads ?? []).GroupBy(w => (w.Kind, w.Phase))
        .Select(g => new Measurement<int>(g.Count(), new(TraceTag.WorkloadKind, g.Key.Kind), new(TraceTag.WorkloadState, g.Key.Phase)));

    private static IEnumerable<Measurement<int>> Attempts(StatusFile status) => (status.Last?.Workloads ?? []).Where(w => w.Failures > 0)
        .Select(w => new Measurement<int>(w.Failures, new(TraceTag.Agreement, w.Agreement), new(TraceTag.Workload, w.Name)));

    // Of a ledger that was never heard there is no number.
    private static IEnumerable<Measurement<double>> Silence(LedgerContact contact) =>
        contact.Silence is var silence && silence < TimeSpan.MaxValue ? [new Measurement<double>(silence.TotalSeconds)] : [];
}
