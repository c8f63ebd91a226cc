using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Api;

public sealed record FarmPartView(string Farm, string Offer, ImmutableArray<string> Nodes, string Rate);

/// <param name="Notice">seconds</param>
public sealed record TermView(DateTimeOffset? Start, DateTimeOffset? End, long Notice, DateTimeOffset AnswerBy, DateTimeOffset ConvergeBy);

public sealed record MoneyView(CurrencyView Currency, string RatePerSecond);

/// <param name="Node">null for kinds that are on no single node</param>
/// <param name="Flist">null for kinds without one</param>
/// <param name="Networks">its address in each network</param>
public sealed record WorkloadView(string Name, string? Node, string Kind, CapacityView Demand, string? Flist, ImmutableSortedDictionary<string, string> Networks)
{
    internal static WorkloadView Of(Workload workload)
    {
        var placed = workload as Placed;
        return new WorkloadView(workload.Name, placed?.Node.ToString(), workload.Kind, CapacityView.Of(placed?.Demand ?? Capacity.None), (workload as Runnable)?.Flist.ToString(),
            (placed?.Networks ?? []).ToImmutableSortedDictionary(a => a.Network, a => a.Address.ToString(), StringComparer.Ordinal));
    }
}

/// <param name="Id">the statement that carries it</param>
public sealed record VersionView(
    string Id, int Number, string Note, ImmutableArray<FarmPartView> Farms, TermView Term, MoneyView Money, ImmutableArray<WorkloadView> Workloads)
{
    internal static VersionView Of(Grid.Agreements.Version version)
    {
        var (terms, term) = (version.Terms, version.Terms.Term);
        return new VersionView(version.Id.ToString(), terms.Version, terms.Note,
            [.. terms.Farms.Select(f => new FarmPartView(f.Farm.ToString(), f.Offer.ToString(), [.. f.Nodes.Select(n => n.ToString())],
                terms.Money.Parts.First(p => p.Farm == f.Farm).Rate.ToString()))],
            new TermView(term.Start, term.End, (long)term.Notice.TotalSeconds, term.AnswerBy, term.ConvergeBy),
            new MoneyView(CurrencyView.Of(terms.Money.Currency), terms.Money.RatePerSecond.ToString()),
            [.. terms.Workloads.Select(w => WorkloadView.Of(w))]);
    }
}

/// <param name="Status">proposed or agreed</param>
/// <param name="Answered">the farms that signed it, or the nodes that are ready for it</param>
public sealed record AmendmentView(string Status, VersionView Version, ImmutableArray<string> Answered)
{
    internal static AmendmentView Of(Amendment amendment) => amendment switch
    {
        Amendment.Proposed p => new AmendmentView("proposed", VersionView.Of(p.Version), [.. p.Signed.Select(f => f.ToString()).Order()]),
        Amendment.Agreed a => new AmendmentView("agreed", VersionView.Of(a.Version), [.. a.ReadyNodes.Select(n => n.ToString()).Order()]),
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}

/// <param name="By">the farm of a farmer's end, the farm or node of a refusal</param>
public sealed record OutcomeView(string Code, string? By, string? Detail, DateTimeOffset? At);

/// <param name="Version">in force, or on its way to be the first</param>
/// <param name="Due">when the ledger looks at it again by itself</param>
/// <param name="Answered">proposed: the farms that signed; agreed: the nodes that are ready; ready: the nodes whose workloads all run</param>
/// <param name="Outcome">why and when it ended or will end</param>
/// <param name="Changed">the index of the newest entry that changed its state</param>
public sealed record AgreementView(
    string Id, string Status, string User, VersionView Version, AmendmentView? Amendment, DateTimeOffset? Due, DateTimeOffset? RunningSince,
    ImmutableArray<string> Answered, OutcomeView? Outcome, long Changed)
{
    internal static AgreementView Of(Agreement a, long changed) => new(
        a.Id.ToString(), a.Status, a.User.ToString(), VersionView.Of(a.Version), a.Next is { } next ? AmendmentView.Of(next) : null, a.Due,
        (a as Agreement.Running)?.Since, AnsweredIn(a), OutcomeOf(a), changed);

    private static ImmutableArray<string> AnsweredIn(Agreement agreement) => agreement switch
    {
        Agreement.Proposed p => [.. p.Signed.Select(f => f.ToString()).Order()],
        Agreement.Agreed a => [.. a.ReadyNodes.Select(n => n.ToString()).Order()],
        Agreement.Ready r => [.. r.RunningNodes.Select(n => n.ToString()).Order()],
        _ => [],
    };

    private static OutcomeView? OutcomeOf(Agreement agreement) => agreement switch
    {
        Agreement.Ending e => Of(e.Reason, e.At),
        Agreement.Ended e => Of(e.Reason, e.At),
        Agreement.Lapsed l => new OutcomeView("lapsed", null, null, l.At),
        Agreement.Refused r => new OutcomeView(r.Code, Name(agreement, r.By), r.Detail, r.At),
        Agreement.Withdrawn w => new OutcomeView("withdrawn", null, null, w.At),
        _ => null,
    };

    private static OutcomeView Of(EndReason reason, DateTimeOffset at) => new(reason.Code, reason switch
    {
        EndReason.FarmerNotice f => f.Farm.ToString(),
        EndReason.FarmerBreach f => f.Farm.ToString(),
        _ => null,
    }, null, at);

    private static string Name(Agreement agreement, Digest by) =>
        agreement.EveryPart.Any(p => p.Farm.Value == by) ? new FarmId(by).ToString() : new NodeId(by).ToString();
}
