using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Cli.Drafts;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Client;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Commands;

/// <summary>From a <c>grid.yaml</c> to an agreement: look at it, then sign it.</summary>
internal static class PlanCommands
{
    public const string PlanName = "plan";

    private const string ByDraft =
        "Run the same command with --draft: it is laid down for the account's other keys, whose holders find it with 'grid agreement drafts' and sign it with 'grid agreement sign'.";

    public static IEnumerable<Command> Build(Frame frame) => [Plan(frame), Apply(frame)];

    public static Command Plan(Frame frame)
    {
        var file = File();
        return frame.Verb(PlanName, "Show what a grid.yaml would agree or change, and its price. Exits 0 without changes, 1 with, 255 on any error", [file], async (session, cancellation) =>
        {
            if (!(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out var refusal))
                return refusal;
            // One moment for the bytes and for the file that makes them again: a second between the two would move the plan.
            var now = session.Now;
            var (plan, problem) = await Planned.MakeAsync(session, ledger, session.Value(file), now, cancellation).ConfigureAwait(false);
            if (plan is null)
                return problem!.Outcome;
            var saved = new PlanFile(1, plan.Id.ToString(), Path.GetFullPath(session.Value(file)), plan.Payload.Issued).Save(session);
            return saved is not null ? saved : new Outcome.Done(Document(plan), Blocks(plan), plan.Changes.IsEmpty ? Exit.Ok : Exit.Negative);
        });
    }

    public static Command Apply(Frame frame)
    {
        var file = File();
        var digest = new Option<string?>("--plan") { Description = "Sign just what this plan showed; fails if anything moved since", HelpName = "st1…" };
        var yes = AgreementCommands.Yes();
        var noWait = new Option<bool>("--no-wait") { Description = "Return once it is submitted, not once it runs" };
        var timeout = new Option<string>("--timeout") { Description = "How long to wait", DefaultValueFactory = _ => "15m", HelpName = "15m" };
        var draft = new Option<bool>("--draft") { Description = "Lay it down half-signed for the account's other keys, instead of submitting it" };
        return frame.Verb("apply", "Sign a grid.yaml, submit it, and wait until it runs", [file, digest, yes, noWait, timeout, draft], async (session, cancellation) =>
        {
            if (!Quantities.TryDuration(session.Value(timeout)!, out var patience))
                return new Refusal(CliCode.Usage, $"'--timeout' cannot be '{session.Value(timeout)}'.", $"Write {Quantities.DurationForm}.");
            if (!(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out var refusal))
                return refusal;
            var (path, at) = (session.Value(file), session.Now);
            if (session.Value(digest) is { } wanted)
            {
                if (!PlanFile.Load(session, wanted).Try(out var old, out refusal))
                    return refusal;
                (path, at) = (old.File, old.Issued);
            }
            var (plan, problem) = await Planned.MakeAsync(session, ledger, path, at, cancellation).ConfigureAwait(false);
            if (session.Value(digest) is { } id && Moved(session, plan, problem, id) is { } moved)
                return moved;
            if (plan is null)
                return problem!.Outcome;
            var agreement = plan.Current?.Id ?? new AgreementId(plan.Id.Value);
            if (plan.Changes.IsEmpty && !plan.Waiting)
                return Outcome.Of(Applied(plan, agreement), Block.Line("Nothing to do: what runs says the same."));

            if (!plan.Changes.IsEmpty && await SignAsync(session, ledger, plan, session.Value(yes), session.Value(draft), cancellation).ConfigureAwait(false) is { } done)
                return done;
            if (session.Value(noWait))
            {
                return Outcome.Of(Applied(plan, agreement), new Block.Fields([("agreement", agreement.ToString()), ("version", $"{plan.Terms.Version}"), ("plan", plan.Id.ToString())]),
                    Block.Line("Submitted."), new Block.Next("grid status"));
            }
            return await Waiting.ForAsync(session, ledger, agreement, plan.Waiting ? plan.Newest!.Id : plan.Id, patience, _ => Applied(plan, agreement), cancellation).ConfigureAwait(false);
        });
    }

