using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Cli.Output;
using Grid.Client;
using Grid.Units;
using Spectre.Console;

namespace Grid.Cli.Commands;

/// <summary>Waits until an agreement runs or cannot any more, showing each step: a live table for a person, a line an event for a file.</summary>
internal static class Waiting
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(500);

    /// <param name="version">the version that is to run; null: whichever is in force</param>
    public static async Task<Outcome> ForAsync(
        Session session, LedgerClient ledger, AgreementId id, StatementId? version, TimeSpan patience, Func<VerifiedAgreement, JsonObject> document, CancellationToken cancellation)
    {
        if (!session.Book().Try(out var book, out var refusal))
            return refusal;
        var name = book.NameOf(id);
        var deadline = session.Shell.Time.GetUtcNow() + patience;
        if (session.Quiet || session.Format != Format.Table || !session.Shell.Terminal.Out || !session.Shell.Terminal.Error)
            return await LookAsync(session, ledger, id, version, deadline, new LineByLine(session).Show, document, name, cancellation).ConfigureAwait(false);
        return await Screen.Live(session).Live(new Text("…")).AutoClear(true).StartAsync(live =>
            LookAsync(session, ledger, id, version, deadline, verified => live.UpdateTarget(Live(verified, name)), document, name, cancellation)).ConfigureAwait(false);
    }

    private static async Task<Outcome> LookAsync(
        Session session, LedgerClient ledger, AgreementId id, StatementId? version, DateTimeOffset deadline, Action<VerifiedAgreement> show, Func<VerifiedAgreement, JsonObject> document,
        string name, CancellationToken cancellation)
    {
        string? seen = null;
        while (true)
        {
            // The view only says whether a look is worth it; what is shown and decided on is the verified bundle.
            if (!(await ledger.AgreementAsync(id, cancellation).ConfigureAwait(false)).Try(out var view, out var refusal))
                return refusal;
            // Receipts change nothing of the view itself, and say what is waited for.
            var now = Said(view.Body, "agreement") + Said(view.Body, "newest");
            if (now != seen)
            {
                if (!(await ledger.BundleAsync(id, receipts: true, cancellation).ConfigureAwait(false)).Try(out var bundle, out refusal))
                    return refusal;
                seen = now;
                show(bundle.Verified);
                if (Verdict(bundle.Verified, version) is { } code)
                    return new Outcome.Done(Merge(document(bundle.Verified), StatusView.Document(bundle.Verified, name)), StatusView.Blocks(bundle.Verified, name), code);
                if (session.Shell.Time.GetUtcNow() >= deadline)
                    return TimedOut(bundle.Verified);
            }
            else if (session.Shell.Time.GetUtcNow() >= deadline)
            {
                return new Refusal(CliCode.TimedOut, "It does not run yet.", "'grid status' shows what it waits for; it goes on without this command.");
            }
            await Task.Delay(LookEvery, session.Shell.Time, cancellation).ConfigureAwait(false);
        }
    }

    private static string Said(JsonElement body, string name) => body.TryGetProperty(name, out var said) ? said.GetRawText() : "";

    /// <returns>null while it is worth waiting</returns>
    private static int? Verdict(VerifiedAgreement verified, StatementId? version) => verified.Agreement switch
    {
        { IsClosed: true } or Agreement.Ending => Exit.Negative,
        Agreement.InForce { Amendment: not null } => null,
        // The amendment came to nothing: another version is in force and none is on its way.
        Agreement.InForce a when version is { } wanted && a.Version.Id != wanted => Exit.Negative,
        Agreement.Running => Exit.Ok,
        _ => null,
    };

    private static Refusal TimedOut(VerifiedAgreement verified) => new(CliCode.TimedOut,
        $"It is {verified.Agreement.Status} and waits for {string.Join(", ", StatusView.WaitsFor(verified))}.", "It goes on without this command; 'grid status' shows how it stands.");

    private static JsonObject Merge(JsonObject first, JsonObject second)
    {
        foreach (var (name, value) in second.ToArray())
        {
            second.Remove(name);
            first[name] = value;
        }
        return first;
    }

    private static Rows Live(VerifiedAgreement verified, string name)
    {
        var latest = Story.Latest(verified);
        var table = new Table().NoBorder();
        table.AddColumns("WORKLOAD", "STATE", "START", "REASON");
        foreach (var workload in (verified.Agreement.Next?.Version ?? verified.Agreement.Version).Terms.Workloads)
        {
            var known = latest.TryGetValue(workload.Name, out var found);
            table.AddRow(new Text(workload.Name), new Text(known ? WorkloadReport.NameOf(found.Report.State) : "waiting"), new Text(known ? $"{found.Report.Generation}" : "-"),
                new Text(Page.Printable((known ? found.Report.Reason : null) ?? "")));
        }
        // Lines of their own: a title would be broken to the width of the table.
        return new Rows(
        [
            new Text(Page.Printable($"{name}: {verified.Agreement.Status}")) { Overflow = Overflow.Ellipsis },
            .. StatusView.WaitsFor(verified).Select(w => new Text(Page.Printable($"  waits for {w}")) { Overflow = Overflow.Ellipsis }),
            table,
        ]);
    }

    private sealed class LineByLine(Session session)
    {
        private long _last = -1;

        public void Show(VerifiedAgreement verified)
        {
            foreach (var happening in Story.Of(verified).Where(h => h.Index > _last).ToList())
            {
                session.Say($"{Render.Time(happening.Time)} {happening.What} {happening.Detail}".TrimEnd());
                _last = happening.Index;
            }
        }
    }
}
