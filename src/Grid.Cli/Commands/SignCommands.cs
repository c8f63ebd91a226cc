using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Cli.Output;
using Grid.Client;
using Grid.Offers;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Cli.Commands;

/// <summary>The farmer's side: see what was proposed, hold it against the offer oneself, sign the very same bytes.</summary>
internal static class SignCommands
{
    public static Command Sign(Frame frame)
    {
        var agreement = AgreementCommands.Agreement(frame, "An agr1… id, a name of this machine, or the st1… id of a draft");
        agreement.CompletionSources.Add(context => Completion.Drafts(frame, context.ParseResult));
        var yes = AgreementCommands.Yes();
        var sign = frame.Verb("sign", "Countersign what was proposed, after checking it against the offer", [agreement, yes], async (session, cancellation) =>
        {
            if (!(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out var refusal) || !session.Speaker().Try(out var speaker, out refusal))
                return refusal;
            if (Id.TryParse<StatementId>(session.Value(agreement), out var draft))
                return await DraftAsync(session, ledger, speaker, draft, session.Value(yes), cancellation).ConfigureAwait(false);
            if (!(await AgreementCommands.FindAsync(session, session.Value(agreement), cancellation).ConfigureAwait(false)).Try(out var found, out refusal))
                return refusal;
            var waiting = found.Verified.Agreement switch
            {
                Agreement.Proposed p => p.Version,
                Agreement.InForce { Amendment: Amendment.Proposed n } => n.Version,
                _ => null,
            };
            if (waiting is null)
                return new Refusal(RefusalCode.WrongState, $"The agreement is {found.Verified.Agreement.Status}; nothing of it waits for a signature.", "'grid agreement list --status proposed' shows what waits.");
            var proposed = found.Verified.History.Last(e => e.Statement.Id == waiting.Id).Statement;
            return await CountersignAsync(session, ledger, speaker, proposed, waiting.Terms, found.Verified, session.Value(yes), cancellation).ConfigureAwait(false);
        });
        sign.Aliases.Add("countersign");
        return sign;
    }

    private static async Task<Outcome> CountersignAsync(
        Session session, LedgerClient ledger, Speaker speaker, Statement proposed, AgreementTerms terms, VerifiedAgreement verified, bool yes, CancellationToken cancellation)
    {
        var own = terms.Farms.Where(f => verified.State.Farms.TryGetValue(f.Farm, out var farm) && farm.Account == speaker.Id).ToImmutableArray();
        if (own.IsEmpty)
            return new Refusal(RefusalCode.NotAParty, $"No farm of '{speaker.Name}' is named in it.", "Say with --account which farmer signs.");
        // The farmer's own check, by the same rules the ledger uses, on proven statements only.
        if (Agreeable.Check(verified.State, terms, terms.Amends is null ? null : verified.Agreement, session.Now) is { } broken)
            return broken with { Next = "Do not sign it; let it lapse, or decline with 'grid cancel'." };
        Show(session, proposed, terms, own, verified);
        if (session.Confirm($"Sign these bytes ({proposed.Id}) as '{speaker.Name}'?", yes) is { } no)
            return no;
        if (!session.Sign(proposed.PayloadBytes.ToArray(), speaker.Keys).Try(out var signature, out var refusal)
            || !(await session.SubmitAsync(ledger, proposed.Merge(signature), cancellation).ConfigureAwait(false)).Try(out var recorded, out refusal))
            return refusal;
        var document = new JsonObject
        {
            ["agreement"] = verified.Agreement.Id.ToString(),
            ["version"] = proposed.Id.ToString(),
            ["farms"] = Render.Texts(own.Select(f => f.Farm.ToString())),
            ["events"] = Render.Texts(recorded.Events),
            ["known"] = recorded.Known,
            ["index"] = recorded.Index,
        };
        return Outcome.Of(document, new Block.Fields(
            [("agreement", verified.Agreement.Id.ToString()), ("signed as", speaker.Name), ("events", recorded.Known ? "signed before" : string.Join(", ", recorded.Events)), ("entry", $"{recorded.Index}")]));
    }

    // For accounts of several keys: adds this machine's signatures, and submits when they are enough.
    private static async Task<Outcome> DraftAsync(Session session, LedgerClient ledger, Speaker speaker, StatementId id, bool yes, CancellationToken cancellation)
    {
        if (!(await ledger.DraftsAsync(speaker.Id, cancellation).ConfigureAwait(false)).Try(out var drafts, out var refusal))
            return refusal;
        if (drafts.FirstOrDefault(d => d.Id == id) is not { } draft)
            return new Refusal(RefusalCode.NotFound, $"No draft {id} waits for '{speaker.Name}'.", "See 'grid agreement drafts'; one that is recorded waits no more.");
        if (draft.Payload.Body is AgreementTerms terms && !session.Quiet && session.Format == Format.Table)
            new Page(session.Shell.Error, colour: false).Write([new Block.Lines([.. Document.Yaml(Describe.Terms(terms)).TrimEnd().Split('\n').Select(l => new Cell(l))])]);
        if ((refusal = session.Confirm($"Sign these bytes ({id}, {draft.Payload.Body.Kind}) as '{speaker.Name}'?", yes)) is not null
            || !session.Sign(draft.PayloadBytes.ToArray(), speaker.Keys).Try(out var signature, out refusal))
            return refusal;
        var merged = draft.Merge(signature);
        var answer = await session.SubmitAsync(ledger, merged, cancellation).ConfigureAwait(false);
        if (answer.Try(out var recorded, out refusal))
            return Outcome.Of(new JsonObject { ["id"] = id.ToString(), ["events"] = Render.Texts(recorded.Events), ["index"] = recorded.Index }, Block.Line($"Recorded as entry {recorded.Index}: {string.Join(", ", recorded.Events)}"));
        if (refusal.Code != RefusalCode.SignatureMissing)
            return refusal;
        return (await ledger.DraftAsync(merged, cancellation).ConfigureAwait(false)).Try(out _, out var refused)
            ? Outcome.Of(new JsonObject { ["draft"] = id.ToString(), ["signatures"] = merged.Signatures.Length }, Block.Line($"Signed; it waits for more signatures ({merged.Signatures.Length} so far)."))
            : refused;
    }

    private static void Show(Session session, Statement proposed, AgreementTerms terms, ImmutableArray<FarmPart> own, VerifiedAgreement verified)
    {
        if (session.Quiet || session.Format != Format.Table)
            return;
        var before = terms.Amends is null ? null : verified.Agreement.Version.Terms;
        var lines = Drafts.Difference.Between(before, terms).Select(c => new Cell($"{c.Sign} {c.Path}: {(c.Sign == '-' ? c.Before : c.Sign == '+' ? c.After : $"{c.Before} -> {c.After}")}"));
        var checks = own.Select(part =>
        {
            var offer = verified.State.Offers[part.Offer].Terms;
            var use = part.Nodes.Aggregate(Capacity.None, (sum, n) => sum + terms.DemandOn(n));
            return (Name: verified.State.Farms[part.Farm].Name, Value: (Cell)$"takes {use}; by offer {part.Offer} {Render.PriceLine(offer.Prices.Rate(use), offer.Currency)}: agrees");
        });
        new Page(session.Shell.Error, colour: false).Write([Block.Line($"Version {terms.Version}, {proposed.Id}:"), new Block.Lines([.. lines]), new Block.Fields([.. checks])]);
    }
}
