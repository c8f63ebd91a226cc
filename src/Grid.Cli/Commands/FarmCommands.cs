using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Cli.Output;
using Grid.Farms;
using Grid.Units;

namespace Grid.Cli.Commands;

internal static class FarmCommands
{
    public static Command Build(Frame frame) => Frame.Noun("farm", "Farms: the nodes of one account under one name", Register(frame), List(frame), Show(frame));

    public static Argument<string> Farm(Frame frame)
    {
        var farm = new Argument<string>("FARM") { Description = "A farm's name or farm1… id" };
        farm.CompletionSources.Add(context => Completion.Farms(frame, context.ParseResult));
        return farm;
    }

    private static Command Register(Frame frame)
    {
        var name = new Argument<string>("NAME") { Description = "3–40 of [a-z0-9-], unique in the ledger" };
        return frame.Verb("register", "Found a farm of the account that speaks", [name], async (session, cancellation) =>
        {
            if (!Names.IsValid(session.Value(name), 3, 40))
                return new Refusal(RefusalCode.NameInvalid, $"'{session.Value(name)}' cannot be a farm's name.", "Use 3–40 of a–z, 0–9 and hyphens, none at either end.");
            if (!session.Speaker().Try(out var speaker, out var refusal) || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
                || !(await session.SubmitAsync(ledger, speaker, new RegisterFarm(session.Value(name)), cancellation).ConfigureAwait(false)).Try(out var recorded, out refusal))
                return refusal;
            var id = new FarmId(recorded.Statement.Id.Value).ToString();
            return Outcome.Of(
                new JsonObject { ["name"] = session.Value(name), ["id"] = id, ["account"] = speaker.Id.ToString(), ["index"] = recorded.Index },
                new Block.Fields([("name", session.Value(name)), ("farm", id), ("account", speaker.Id.ToString()), ("entry", $"{recorded.Index}")]));
        });
    }

    private static Command List(Frame frame)
    {
        var limit = Render.Limit();
        return frame.Reading("list", "All farms of the ledger", [limit], async (session, cancellation) =>
            (await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out var refusal)
            && (await ledger.FarmsAsync(session.Value(limit), cancellation).ConfigureAwait(false)).Try(out var view, out refusal)
                ? Render.List(view, "no farms", ("name", i => Render.Text(i, "name")), ("farm", i => Render.Text(i, "id")), ("account", i => Render.Text(i, "account")))
                : refusal);
    }

    private static Command Show(Frame frame)
    {
        var farm = Farm(frame);
        return frame.Reading("show", "A farm as the ledger shows it", [farm], async (session, cancellation) =>
            session.Book().Try(out var book, out var refusal) && (await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
            && (await new Catalogue(ledger, book, cancellation).FarmAsync(session.Value(farm)).ConfigureAwait(false)).Try(out var known, out refusal)
            && (await ledger.FarmAsync(known.Id, cancellation).ConfigureAwait(false)).Try(out var view, out refusal)
                ? Outcome.Of(Render.Node(view.Body), Render.Fields(view.Body))
                : refusal);
    }
}
