using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Cli.Drafts;
using Grid.Cli.Output;

namespace Grid.Cli.Commands;

internal static class ExplainCommands
{
    public static Command Explain(Frame frame)
    {
        var workload = Workload(frame);
        return frame.Reading("explain", "Why a workload is as it is: every step of the ledger and every receipt, in order", [workload], async (session, cancellation) =>
        {
            if (!(await FindAsync(session, session.Value(workload), cancellation).ConfigureAwait(false)).Try(out var found, out var refusal))
                return refusal;
            var story = Story.Of(found.Verified, found.Workload).ToImmutableArray();
            var latest = Story.Latest(found.Verified).TryGetValue(found.Workload, out var last) ? last.Report : null;
            var used = Story.Used(found.Verified, found.Workload);
            var state = latest is null ? "unknown" : WorkloadReport.NameOf(latest.State);
            return Outcome.Of(
                new JsonObject
                {
                    ["agreement"] = found.Verified.Agreement.Id.ToString(),
                    ["workload"] = found.Workload,
                    ["status"] = found.Verified.Agreement.Status,
                    ["state"] = state,
                    ["reason"] = latest?.Reason ?? StatusView.Reason(found.Verified.Agreement),
                    ["used"] = Describe.Used(used),
                    ["waitsFor"] = Render.Texts(StatusView.WaitsFor(found.Verified)),
                    ["index"] = found.Verified.Checkpoint.Size,
                    ["items"] = Render.Array(story.Select(h => h.Document())),
                },
                new Block.Fields(
                [
                    ("workload", found.Workload), ("state", new Cell(state, Render.InkOf(state))), ("agreement", $"{found.Name}, {found.Verified.Agreement.Status}"),
                    ("because", latest?.Reason ?? StatusView.Reason(found.Verified.Agreement) ?? (StatusView.WaitsFor(found.Verified) is { IsEmpty: false } waits ? $"it waits for {string.Join(", ", waits)}" : "-")),
                    ("used", Describe.UsedLine(used)),
                ]),
                new Block.Table(Story.Columns, [.. story.Select(h => h.Row())]));
        });
    }

    public static Argument<string> Workload(Frame frame)
    {
        var workload = new Argument<string>("WORKLOAD") { Description = "AGREEMENT/WORKLOAD; the workload alone when one agreement made here has it" };
        workload.CompletionSources.Add(context => Completion.Agreements(frame, context.ParseResult));
        return workload;
    }

    /// <summary>The workload a person named, with its agreement's whole proof checked.</summary>
    public static async Task<Client.Answer<(VerifiedAgreement Verified, string Name, string Workload)>> FindAsync(Session session, string text, CancellationToken cancellation)
    {
        if (!(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out var refusal)
            || !(await LaidDown.LookAsync(session, ledger, null, cancellation).ConfigureAwait(false)).Try(out var laid, out refusal))
            return refusal;
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        var (agreements, workload) = slash > 0 ? ([text[..slash]], text[(slash + 1)..]) : (laid.Book.Agreements.Keys.ToArray(), text);
        var found = new List<(VerifiedAgreement Verified, string Name, string Workload)>();
        foreach (var agreement in agreements)
        {
            if (!(await AgreementCommands.FindAsync(session, agreement, cancellation).ConfigureAwait(false)).Try(out var one, out refusal))
                return refusal;
            if (one.Verified.Agreement.Version.Terms.Workloads.Any(w => w.Name == workload))
                found.Add((one.Verified, one.Name, workload));
        }
        return found is [var only] ? only
            : found.Count == 0 ? new Refusal(RefusalCode.NotFound, slash > 0 ? $"The agreement has no workload '{workload}'." : $"No agreement made on this machine has a workload '{workload}'.", "Write AGREEMENT/WORKLOAD. See 'grid status'.")
            : new Refusal(CliCode.Ambiguous, $"{found.Count} agreements have a workload '{workload}': {string.Join(", ", found.Select(f => f.Name))}.", $"Write {found[0].Name}/{workload}.");
    }
}