    public static ImmutableArray<Block> Blocks(Planned plan)
    {
        if (plan.Changes.IsEmpty)
            return [Block.Line(plan.Waiting ? "No changes: just this was proposed and waits for signatures or answers." : "No changes: what is in force says the same.", Ink.Good)];
        var lines = plan.Changes.Select(c => new Cell(c.Sign switch
        {
            '+' => $"+ {c.Path}: {c.After}",
            '-' => $"- {c.Path}: {c.Before}",
            _ => $"~ {c.Path}: {c.Before} -> {c.After}",
        }, c.Sign switch { '+' => Ink.Good, '-' => Ink.Bad, _ => Ink.Notice }));
        var title = plan.Newest is null ? $"Agreement '{plan.Draft.Name}' is new:" : $"Agreement '{plan.Draft.Name}' changes from version {plan.Newest.Terms.Version} to {plan.Terms.Version}:";
        return
        [
            Block.Line(title),
            new Block.Lines([.. lines]),
            new Block.Fields(
            [
                ("price", Render.PriceLine(plan.Terms.Money.RatePerSecond, plan.Terms.Money.Currency)),
                ("before", plan.Newest is null ? "-" : Render.PriceLine(plan.Newest.Terms.Money.RatePerSecond, plan.Newest.Terms.Money.Currency)),
                ("files", plan.FilesChecked ? new Cell("every file that is executed is described, and at the hub", Ink.Good) : new Cell("not looked at: no hub is set", Ink.Notice)),
                ("answer by", Render.Time(plan.Terms.Term.AnswerBy)),
                ("plan", plan.Id.ToString()),
                .. plan.Laid is { } laid ? [("draft", new Cell($"laid down with {Signatures(laid)}; waits for the account's other keys", Ink.Notice))] : ImmutableArray<(string, Cell)>.Empty,
            ]),
            new Block.Next(plan.Laid is null ? $"grid apply --plan {plan.Id}" : $"grid agreement sign {plan.Id}, by who has the other keys"),
        ];
    }

    public static JsonObject Document(Planned plan) => new()
    {
        ["plan"] = plan.Id.ToString(),
        ["name"] = plan.Draft.Name,
        ["agreement"] = plan.Current?.Id.ToString(),
        ["changed"] = !plan.Changes.IsEmpty,
        ["waiting"] = plan.Waiting,
        ["draft"] = plan.Laid?.Id.ToString(),
        ["filesChecked"] = plan.FilesChecked,
        ["changes"] = Render.Array(plan.Changes.Select(c => new JsonObject { ["sign"] = c.Sign.ToString(), ["path"] = c.Path, ["before"] = c.Before, ["after"] = c.After })),
        ["price"] = Render.Price(plan.Terms.Money.RatePerSecond, plan.Terms.Money.Currency),
        ["terms"] = Describe.Terms(plan.Terms),
    };

    private static JsonObject Applied(Planned plan, AgreementId agreement) => new()
    {
        ["plan"] = (plan.Changes.IsEmpty ? plan.Newest!.Id : plan.Id).ToString(),
        ["name"] = plan.Draft.Name,
        ["agreement"] = agreement.ToString(),
        ["version"] = plan.Changes.IsEmpty ? plan.Newest!.Terms.Version : plan.Terms.Version,
        ["status"] = plan.Changes.IsEmpty ? plan.Current!.Status : "submitted",
    };

