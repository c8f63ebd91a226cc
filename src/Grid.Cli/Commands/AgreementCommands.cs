using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Cli.Drafts;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Client;
using Grid.Units;

namespace Grid.Cli.Commands;

internal static class AgreementCommands
{
    public static Command Build(Frame frame) => Frame.Noun("agreement", "Agreements: what user and farmers signed",
        [PlanCommands.Plan(frame), PlanCommands.Apply(frame), List(frame), Show(frame), SignCommands.Sign(frame), DraftsCommand.Build(frame), .. Short(frame), History(frame), Export(frame)]);

    /// <summary>Verbs that also stand at the top.</summary>
    public static IEnumerable<Command> Short(Frame frame) =>
        [Status(frame), ExplainCommands.Explain(frame), LogsCommand.Build(frame), Cancel(frame), VerifyCommand.Build(frame)];

    public static Argument<string> Agreement(Frame frame, string description = "An agr1… id or a name of this machine")
    {
        var agreement = new Argument<string>("AGREEMENT") { Description = description };
        agreement.CompletionSources.Add(context => Completion.Agreements(frame, context.ParseResult));
        return agreement;
    }

    public static Option<bool> Yes() => new("--yes", "-y") { Description = "Do not ask" };

    /// <summary>The agreement a person named, with its whole proof checked.</summary>
    public static async Task<Answer<(Bundle Bundle, VerifiedAgreement Verified, string Name)>> FindAsync(Session session, string text, CancellationToken cancellation, bool receipts = true)
    {
        if (!(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out var refusal)
            || !(await LaidDown.LookAsync(session, ledger, text, cancellation).ConfigureAwait(false)).Try(out var laid, out refusal))
            return refusal;
        if (!new Catalogue(ledger, laid.Book, cancellation).Agreement(text).Try(out var id, out refusal))
            return laid.Waiting.GetValueOrDefault(text) is { } draft ? LaidDown.NotYet(text, draft) : refusal;
        return (await ledger.BundleAsync(id, receipts, cancellation).ConfigureAwait(false)).As(b => (b.Bundle, b.Verified, laid.Book.NameOf(id)));
    }

    public static Outcome Table(LedgerView view, Book book) => Render.List(view, "no agreements",
        ("name", i => book.Agreements.FirstOrDefault(a => a.Value == Render.Text(i, "id")).Key), ("agreement", i => Render.Text(i, "id")),
        ("status", i => new Cell(Render.Text(i, "status") ?? "-", Render.InkOf(Render.Text(i, "status")))), ("version", i => i.TryGetProperty("version", out var version) ? Render.Text(version, "number") : null), ("user", i => Render.Text(i, "user")));

