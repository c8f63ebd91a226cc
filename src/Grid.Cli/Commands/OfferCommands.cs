using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Cli.Drafts;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Cli.Yaml;
using Grid.Offers;
using Grid.Units;

namespace Grid.Cli.Commands;

internal static class OfferCommands
{
    public static Command Build(Frame frame) => Frame.Noun("offer", "Offers: a farmer's signed prices and conditions", Post(frame), Withdraw(frame), List(frame), Show(frame));

    private static Argument<string> Offer(Frame frame)
    {
        var offer = new Argument<string>("OFFER") { Description = "An offer1… id or a name of this machine" };
        offer.CompletionSources.Add(context => Completion.Offers(frame, context.ParseResult));
        return offer;
    }

    private static Command Post(Frame frame)
    {
        var farm = FarmCommands.Farm(frame);
        var file = new Option<string>("--file", "-f") { Description = "The offer as YAML; - reads standard input", Required = true, HelpName = "FILE" };
        var name = new Option<string?>("--name") { Description = "What to call it on this machine", HelpName = "NAME" };
        return frame.Verb("post", "Sign and publish an offer", [farm, file, name], async (session, cancellation) =>
        {
            var path = session.Value(file)!;
            string? text;
            Refusal? refusal;
            if (path == "-")
                text = await session.Shell.In.ReadToEndAsync(cancellation).ConfigureAwait(false);
            else if (!Files.ReadText(path, YamlText.MaximumLength).Try(out text, out refusal))
                return refusal;
            if (OfferReader.Read(text, session.Now, out var faults) is not { } draft)
                return new Outcome.Failed([.. faults.Select(f => new Problem(f.Refusal, $"{path}:{f.At}"))]);
            if (!session.Book().Try(out var book, out refusal) || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal))
                return refusal;
            var catalogue = new Catalogue(ledger, book, cancellation);
            if (!(await catalogue.FarmAsync(session.Value(farm)).ConfigureAwait(false)).Try(out var known, out refusal)
                || !session.Speaker(session.Context.Account ?? book.Accounts.FirstOrDefault(a => a.Value.Id == known.Account.ToString()).Key).Try(out var speaker, out refusal))
                return refusal;
            var nodes = ImmutableSortedDictionary.CreateBuilder<Digest, NodeId>();
            foreach (var node in draft.Nodes)
            {
                if (!(await catalogue.NodeAsync(node.Text).ConfigureAwait(false)).Try(out var found, out refusal))
                    return new Outcome.Failed([new Problem(refusal, $"{path}:{node.At}")]);
                nodes[found.Id.Value] = found.Id;
            }
            var body = draft.Terms with { Farm = known.Id, Nodes = [.. nodes.Values] };
            if (!(await session.SubmitAsync(ledger, speaker, body, cancellation).ConfigureAwait(false)).Try(out var recorded, out refusal))
                return refusal;
            var id = new OfferId(recorded.Statement.Id.Value).ToString();
            if (session.Value(name) is { } called && (refusal = (book with { Offers = book.Offers.SetItem(called, id) }).Save(session.Context.BookFile)) is not null)
                return refusal;
            return Outcome.Of(
                new JsonObject { ["id"] = id, ["farm"] = known.Id.ToString(), ["expires"] = Render.Time(body.Expires), ["index"] = recorded.Index },
                new Block.Fields([("offer", id), ("farm", $"{known.Name} ({known.Id})"), ("expires", Render.Time(body.Expires)), ("entry", $"{recorded.Index}")]));
        });
    }

    private static Command Withdraw(Frame frame)
    {
        var offer = Offer(frame);
        return frame.Verb("withdraw", "Stop new agreements under an offer; running ones stay", [offer], async (session, cancellation) =>
            session.Book().Try(out var book, out var refusal) && (await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
            && (await new Catalogue(ledger, book, cancellation).OfferAsync(session.Value(offer)).ConfigureAwait(false)).Try(out var known, out refusal)
            && session.Speaker().Try(out var speaker, out refusal)
            && (await session.SubmitAsync(ledger, speaker, new WithdrawOffer(known.Id), cancellation).ConfigureAwait(false)).Try(out var recorded, out refusal)
                ? Outcome.Of(new JsonObject { ["id"] = known.Id.ToString(), ["index"] = recorded.Index }, Block.Line($"{known.Id} is withdrawn (entry {recorded.Index})"))
                : refusal);
    }

    private static Command List(Frame frame)
    {
        var limit = Render.Limit();
        return frame.Reading("list", "All offers of the ledger", [limit], async (session, cancellation) =>
            session.Book().Try(out var book, out var refusal) && (await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
            && (await ledger.OffersAsync(session.Value(limit), cancellation).ConfigureAwait(false)).Try(out var view, out refusal)
                ? Render.List(view, "no offers", ("offer", i => Render.Text(i, "id")), ("name", i => book.Offers.FirstOrDefault(o => o.Value == Render.Text(i, "id")).Key),
                    ("farm", i => Render.Text(i, "farm")), ("expires", i => Render.Text(i, "expires")), ("withdrawn", i => Render.Text(i, "withdrawn")))
                : refusal);
    }

    // From the signed statement, not from the ledger's view of it.
    private static Command Show(Frame frame)
    {
        var offer = Offer(frame);
        return frame.Reading("show", "What an offer says, as its farmer signed it", [offer], async (session, cancellation) =>
        {
            if (!session.Book().Try(out var book, out var refusal) || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
                || !(await new Catalogue(ledger, book, cancellation).OfferAsync(session.Value(offer)).ConfigureAwait(false)).Try(out var known, out refusal))
                return refusal;
            var document = Describe.Offer(known.Id, known.Terms);
            using var view = System.Text.Json.JsonDocument.Parse(Document.Json(document));
            return Outcome.Of(document, Render.Fields(view.RootElement));
        });
    }
}