    private static Outcome? Moved(Session session, Planned? plan, Unplanned? problem, string wanted)
    {
        const string Next = "Run 'grid plan' again, look at it, and apply the new digest.";
        if (plan is null)
        {
            return problem!.Moved
                ? new Outcome.Failed([new Problem(new Refusal(CliCode.PlanMoved, "The plan does not hold any more, for the reasons below.", Next)), .. problem.Outcome.Problems])
                : problem.Outcome;
        }
        // Applied before: there is nothing left to move.
        if (plan.Changes.IsEmpty && plan.Newest!.Id.ToString() == wanted)
            return null;
        if (plan.Id.ToString() != wanted && plan.Laid is { } laid)
            return LaidDown.Already(laid);
        if (plan.Id.ToString() != wanted)
            return new Refusal(CliCode.PlanMoved, $"The file, the offers or what is in force changed since the plan: it would be {plan.Id} now.", Next);
        return plan.Payload.Until <= session.Now
            ? (Outcome)new Refusal(CliCode.PlanMoved, $"The plan was good until {Render.Time(plan.Payload.Until)}; it is {Render.Time(session.Now)}.", Next)
            : null;
    }

    /// <returns>null when it is submitted; otherwise how the command ends</returns>
    private static async Task<Outcome?> SignAsync(Session session, LedgerClient ledger, Planned plan, bool yes, bool draft, CancellationToken cancellation)
    {
        if (session.Format == Format.Table && !session.Quiet)
            new Page(session.Shell.Error, colour: false).Write(Blocks(plan).Where(b => b is not Block.Next));
        if (session.Confirm($"Sign as '{plan.Speaker.Name}' at {Render.Amount(plan.Terms.Money.RatePerSecond * 3600, plan.Terms.Money.Currency)} an hour?", yes) is { } no)
            return no;
        if (!session.Sign(plan.PayloadBytes, plan.Speaker.Keys).Try(out var signed, out var refusal))
            return refusal;
        // With those it has: these are the bytes of the draft that waits, and there is no other of this name.
        signed = plan.Laid?.Merge(signed) ?? signed;
        var agreement = plan.Current?.Id ?? new AgreementId(plan.Id.Value);
        if (draft)
            return await LayAsync(session, ledger, plan, signed, agreement, cancellation).ConfigureAwait(false);
        if (!(await session.SubmitAsync(ledger, signed, cancellation).ConfigureAwait(false)).Try(out var recorded, out refusal))
            return refusal.Code != RefusalCode.SignatureMissing ? refusal : refusal with { Next = plan.Laid is { } laid ? LaidDown.Go(laid) : ByDraft };
        if (!session.Book().Try(out var book, out refusal))
            return refusal;
        session.Say($"Recorded as entry {recorded.Index}: {string.Join(", ", recorded.Events)}");
        book = book with { Agreements = book.Agreements.SetItem(plan.Draft.Name, agreement.ToString()), Drafts = book.Drafts.Remove(plan.Draft.Name) };
        return book.Save(session.Context.BookFile) is { } unsaved ? (Outcome)unsaved : null;
    }

    private static async Task<Outcome> LayAsync(Session session, LedgerClient ledger, Planned plan, Statement signed, AgreementId agreement, CancellationToken cancellation)
    {
        if (!session.Book().Try(out var book, out var refusal))
            return refusal;
        // Known here before it is there: what nobody laid down lets go of the name by itself.
        var drafts = book.Drafts.SetItem(plan.Draft.Name, new BookDraft(plan.Id.ToString(), plan.Speaker.Id.ToString(), plan.Payload.Until));
        if ((refusal = (book with { Drafts = drafts }).Save(session.Context.BookFile)) is not null || !(await ledger.DraftAsync(signed, cancellation).ConfigureAwait(false)).Try(out var drafted, out refusal))
            return refusal;
        return Outcome.Of(
            new JsonObject { ["draft"] = drafted.ToString(), ["name"] = plan.Draft.Name, ["agreement"] = agreement.ToString(), ["version"] = plan.Terms.Version, ["signatures"] = signed.Signatures.Length },
            Block.Line($"Laid down as {drafted}, with {Signatures(signed)}."), new Block.Next($"grid agreement sign {drafted}, by who has the other keys"));
    }

    private static string Signatures(Statement statement) => statement.Signatures.Length == 1 ? "1 signature" : $"{statement.Signatures.Length} signatures";

    private static Argument<string> File() => new("FILE") { Description = "The draft", DefaultValueFactory = _ => "grid.yaml", Arity = ArgumentArity.ZeroOrOne };
}
