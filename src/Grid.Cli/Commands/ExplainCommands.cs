using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Cli.Drafts;
using Grid.Cli.Output;

namespace Grid.Cli.Commands;

internal static class ExplainCommands
{
    private const string DefaultLogs = "/var/log/grid";
    private const int MaximumLog = 256 << 20;

    public static Command Explain(Frame frame)
    {
        var workload = Workload(frame);
        return frame.Reading("explain", "Why a workload is as it is: every step of the ledger and every receipt, in order", [workload], async (session, cancellation) =>
        {
            if (!(await FindAsync(session, session.Value(workload), cancellation).ConfigureAwait(false)).Try(out var found, out var refusal))
                return refusal;
            var story = Story.Of(found.Verified, found.Workload).ToImmutableArray();
            var latest = Story.Latest(found.Verified).TryGetValue(found.Workload, out var last) ? last.Report : null;
            var state = latest is null ? "unknown" : WorkloadReport.NameOf(latest.State);
            return Outcome.Of(
                new JsonObject
                {
                    ["agreement"] = found.Verified.Agreement.Id.ToString(),
                    ["workload"] = found.Workload,
                    ["status"] = found.Verified.Agreement.Status,
                    ["state"] = state,
                    ["reason"] = latest?.Reason ?? StatusView.Reason(found.Verified.Agreement),
                    ["waitsFor"] = Render.Texts(StatusView.WaitsFor(found.Verified)),
                    ["index"] = found.Verified.Checkpoint.Size,
                    ["items"] = Render.Array(story.Select(h => h.Document())),
                },
                new Block.Fields(
                [
                    ("workload", found.Workload), ("state", new Cell(state, Render.InkOf(state))), ("agreement", $"{found.Name}, {found.Verified.Agreement.Status}"),
                    ("because", latest?.Reason ?? StatusView.Reason(found.Verified.Agreement) ?? (StatusView.WaitsFor(found.Verified) is { IsEmpty: false } waits ? $"it waits for {string.Join(", ", waits)}" : "-")),
                ]),
                new Block.Table(Story.Columns, [.. story.Select(h => h.Row())]));
        });
    }

    public static Command Logs(Frame frame)
    {
        var workload = Workload(frame);
        var tail = new Option<int?>("--tail") { Description = "Only so many of the last lines", HelpName = "N" };
        var since = new Option<string?>("--since") { Description = "Only what was written in the last …", HelpName = "10m" };
        return frame.Verb("logs", "What a workload wrote, for a node on this machine", [workload, tail, since], async (session, cancellation) =>
        {
            var newest = TimeSpan.MaxValue;
            if (session.Value(since) is { } text && !Quantities.TryDuration(text, out newest))
                return new Refusal(CliCode.Usage, $"'--since' cannot be '{text}'.", $"Write {Quantities.DurationForm}.");
            if (!(await FindAsync(session, session.Value(workload), cancellation).ConfigureAwait(false)).Try(out var found, out var refusal))
                return refusal;
            var terms = found.Verified.Agreement.Version.Terms.Placed.First(w => w.Name == found.Workload);
            var file = Path.Combine(session.Context.NodeLogs ?? DefaultLogs, $"{found.Verified.Agreement.Id}.{found.Workload}.log");
            if (!File.Exists(file))
            {
                return new Refusal(CliCode.NotHere, $"The workload runs on {terms.Node}, and its log is not on this machine. A node takes no calls from outside, so nobody can ask it for one.",
                    $"Run this on the node's machine as root, or name its log directory in GRID_NODE_LOGS. 'grid explain {found.Workload}' shows what the node's receipts say.");
            }
            if (!Settings.Files.ReadText(file, MaximumLog).Try(out var log, out refusal))
                return refusal;
            var from = newest == TimeSpan.MaxValue ? DateTimeOffset.MinValue : session.Shell.Time.GetUtcNow() - newest;
            var lines = Read(log).Where(l => l.At >= from).ToList();
            if (session.Value(tail) is { } count)
                lines = [.. lines.TakeLast(int.Max(0, count))];
            return Outcome.Of(
                new JsonObject
                {
                    ["workload"] = found.Workload,
                    ["agreement"] = found.Verified.Agreement.Id.ToString(),
                    ["items"] = Render.Array(lines.Select(l => new JsonObject { ["time"] = l.At.UtcDateTime.ToString("O", CultureInfo.InvariantCulture), ["stream"] = l.Stream, ["text"] = l.Text })),
                },
                new Block.Lines([.. lines.Select(l => new Cell(l.Text))]));
        });
    }

    /// <summary>Lines of Kubernetes' CRI log format: <c>TIME stream P|F text</c>; a line in pieces is put together.</summary>
    internal static IEnumerable<(DateTimeOffset At, string Stream, string Text)> Read(string log)
    {
        var pieces = new Dictionary<string, string>();
        foreach (var line in log.Split('\n'))
        {
            if (line.Split(' ', 4) is not [var time, "stdout" or "stderr", "P" or "F", var text] parts
                || !DateTimeOffset.TryParse(time, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var at))
                continue;
            var whole = pieces.GetValueOrDefault(parts[1], "") + text;
            pieces[parts[1]] = parts[2] == "P" ? whole : "";
            if (parts[2] == "F")
                yield return (at, parts[1], whole);
        }
    }

    private static Argument<string> Workload(Frame frame)
    {
        var workload = new Argument<string>("WORKLOAD") { Description = "AGREEMENT/WORKLOAD; the workload alone when one agreement made here has it" };
        workload.CompletionSources.Add(context => Completion.Agreements(frame, context.ParseResult));
        return workload;
    }

    private static async Task<Client.Answer<(VerifiedAgreement Verified, string Name, string Workload)>> FindAsync(Session session, string text, CancellationToken cancellation)
    {
        if (!session.Book().Try(out var book, out var refusal))
            return refusal;
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        var (agreements, workload) = slash > 0 ? ([text[..slash]], text[(slash + 1)..]) : (book.Agreements.Keys.ToArray(), text);
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
