using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Cli.Drafts;
using Grid.Cli.Keys;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Nodes;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Commands;

internal static class NodeCommands
{
    public static Command Build(Frame frame) => Frame.Noun("node", "Nodes: machines with a key of their own",
        Invite(frame), List(frame), Show(frame), NodeStatusCommand.Build(frame), Drain(frame), Retire(frame), Alias(frame));

    public static Argument<string> Node(Frame frame)
    {
        var node = new Argument<string>("NODE") { Description = "A node1… id, an alias, a farm with one node, or FARM/N" };
        node.CompletionSources.Add(context => Completion.Nodes(frame, context.ParseResult));
        return node;
    }

    // The invite's key is made here, used once by the node that joins, and worthless afterwards.
    private static Command Invite(Frame frame)
    {
        var farm = FarmCommands.Farm(frame);
        var file = new Option<string>("--file", "-f") { Description = "Where to write the invite, mode 0600; it goes onto the node's boot media", Required = true, HelpName = "FILE" };
        var expires = new Option<string>("--expires") { Description = "How long it can be used", DefaultValueFactory = _ => "24h", HelpName = "24h" };
        return frame.Verb("invite", "Let one node join a farm", [farm, file, expires], async (session, cancellation) =>
        {
            if (!Quantities.TryDuration(session.Value(expires)!, out var length) || length == TimeSpan.Zero)
                return new Refusal(CliCode.Usage, $"'--expires' cannot be '{session.Value(expires)}'.", $"Write {Quantities.DurationForm}.");
            if (Files.Taken(session.Value(file)!) is { } taken)
                return taken;
            if (!session.Book().Try(out var book, out var refusal) || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
                || !(await new Catalogue(ledger, book, cancellation).FarmAsync(session.Value(farm)).ConfigureAwait(false)).Try(out var known, out refusal)
                || !session.Speaker(session.Context.Account ?? book.Accounts.FirstOrDefault(a => a.Value.Id == known.Account.ToString()).Key).Try(out var speaker, out refusal))
                return refusal;
            var seed = session.Shell.Random(SigningKey.SeedSize);
            using var key = SigningKey.FromSeed(seed);
            var until = session.Now + length;
            if (!(await session.SubmitAsync(ledger, speaker, new InviteNode(known.Id, key.Public, until), cancellation).ConfigureAwait(false)).Try(out var recorded, out refusal))
                return refusal;
            var invite = new JsonObject
            {
                ["version"] = 1,
                ["ledger"] = session.Context.Ledger,
                ["origin"] = ledger.Trust.Origin,
                ["ledgerKey"] = ledger.Trust.Key.ToString(),
                ["hub"] = session.Context.Hub,
                ["farm"] = known.Id.ToString(),
                ["invite"] = recorded.Statement.Id.ToString(),
                ["expires"] = Render.Time(until),
                ["seed"] = Convert.ToBase64String(seed),
            };
            if (Files.Create(session.Value(file)!, Document.Json(invite) + "\n") is { } failed)
                return failed;
            return Outcome.Of(
                new JsonObject { ["invite"] = recorded.Statement.Id.ToString(), ["farm"] = known.Id.ToString(), ["expires"] = Render.Time(until), ["file"] = session.Value(file), ["index"] = recorded.Index },
                new Block.Fields([("invite", recorded.Statement.Id.ToString()), ("farm", $"{known.Name} ({known.Id})"), ("expires", Render.Time(until)), ("file", session.Value(file)), ("entry", $"{recorded.Index}")]));
        });
    }

    private static Command List(Frame frame)
    {
        var farm = new Option<string?>("--farm") { Description = "Only this farm's", HelpName = "FARM" };
        var limit = Render.Limit();
        return frame.Reading("list", "All nodes of the ledger", [farm, limit], async (session, cancellation) =>
        {
            if (!session.Book().Try(out var book, out var refusal) || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
                || !(await ledger.NodesAsync(session.Value(farm) is null ? session.Value(limit) : null, cancellation).ConfigureAwait(false)).Try(out var view, out refusal))
                return refusal;
            if (session.Value(farm) is { } text)
            {
                if (!(await new Catalogue(ledger, book, cancellation).FarmAsync(text).ConfigureAwait(false)).Try(out var known, out refusal))
                    return refusal;
                view = Filter(view, i => Render.Text(i, "farm") == known.Id.ToString(), session.Value(limit));
            }
            return Render.List(view, "no nodes", ("node", i => Render.Text(i, "id")), ("alias", i => book.Nodes.FirstOrDefault(n => n.Value == Render.Text(i, "id")).Key),
                ("farm", i => Render.Text(i, "farm")), ("state", NodeView.State));
        });
    }

