using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Client;
using Grid.Farms;
using Grid.Units;

namespace Grid.Cli.Commands;

internal static class FarmCommands
{
    private const int LongestList = 1 << 20;

    public static Command Build(Frame frame) => Frame.Noun("farm", "Farms: the nodes of one account under one name", Register(frame), Addresses(frame), List(frame), Show(frame));

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

    private static Command Addresses(Frame frame)
    {
        var farm = Farm(frame);
        var given = new Argument<string[]>("ADDRESS") { Description = "ADDRESS/BITS@GATEWAY, such as 203.0.113.7/24@203.0.113.1", Arity = ArgumentArity.ZeroOrMore };
        var file = new Option<string?>("--file", "-f") { Description = "The same, one on each line; - reads standard input", HelpName = "FILE" };
        var none = new Option<bool>("--none") { Description = "The farm has no public addresses" };
        return frame.Verb("addresses", "Say what all the public addresses of a farm are", [farm, given, file, none], async (session, cancellation) =>
        {
            var texts = session.Value(given) ?? [];
            Refusal? refusal;
            if (session.Value(file) is { } path)
            {
                string? text;
                if (path == "-")
                    text = await session.Shell.In.ReadToEndAsync(cancellation).ConfigureAwait(false);
                else if (!Files.ReadText(path, LongestList).Try(out text, out refusal))
                    return refusal;
                texts = [.. texts, .. text.Split('\n').Select(l => l.Split('#')[0].Trim()).Where(l => l.Length > 0)];
            }
            if (texts.Length == 0 != session.Value(none))
                return new Refusal(CliCode.Usage, "The list is given whole, or it is --none.", "Write every address, here or with -f FILE.");
            if (!Read(texts).Try(out var addresses, out refusal)
                || !session.Book().Try(out var book, out refusal) || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
                || !(await new Catalogue(ledger, book, cancellation).FarmAsync(session.Value(farm)).ConfigureAwait(false)).Try(out var known, out refusal)
                || !session.Speaker(session.Context.Account ?? book.Accounts.FirstOrDefault(a => a.Value.Id == known.Account.ToString()).Key).Try(out var speaker, out refusal)
                || !(await session.SubmitAsync(ledger, speaker, new ListAddresses(known.Id, addresses), cancellation).ConfigureAwait(false)).Try(out var recorded, out refusal))
                return refusal;
            return Outcome.Of(
                new JsonObject { ["farm"] = known.Id.ToString(), ["addresses"] = Render.Texts(addresses.Select(a => a.ToString())), ["index"] = recorded.Index },
                new Block.Fields([("farm", $"{known.Name} ({known.Id})"), ("addresses", addresses.IsEmpty ? "none" : string.Join("\n", addresses)), ("entry", $"{recorded.Index}")]));
        });
    }

    private static Answer<ImmutableArray<FarmAddress>> Read(IEnumerable<string> texts)
    {
        var addresses = new List<FarmAddress>();
        foreach (var text in texts)
        {
            if (!FarmAddress.TryParse(text, out var address))
                return new Refusal(RefusalCode.Malformed, $"'{text}' is no address of a farm.", "Write ADDRESS/BITS@GATEWAY, such as 203.0.113.7/24@203.0.113.1.");
            if (addresses.Exists(a => a.Address.Equals(address!.Address)))
                return new Refusal(RefusalCode.Malformed, $"{address!.Address} is there twice.", "Write it once.");
            addresses.Add(address!);
        }
        var sorted = FarmAddress.Sorted(addresses);
        if (sorted.Length > ListAddresses.Maximum)
            return new Refusal(RefusalCode.TooLarge, $"A farm lists at most {ListAddresses.Maximum} addresses.", "Register another farm for the rest: 'grid farm register'.");
        return ListAddresses.Check(sorted) is { } refusal ? refusal : sorted;
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
