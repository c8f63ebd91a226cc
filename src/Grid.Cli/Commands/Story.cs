using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Cli.Output;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Commands;

/// <summary>One thing that happened, as the proven entries tell it.</summary>
internal sealed record Happening(long Index, DateTimeOffset Time, string What, string Who, string Detail)
{
    public JsonObject Document() => new() { ["index"] = Index, ["time"] = Render.Time(Time), ["what"] = What, ["who"] = Who, ["detail"] = Detail };

    public ImmutableArray<Cell> Row() => [$"{Index}", Render.Time(Time), new Cell(What, What.EndsWith("refused", StringComparison.Ordinal) || What.EndsWith("lapsed", StringComparison.Ordinal) ? Ink.Bad : Ink.Plain), Who, Detail];
}

/// <summary>Retells a verified bundle. Nothing here asks the ledger anything.</summary>
internal static class Story
{
    public static readonly ImmutableArray<string> Columns = ["entry", "time", "what", "who", "detail"];

    /// <summary>What befell the agreement itself, in order.</summary>
    public static IEnumerable<Happening> Of(VerifiedAgreement verified) => verified.History.SelectMany(e => Of(verified, e));

    /// <summary>What befell one workload: the agreement's steps and every receipt's word on it.</summary>
    public static IEnumerable<Happening> Of(VerifiedAgreement verified, string workload) => verified.History.SelectMany(e => e.Statement.Payload.Body is Receipt receipt && receipt.Agreement == verified.Agreement.Id
        ? receipt.Workloads.Where(w => w.Name == workload).Select(w => new Happening(e.Index, e.Time, $"workload {WorkloadReport.NameOf(w.State)}", Who(verified, e), Say(w)))
            .Concat(Of(verified, e).Where(h => h.What != "agreement.receipted"))
        : Of(verified, e));

    /// <summary>The newest word on each workload, and when it was said.</summary>
    public static IReadOnlyDictionary<string, (WorkloadReport Report, DateTimeOffset At)> Latest(VerifiedAgreement verified)
    {
        var latest = new Dictionary<string, (WorkloadReport, DateTimeOffset)>();
        foreach (var entry in verified.History)
        {
            if (entry.Statement.Payload.Body is Receipt receipt && receipt.Agreement == verified.Agreement.Id)
            {
                foreach (var report in receipt.Workloads)
                    latest[report.Name] = (report, receipt.To);
            }
        }
        return latest;
    }

    /// <summary>What its node's receipts say that a workload used, all together.</summary>
    public static Consumption Used(VerifiedAgreement verified, string workload) => verified.History.Select(e => e.Statement.Payload.Body).OfType<Receipt>()
        .Where(r => r.Agreement == verified.Agreement.Id).SelectMany(r => r.Workloads).Where(w => w.Name == workload)
        .Aggregate(Consumption.None, (sum, w) => sum.Then(w.Used));

    private static IEnumerable<Happening> Of(VerifiedAgreement verified, VerifiedEntry entry)
    {
        foreach (var happened in entry.Events.OfType<AgreementEvent>().Where(e => e.Agreement == verified.Agreement.Id))
            yield return new Happening(entry.Index, entry.Time, happened.Name, Who(verified, entry, happened), Say(happened, entry));
    }

    // A farm signs what the user said first: the statement is the user's, the signatures that came with this entry are the farm's.
    private static string Who(VerifiedAgreement verified, VerifiedEntry entry, AgreementEvent happened) => happened switch
    {
        AgreementEvent.Countersigned or AgreementEvent.Agreed or AgreementEvent.AmendmentCountersigned or AgreementEvent.AmendmentAgreed when Signers(verified, entry) is { Length: > 0 } farms =>
            string.Join(", ", farms),
        _ => Who(verified, entry),
    };

    private static string[] Signers(VerifiedAgreement verified, VerifiedEntry entry) =>
    [
        .. entry.Events.OfType<AgreementEvent>().Where(e => e.Agreement == verified.Agreement.Id)
            .SelectMany(e => e switch { AgreementEvent.Countersigned c => c.Farms, AgreementEvent.AmendmentCountersigned c => c.Farms, _ => [] })
            .Select(f => verified.State.Farms.TryGetValue(f, out var farm) ? $"farm {farm.Name}" : $"{f}"),
    ];

    private static string Who(VerifiedAgreement verified, VerifiedEntry entry)
    {
        if (entry.Statement.Payload.By is not { } by)
            return "ledger";
        if (verified.State.Accounts.ContainsKey(new AccountId(by)))
            return verified.State.Farms.Values.FirstOrDefault(f => f.Account.Value == by && verified.Agreement.User.Value != by) is { } farm ? $"farm {farm.Name}" : $"{new AccountId(by)}";
        return $"{new NodeId(by)}";
    }

    private static string Say(AgreementEvent happened, VerifiedEntry entry) => happened switch
    {
        AgreementEvent.Proposed e => $"version {e.Version.Terms.Version}, {e.Version.Terms.Workloads.Length} workloads",
        AgreementEvent.AmendmentProposed e => $"version {e.Version.Terms.Version}, {e.Version.Terms.Workloads.Length} workloads",
        AgreementEvent.Countersigned e => $"by {string.Join(", ", e.Farms)}",
        AgreementEvent.AmendmentCountersigned e => $"by {string.Join(", ", e.Farms)}",
        AgreementEvent.NodeReady e => $"{e.Node}",
        AgreementEvent.AmendmentNodeReady e => $"{e.Node}",
        AgreementEvent.NodeRunning e => $"{e.Node}",
        AgreementEvent.Refused e => $"{e.Code}: {e.Detail}",
        AgreementEvent.AmendmentDropped e => $"{e.Why}: {e.Detail}",
        AgreementEvent.EndAnnounced e => $"{e.Reason.Code}, at {Render.Time(e.At)}",
        AgreementEvent.Ended e => e.Reason.Code,
        AgreementEvent.Receipted when entry.Statement.Payload.Body is Receipt r =>
            $"{Render.Time(r.From)} to {Render.Time(r.To)}: {string.Join(", ", r.Workloads.Select(w => $"{w.Name} {WorkloadReport.NameOf(w.State)}"))}",
        _ => "",
    };

    private static string Say(WorkloadReport w) => string.Join(", ", new[]
    {
        $"start {w.Generation}", w.Restarts > 0 ? $"{w.Restarts} restarts" : null, w.ExitCode is { } code ? $"exit code {code}" : null,
        w.OomKilled ? "ended for want of memory" : null, w.Reason,
    }.Where(t => t is not null));
}
