using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Cli.Output;
using Grid.Client;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Commands;

/// <summary>What was laid down half-signed where an account has a say. Whoever signs next is shown all of it first.</summary>
internal static class DraftsCommand
{
    public static Command Build(Frame frame) => frame.Reading("drafts", "Half-signed statements in which the account has a say, and whether this machine's keys have signed them", [], async (session, cancellation) =>
    {
        if (!session.Speaker().Try(out var speaker, out var refusal) || !session.Book().Try(out var book, out refusal)
            || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
            || !(await ledger.DraftsAsync(speaker.Id, cancellation).ConfigureAwait(false)).Try(out var drafts, out refusal)
            || !Keys(session, speaker).Try(out var own, out refusal))
            return refusal;
        var policies = new Dictionary<Digest, (int Threshold, ImmutableArray<string> Keys)>();
        foreach (var by in drafts.Select(d => d.Payload.By).OfType<Digest>().Distinct())
        {
            if (!(await ledger.AccountAsync(new AccountId(by), cancellation).ConfigureAwait(false)).Try(out var view, out refusal))
                return refusal;
            policies[by] = Policy(view.Body);
        }
        var items = drafts.Select(d => new Waiting(d, policies.GetValueOrDefault(d.Payload.By ?? default, (0, [])), own.All(d.Signers.Contains))).ToImmutableArray();
        Block[] next = items.FirstOrDefault(i => !i.Signed) is { } first ? [new Block.Next($"grid agreement sign {first.Draft.Id}")] : [];
        return Outcome.Of(
            new JsonObject { ["account"] = speaker.Id.ToString(), ["items"] = Render.Array(items.Select(i => i.Document())) },
            [new Block.Table(["draft", "what", "by", "signatures", "yours", "until"], [.. items.Select(i => i.Row(book))], $"no drafts wait where '{speaker.Name}' has a say"), .. next]);
    });

    private static Answer<ImmutableArray<PublicKey>> Keys(Session session, Speaker speaker)
    {
        var found = ImmutableArray.CreateBuilder<PublicKey>();
        foreach (var name in speaker.Keys)
        {
            if (!session.Keys.Load(name).Try(out var key, out var refusal))
                return refusal;
            found.Add(key.Public);
        }
        return found.ToImmutable();
    }

    private static (int Threshold, ImmutableArray<string> Keys) Policy(JsonElement view) =>
        view.TryGetProperty("account", out var account) && account.TryGetProperty("threshold", out var threshold) && threshold.TryGetInt32(out var count)
        && account.TryGetProperty("keys", out var keys) && keys.ValueKind == JsonValueKind.Array
            ? (count, [.. keys.EnumerateArray().Select(k => k.ToString())])
            : (0, []);

    private sealed record Waiting(Statement Draft, (int Threshold, ImmutableArray<string> Keys) Policy, bool Signed)
    {
        // Of the account that speaks; a farm's signatures on an agreement come on top.
        private int Signatures => Draft.Signers.Count(k => Policy.Keys.Contains(k.ToString()));

        private string? By => Draft.Payload.By is { } by ? new AccountId(by).ToString() : null;

        public JsonObject Document() => new()
        {
            ["id"] = Draft.Id.ToString(),
            ["kind"] = Draft.Payload.Body.Kind,
            ["by"] = By,
            ["signers"] = Render.Texts(Draft.Signers.Select(k => k.ToString())),
            ["signatures"] = Signatures,
            ["threshold"] = Policy.Threshold,
            ["signed"] = Signed,
            ["until"] = Render.Time(Draft.Payload.Until),
        };

        public ImmutableArray<Cell> Row(Settings.Book book)
        {
            var what = Draft.Payload.Body is AgreementTerms terms
                ? $"{(terms.Amends is { } amends ? $"version {terms.Version} of {book.NameOf(amends.Agreement)}" : "new agreement")}: {string.Join(", ", terms.Workloads.Select(w => w.Name))}"
                : Draft.Payload.Body.Kind;
            return [Draft.Id.ToString(), what, book.Accounts.FirstOrDefault(a => a.Value.Id == By).Key ?? By, $"{Signatures} of {Policy.Threshold}", Signed ? new Cell("given", Ink.Good) : new Cell("missing", Ink.Notice), Render.Time(Draft.Payload.Until)];
        }
    }
}