    private static Command List(Frame frame)
    {
        var mine = new Option<bool>("--mine") { Description = "Only those of the account that is set" };
        var farm = new Option<string?>("--farm") { Description = "Only those with this farm", HelpName = "FARM" };
        var node = new Option<string?>("--node") { Description = "Only those on this node", HelpName = "NODE" };
        var status = new Option<string?>("--status") { Description = "Only those in this state", HelpName = "running" };
        var limit = Render.Limit();
        return frame.Reading("list", "Agreements of the ledger", [mine, farm, node, status, limit], async (session, cancellation) =>
        {
            if (!session.Book().Try(out var book, out var refusal) || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal))
                return refusal;
            var (catalogue, query) = (new Catalogue(ledger, book, cancellation), new AgreementQuery(Status: session.Value(status), Limit: session.Value(limit)));
            if (session.Value(mine))
            {
                if (!session.Speaker().Try(out var speaker, out refusal))
                    return refusal;
                query = query with { User = speaker.Id };
            }
            if (session.Value(farm) is { } farmName)
            {
                if (!(await catalogue.FarmAsync(farmName).ConfigureAwait(false)).Try(out var known, out refusal))
                    return refusal;
                query = query with { Farm = known.Id };
            }
            if (session.Value(node) is { } nodeName)
            {
                if (!(await catalogue.NodeAsync(nodeName).ConfigureAwait(false)).Try(out var known, out refusal))
                    return refusal;
                query = query with { Node = known.Id };
            }
            return (await ledger.AgreementsAsync(query, cancellation).ConfigureAwait(false)).Try(out var view, out refusal) ? Table(view, book) : refusal;
        });
    }

    private static Command Show(Frame frame)
    {
        var agreement = Agreement(frame);
        return frame.Reading("show", "What was signed, whole, from the proven bundle", [agreement], async (session, cancellation) =>
        {
            if (!(await FindAsync(session, session.Value(agreement), cancellation).ConfigureAwait(false)).Try(out var found, out var refusal))
                return refusal;
            var terms = Describe.Terms(found.Verified.Agreement.Version.Terms);
            using var view = System.Text.Json.JsonDocument.Parse(Document.Json(terms));
            var document = StatusView.Document(found.Verified, found.Name);
            document["terms"] = terms;
            return Outcome.Of(document, [.. StatusView.Blocks(found.Verified, found.Name), Render.Fields(view.RootElement)]);
        });
    }

    public static Command Status(Frame frame)
    {
        var agreement = Agreement(frame, "An agr1… id or a name of this machine; without it, every agreement made here");
        agreement.Arity = ArgumentArity.ZeroOrOne;
        return frame.Reading("status", "How an agreement and its workloads stand", [agreement], async (session, cancellation) =>
        {
            Refusal? refusal;
            if (session.Value(agreement) is { } text)
            {
                return (await FindAsync(session, text, cancellation).ConfigureAwait(false)).Try(out var found, out refusal) ? StatusView.Of(found.Verified, found.Name) : refusal;
            }
            if (!(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
                || !(await LaidDown.LookAsync(session, ledger, null, cancellation).ConfigureAwait(false)).Try(out var laid, out refusal))
                return refusal;
            var rows = new List<(string Name, VerifiedAgreement Verified)>();
            foreach (var name in laid.Book.Agreements.Keys)
            {
                if (!(await FindAsync(session, name, cancellation).ConfigureAwait(false)).Try(out var found, out refusal))
                    return refusal;
                rows.Add((name, found.Verified));
            }
            return Outcome.Of(
                new JsonObject { ["items"] = Render.Array([.. rows.Select(r => StatusView.Document(r.Verified, r.Name)), .. laid.Waiting.Select(d => StatusView.Document(d.Value, d.Key))]) },
                new Block.Table(["name", "status", "version", "workloads", "agreement", "why"], [.. rows.Select(r => ImmutableArray.Create<Cell>(
                    r.Name, new Cell(r.Verified.Agreement.Status, Render.InkOf(r.Verified.Agreement.Status)), $"{r.Verified.Agreement.Version.Terms.Version}",
                    $"{r.Verified.Agreement.Version.Terms.Workloads.Length}", r.Verified.Agreement.Id.ToString(),
                    StatusView.Reason(r.Verified.Agreement) ?? string.Join(", ", StatusView.WaitsFor(r.Verified)))), .. laid.Waiting.Select(d => StatusView.Row(d.Value, d.Key))], "no agreements were made on this machine"));
        });
    }

    private static Command History(Frame frame)
    {
        var agreement = Agreement(frame);
        return frame.Reading("history", "Everything that happened, in the order of the log", [agreement], async (session, cancellation) =>
        {
            if (!(await FindAsync(session, session.Value(agreement), cancellation).ConfigureAwait(false)).Try(out var found, out var refusal))
                return refusal;
            var story = Story.Of(found.Verified).ToImmutableArray();
            return Outcome.Of(
                new JsonObject { ["agreement"] = found.Verified.Agreement.Id.ToString(), ["index"] = found.Verified.Checkpoint.Size, ["items"] = Render.Array(story.Select(h => h.Document())) },
                new Block.Table(Story.Columns, [.. story.Select(h => h.Row())]));
        });
    }

    private static Command Export(Frame frame)
    {
        var agreement = Agreement(frame);
        var file = new Option<string>("--file", "-f") { Description = "Where to write the bundle, a file that is not there yet; - is standard output", Required = true, HelpName = "FILE" };
        var without = new Option<bool>("--no-receipts") { Description = "Leave out receipts that changed nothing; the same agreement is proven by a smaller file" };
        return frame.Verb("export", "Write the agreement with all its proofs into one file, for anybody to verify offline", [agreement, file, without], async (session, cancellation) =>
        {
            if ((session.Value(file) == "-" ? session.Unformed("The file on standard output") : Files.Taken(session.Value(file)!)) is { } taken)
                return taken;
            if (!(await FindAsync(session, session.Value(agreement), cancellation, !session.Value(without)).ConfigureAwait(false)).Try(out var found, out var refusal))
                return refusal;
            var bytes = BundleJson.Format(found.Bundle);
            if (session.Value(file) == "-")
                return new Outcome.Verbatim(System.Text.Encoding.UTF8.GetString(bytes) + "\n");
            if (Files.Create(session.Value(file)!, bytes) is { } failed)
                return failed;
            return Outcome.Of(
                new JsonObject { ["agreement"] = found.Verified.Agreement.Id.ToString(), ["file"] = session.Value(file), ["bytes"] = bytes.Length, ["entries"] = found.Bundle.Entries.Length, ["size"] = found.Verified.Checkpoint.Size },
                new Block.Fields([("file", session.Value(file)), ("bytes", $"{bytes.Length}"), ("entries", $"{found.Bundle.Entries.Length} of {found.Verified.Checkpoint.Size}")]),
                new Block.Next($"grid verify {session.Value(file)} --ledger-key {session.Context.LedgerKey}"));
        });
    }

    private static Command Cancel(Frame frame)
    {
        var agreement = Agreement(frame);
        var at = new Option<string?>("--at") { Description = "When it ends, such as +24h; without it, at once", HelpName = "TIME" };
        var amendment = new Option<bool>("--amendment") { Description = "Withdraw the amendment that is on its way, and keep what is in force" };
        var yes = Yes();
        return frame.Verb("cancel", "End an agreement, or withdraw it before it is agreed; works while its nodes are down", [agreement, at, amendment, yes], async (session, cancellation) =>
        {
            DateTimeOffset? time = null;
            if (session.Value(at) is { } text)
            {
                if (!Quantities.TryTime(text, out var parsed))
                    return new Refusal(CliCode.Usage, $"'--at' cannot be '{text}'.", $"Write {Quantities.TimeForm}.");
                time = parsed.From(session.Now);
            }
            if (!(await FindAsync(session, session.Value(agreement), cancellation).ConfigureAwait(false)).Try(out var found, out var refusal) || !session.Speaker().Try(out var speaker, out refusal)
                || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal))
                return refusal;
            StatementId? version = null;
            if (session.Value(amendment))
            {
                if (found.Verified.Agreement.Next is not { } next)
                    return new Refusal(RefusalCode.WrongState, "No amendment is on its way.", "Leave --amendment out to end the agreement itself.");
                version = next.Version.Id;
            }
            var question = version is not null ? $"Withdraw the amendment {version}?" : $"End '{found.Name}' {(time is null ? "now" : $"at {Render.Time(time)}")}?";
            if ((refusal = session.Confirm(question, session.Value(yes))) is not null
                || !(await session.SubmitAsync(ledger, speaker, new CancelAgreement(found.Verified.Agreement.Id, time, version), cancellation).ConfigureAwait(false)).Try(out var recorded, out refusal))
                return refusal;
            return Outcome.Of(
                new JsonObject { ["agreement"] = found.Verified.Agreement.Id.ToString(), ["events"] = Render.Texts(recorded.Events), ["index"] = recorded.Index },
                new Block.Fields([("agreement", found.Name), ("events", string.Join(", ", recorded.Events)), ("entry", $"{recorded.Index}")]));
        });
    }
}
