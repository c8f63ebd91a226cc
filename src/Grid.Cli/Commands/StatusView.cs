using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Cli.Output;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Commands;

/// <summary>How one agreement stands, told from its verified bundle.</summary>
internal static class StatusView
{
    private const string Draft = "draft", Signatures = "signatures";

    public static Outcome Of(VerifiedAgreement verified, string name, int code = Exit.Ok) => new Outcome.Done(Document(verified, name), Blocks(verified, name), code);

    public static JsonObject Document(VerifiedAgreement verified, string name)
    {
        var agreement = verified.Agreement;
        var latest = Story.Latest(verified);
        return new JsonObject
        {
            ["index"] = verified.Checkpoint.Size,
            ["name"] = name,
            ["agreement"] = agreement.Id.ToString(),
            ["status"] = agreement.Status,
            ["reason"] = Reason(agreement),
            ["version"] = agreement.Version.Terms.Version,
            ["versionId"] = agreement.Version.Id.ToString(),
            ["amendment"] = agreement.Next?.Version.Id.ToString(),
            ["waitsFor"] = Render.Texts(WaitsFor(verified)),
            ["due"] = Render.Time(agreement.Due),
            ["price"] = Render.Price(agreement.Version.Terms.Money.RatePerSecond, agreement.Version.Terms.Money.Currency),
            ["workloads"] = Render.Array(agreement.Version.Terms.Placed.Select(w =>
            {
                var (report, at) = latest.TryGetValue(w.Name, out var found) ? found : (null!, default);
                return (JsonNode?)new JsonObject
                {
                    ["name"] = w.Name,
                    ["kind"] = w.Kind,
                    ["node"] = w.Node.ToString(),
                    ["state"] = report is null ? "unknown" : WorkloadReport.NameOf(report.State),
                    ["reason"] = report?.Reason,
                    ["generation"] = report?.Generation,
                    ["restarts"] = report?.Restarts,
                    ["exitCode"] = report?.ExitCode,
                    ["oomKilled"] = report?.OomKilled,
                    ["flistRoot"] = report?.FlistRoot?.ToString(),
                    ["receiptTo"] = report is null ? null : Render.Time(at),
                };
            })),
        };
    }

    /// <summary>Of a draft that waits for signatures. Nothing of it is in the log, and nothing of it is agreed.</summary>
    public static JsonObject Document(Statement draft, string name)
    {
        var terms = (AgreementTerms)draft.Payload.Body;
        return new JsonObject
        {
            ["name"] = name,
            ["agreement"] = $"{draft.Agreement()}",
            ["status"] = Draft,
            ["version"] = terms.Version,
            ["versionId"] = draft.Id.ToString(),
            ["waitsFor"] = Render.Texts([Signatures]),
            ["due"] = Render.Time(draft.Payload.Until),
            ["price"] = Render.Price(terms.Money.RatePerSecond, terms.Money.Currency),
        };
    }

    /// <summary>The same in the list of all.</summary>
    public static ImmutableArray<Cell> Row(Statement draft, string name)
    {
        var terms = (AgreementTerms)draft.Payload.Body;
        return [name, new Cell(Draft, Ink.Notice), $"{terms.Version}", $"{terms.Workloads.Length}", $"{draft.Agreement()}", $"{Signatures} of {draft.Id} until {Render.Time(draft.Payload.Until)}"];
    }

    public static ImmutableArray<Block> Blocks(VerifiedAgreement verified, string name)
    {
        var agreement = verified.Agreement;
        var latest = Story.Latest(verified);
        var waits = WaitsFor(verified);
        var fields = ImmutableArray.CreateBuilder<(string, Cell)>();
        fields.Add(("agreement", name == agreement.Id.ToString() ? name : $"{name} ({agreement.Id})"));
        fields.Add(("status", new Cell(Reason(agreement) is { } reason ? $"{agreement.Status}: {reason}" : agreement.Status, Render.InkOf(agreement.Status))));
        fields.Add(("version", $"{agreement.Version.Terms.Version}{(agreement.Next is { } next ? $", amendment {next.Version.Terms.Version} on its way" : "")}"));
        if (!waits.IsEmpty)
            fields.Add(("waits for", string.Join(", ", waits)));
        fields.Add(("price", Render.PriceLine(agreement.Version.Terms.Money.RatePerSecond, agreement.Version.Terms.Money.Currency)));
        fields.Add(("proven at", $"{verified.Checkpoint.Size} entries"));
        return
        [
            new Block.Fields(fields.ToImmutable()),
            new Block.Table(["workload", "kind", "state", "start", "restarts", "receipt", "node", "reason"], [.. agreement.Version.Terms.Placed.Select(w =>
            {
                var known = latest.TryGetValue(w.Name, out var found);
                var state = known ? WorkloadReport.NameOf(found.Report.State) : "unknown";
                return ImmutableArray.Create<Cell>(w.Name, w.Kind, new Cell(state, Render.InkOf(state)), known ? $"{found.Report.Generation}" : "-", known ? $"{found.Report.Restarts}" : "-",
                    known ? Render.Time(found.At) : "-", w.Node.ToString(), known ? found.Report.Reason : "no receipt yet");
            })]),
        ];
    }

    /// <summary>Who has yet to sign or answer.</summary>
    public static ImmutableArray<string> WaitsFor(VerifiedAgreement verified)
    {
        string Farm(FarmId id) => verified.State.Farms.TryGetValue(id, out var farm) ? $"signature of farm {farm.Name}" : $"signature of {id}";
        return verified.Agreement switch
        {
            Agreement.Proposed p => [.. p.Version.Terms.Farms.Where(f => !p.Signed.Contains(f.Farm)).Select(f => Farm(f.Farm))],
            Agreement.Agreed a => [.. a.Version.Terms.Nodes.Where(n => !a.ReadyNodes.Contains(n)).Select(n => $"answer of {n}")],
            Agreement.InForce { Amendment: Amendment.Proposed n } => [.. n.Version.Terms.Farms.Where(f => !n.Signed.Contains(f.Farm)).Select(f => Farm(f.Farm))],
            Agreement.InForce { Amendment: Amendment.Agreed n } => [.. n.Version.Terms.Nodes.Where(x => !n.ReadyNodes.Contains(x)).Select(x => $"answer of {x}")],
            Agreement.Ready r => [.. r.Version.Terms.Nodes.Where(n => !r.RunningNodes.Contains(n)).Select(n => $"receipt of {n}")],
            _ => [],
        };
    }

    public static string? Reason(Agreement agreement) => agreement switch
    {
        Agreement.Ended e => $"{e.Reason.Code} at {Render.Time(e.At)}",
        Agreement.Ending e => $"{e.Reason.Code} at {Render.Time(e.At)}",
        Agreement.Refused r => $"{r.Code}: {r.Detail}",
        Agreement.Lapsed => "somebody did not answer in time",
        Agreement.Withdrawn => "by the user",
        _ => null,
    };
}