    private static Command Show(Frame frame)
    {
        var node = Node(frame);
        return frame.Reading("show", "A node as the ledger shows it", [node], async (session, cancellation) =>
            session.Book().Try(out var book, out var refusal) && (await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
            && (await new Catalogue(ledger, book, cancellation).NodeAsync(session.Value(node)).ConfigureAwait(false)).Try(out var known, out refusal)
            && (await ledger.NodeAsync(known.Id, cancellation).ConfigureAwait(false)).Try(out var view, out refusal)
                ? NodeView.Of(view)
                : refusal);
    }

    private static Command Drain(Frame frame)
    {
        var node = Node(frame);
        var reason = new Option<string>("--reason") { Description = "Why, for whoever is refused", DefaultValueFactory = _ => "It is being taken out of service.", HelpName = "TEXT" };
        var lift = new Option<bool>("--lift") { Description = "Let new agreements come again" };
        return frame.Verb("drain", "Let nothing new come to a node; what is agreed stays until it ends", [node, reason, lift], async (session, cancellation) =>
        {
            var drains = !session.Value(lift);
            if (drains && (session.Value(reason)!.Length == 0 || System.Text.Encoding.UTF8.GetByteCount(session.Value(reason)!) > DrainNode.LongestReason))
                return new Refusal(CliCode.Usage, $"'--reason' is a text of at most {DrainNode.LongestReason} bytes.", "Say it in fewer words.");
            if (!session.Book().Try(out var book, out var refusal) || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
                || !(await new Catalogue(ledger, book, cancellation).NodeAsync(session.Value(node)).ConfigureAwait(false)).Try(out var known, out refusal)
                || !session.Speaker().Try(out var speaker, out refusal)
                || !(await session.SubmitAsync(ledger, speaker, new DrainNode(known.Id, drains, drains ? session.Value(reason)! : ""), cancellation).ConfigureAwait(false)).Try(out var recorded, out refusal))
                return refusal;
            return Outcome.Of(
                new JsonObject { ["node"] = known.Id.ToString(), ["drains"] = drains, ["index"] = recorded.Index },
                new Block.Fields([("node", known.Id.ToString()), ("drains", drains ? session.Value(reason) : "no"), ("entry", $"{recorded.Index}")]));
        });
    }

    private static Command Retire(Frame frame)
    {
        var node = Node(frame);
        var breach = new Option<bool>("--breach") { Description = "Even while agreements run; each then ends as the farmer's breach" };
        var yes = AgreementCommands.Yes();
        return frame.Verb("retire", "Take a node out for good", [node, breach, yes], async (session, cancellation) =>
        {
            if (!session.Book().Try(out var book, out var refusal) || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
                || !(await new Catalogue(ledger, book, cancellation).NodeAsync(session.Value(node)).ConfigureAwait(false)).Try(out var known, out refusal)
                || !session.Speaker().Try(out var speaker, out refusal)
                || (refusal = session.Confirm($"Retire {known.Id}{(session.Value(breach) ? ", breaking what runs on it" : "")}?", session.Value(yes))) is not null
                || !(await session.SubmitAsync(ledger, speaker, new RetireNode(known.Id, session.Value(breach)), cancellation).ConfigureAwait(false)).Try(out var recorded, out refusal))
                return refusal.Code == RefusalCode.AgreementsRunning ? refusal with { Next = "Announce their end with 'grid cancel AGREEMENT --at TIME' and wait for it, or add --breach: each then ends as the farmer's breach." } : refusal;
            return Outcome.Of(
                new JsonObject { ["node"] = known.Id.ToString(), ["events"] = Render.Texts(recorded.Events), ["index"] = recorded.Index },
                new Block.Fields([("node", known.Id.ToString()), ("events", string.Join(", ", recorded.Events)), ("entry", $"{recorded.Index}")]));
        });
    }

    private static Command Alias(Frame frame)
    {
        var node = Node(frame);
        var alias = new Argument<string>("ALIAS") { Description = "What to call it on this machine" };
        return frame.Verb("alias", "Name a node on this machine", [node, alias], async (session, cancellation) =>
        {
            if (!Names.IsValid(session.Value(alias), 1, 40))
                return new Refusal(RefusalCode.NameInvalid, $"'{session.Value(alias)}' cannot be an alias.", "Names have 1–40 lower-case letters, digits and hyphens.");
            if (!session.Book().Try(out var book, out var refusal) || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
                || !(await new Catalogue(ledger, book, cancellation).NodeAsync(session.Value(node)).ConfigureAwait(false)).Try(out var known, out refusal)
                || (refusal = (book with { Nodes = book.Nodes.SetItem(session.Value(alias), known.Id.ToString()) }).Save(session.Context.BookFile)) is not null)
                return refusal;
            return Outcome.Of(new JsonObject { ["alias"] = session.Value(alias), ["node"] = known.Id.ToString() }, Block.Line($"{session.Value(alias)} is {known.Id}"));
        });
    }

    private static Client.LedgerView Filter(Client.LedgerView view, Func<System.Text.Json.JsonElement, bool> keep, int? limit)
    {
        var body = Render.Node(view.Body).AsObject();
        body["items"] = Render.Array(Render.Items(view).Where(keep).Take(limit ?? int.MaxValue).Select(Render.Node));
        using var parsed = System.Text.Json.JsonDocument.Parse(Document.Json(body));
        return view with { Body = parsed.RootElement.Clone() };
    }
}
