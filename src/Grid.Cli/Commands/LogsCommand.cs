using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Cli.Drafts;
using Grid.Cli.Logs;
using Grid.Cli.Output;
using Grid.Workloads;

namespace Grid.Cli.Commands;

/// <summary>What a workload wrote: read where its node keeps it, when that is this machine, and else asked of the node, sealed on its way.</summary>
internal static class LogsCommand
{
    private const string DefaultLogs = "/var/log/grid";

    public static Command Build(Frame frame)
    {
        var workload = ExplainCommands.Workload(frame);
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on with what is written, until the workload is over or ctrl-C" };
        var tail = new Option<int?>("--tail", "-n") { Description = "Only so many of the last lines", HelpName = "N" };
        var since = new Option<string?>("--since") { Description = "Only what was written in the last …, or since a time", HelpName = "10m" };
        return frame.Verb("logs", "What a workload wrote, as its node tells the agreement's user", [workload, follow, tail, since], async (session, cancellation) =>
        {
            var from = DateTimeOffset.MinValue;
            if (session.Value(since) is { } text && !TryFrom(text, session.Shell.Time.GetUtcNow(), out from))
                return new Refusal(CliCode.Usage, $"'--since' cannot be '{text}'.", $"Write {Quantities.DurationForm}, or a time such as 2026-12-01T00:00:00Z.");
            if (session.Value(tail) < 0)
                return new Refusal(CliCode.Usage, "'--tail' cannot be less than 0.", "Write how many of the last lines to show.");
            if (!(await ExplainCommands.FindAsync(session, session.Value(workload), cancellation).ConfigureAwait(false)).Try(out var found, out var refusal))
                return refusal;
            if (found.Verified.Agreement.Version.Terms.Workloads.First(w => w.Name == found.Workload) is not Runnable terms)
                return new Refusal(RefusalCode.UnsupportedKind, $"'{found.Workload}' is no container and no machine: nothing runs in it that could write a log.", $"'grid explain {found.Name}/{found.Workload}' tells what became of it.");
            if (Find(session.Context.NodeLogs, $"{found.Verified.Agreement.Id}.{found.Workload}.log", awaited: session.Value(follow)) is not { } path)
                return await AskedAsync(session, found.Verified, found.Workload, terms.Node, session.Value(tail), from, session.Value(follow), cancellation).ConfigureAwait(false);
            try
            {
                using var log = new LogFile(path);
                var there = log.Next().Where(l => l.At >= from);
                var lines = session.Value(tail) is { } count ? Last(there, count) : there;
                if (!session.Value(follow))
                    return Whole(found.Verified, found.Workload, [.. lines]);
                foreach (var line in lines)
                    Show(session, line);
                return await FollowAsync(session, found.Verified, found.Workload, terms.Node, path, log, from, cancellation).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return new Refusal(CliCode.FileUnreadable, $"{path} cannot be read: {e.Message}", "Run this as the node's user, root on most machines.");
            }
        });
    }

    /// <param name="places">directories, parted by colons as in PATH: several nodes may be on this machine</param>
    /// <param name="awaited">true when it may yet come; where there is but one node, it comes there</param>
    private static string? Find(string? places, string name, bool awaited)
    {
        var all = (places ?? DefaultLogs).Split(':', StringSplitOptions.RemoveEmptyEntries).Select(p => Path.GetFullPath(Path.Combine(p, name))).ToList();
        return all.Find(File.Exists) ?? (awaited && places is not null && all is [var only] && Directory.Exists(Path.GetDirectoryName(only)) ? only : null);
    }

    private static async Task<Outcome> AskedAsync(
        Session session, VerifiedAgreement verified, string workload, Units.NodeId node, int? tail, DateTimeOffset from, bool follow, CancellationToken cancellation)
    {
        if (!(await NodeLog.OpenAsync(session, verified, workload, node, cancellation).ConfigureAwait(false)).Try(out var opened, out var refusal))
            return refusal;
        using var log = opened;
        var lines = new List<LogLine>();
        DateTimeOffset? since = from == DateTimeOffset.MinValue ? null : from;
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var over = Task.CompletedTask;
        try
        {
            if (follow)
                over = Following.OverAsync(log.Ledger, verified.Agreement.Id, node, workload, session.Shell.Time, ending.Token);
            while (true)
            {
                var ended = over.IsCompleted;
                if (!(await log.NextAsync(tail, since, ended ? TimeSpan.Zero : NodeLog.LongPoll, cancellation).ConfigureAwait(false)).Try(out var next, out refusal))
                    return refusal;
                foreach (var line in next)
                {
                    if (follow)
                        Show(session, line);
                    else
                        lines.Add(line);
                }
                if (ended && !log.More)
                    break;
            }
        }
        catch (OperationCanceledException) when (follow && cancellation.IsCancellationRequested)
        {
            // Ctrl-C is how following ends.
        }
        finally
        {
            await ending.CancelAsync().ConfigureAwait(false);
            await over.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        return follow ? new Outcome.Verbatim("") : Whole(verified, workload, lines);
    }

    private static async Task<Outcome> FollowAsync(
        Session session, VerifiedAgreement verified, string workload, Units.NodeId node, string path, LogFile log, DateTimeOffset from, CancellationToken cancellation)
    {
        if (!(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out var refusal))
            return refusal;
        if (!File.Exists(path))
            session.Say("Nothing is written yet.");
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var over = Following.OverAsync(ledger, verified.Agreement.Id, node, workload, session.Shell.Time, ending.Token);
        try
        {
            await Following.RunAsync(path, log, line =>
            {
                if (line.At >= from)
                    Show(session, line);
            }, over, cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Ctrl-C is how following ends.
        }
        finally
        {
            await ending.CancelAsync().ConfigureAwait(false);
            await over.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        return new Outcome.Verbatim("");
    }

    private static Outcome Whole(VerifiedAgreement verified, string workload, IReadOnlyList<LogLine> lines) => Outcome.Of(
        new JsonObject
        {
            ["workload"] = workload,
            ["agreement"] = verified.Agreement.Id.ToString(),
            ["items"] = Render.Array(lines.Select(Item)),
        },
        new Block.Lines([.. lines.Select(l => new Cell(l.Text))]));

    private static void Show(Session session, LogLine line)
    {
        session.Shell.Out.WriteLine(session.Format switch
        {
            Format.Json => Document.Json(Item(line), oneLine: true),
            Format.Yaml => $"---\n{Document.Yaml(Item(line))}",
            _ => Page.Printable(line.Text, tabs: true),
        });
        session.Shell.Out.Flush();
    }

    private static JsonObject Item(LogLine line) => new()
    {
        ["time"] = line.At.UtcDateTime.ToString("O", CultureInfo.InvariantCulture),
        ["stream"] = line.Stream,
        ["text"] = line.Text,
    };

    private static Queue<LogLine> Last(IEnumerable<LogLine> lines, int count)
    {
        var last = new Queue<LogLine>();
        foreach (var line in lines)
        {
            last.Enqueue(line);
            if (last.Count > count)
                last.Dequeue();
        }
        return last;
    }

    private static bool TryFrom(string text, DateTimeOffset now, out DateTimeOffset from)
    {
        from = default;
        if (Quantities.TryDuration(text, out var length))
            from = now - length;
        else if (!text.StartsWith('+') && Quantities.TryTime(text, out var time))
            from = time.From(now);
        else
            return false;
        return true;
    }
}
