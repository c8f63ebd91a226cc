using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Client;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Commands;

/// <summary>Offline: reads one file and one public key, and nothing else.</summary>
internal static class VerifyCommand
{
    public static Command Build(Frame frame)
    {
        var file = new Argument<string>("FILE") { Description = "A bundle, as 'grid agreement export' writes it" };
        return frame.Verb("verify", "Verify an exported agreement fully offline. Exits 0 when all holds, 1 when something does not", [file], (session, _) => Task.FromResult(Run(session, session.Value(file))));
    }

    private static Outcome Run(Session session, string file)
    {
        if (session.Context.LedgerKey is not { } text)
            return new Refusal(CliCode.LedgerNotPinned, "Without the ledger's public key nothing can be verified.", "Give it with --ledger-key key1….");
        if (!Id.TryParse<PublicKey>(text, out var key))
            return new Refusal(CliCode.ConfigInvalid, $"'{text}' is not a public key of the form key1….", "Ask the ledger's operator for it, and give it with --ledger-key.");
        if (!Files.ReadBytes(file, LedgerClient.MaximumBundle).Try(out var bytes, out var refusal))
            return refusal;
        if (!BundleJson.TryParse(bytes, out var bundle, out refusal))
            return Verdict(file, null, null, refusal);
        // The name is the bundle's own word unless it is pinned; the key signs for one name only, so another would not verify.
        refusal = bundle.Verify(session.Context.Origin ?? bundle.Origin, key, out var verified);
        return Verdict(file, bundle, verified, refusal);
    }

    private static Outcome Verdict(string file, Bundle? bundle, VerifiedAgreement? verified, Refusal? refusal)
    {
        var checks = verified is null ? [] : Checks(verified);
        var document = new JsonObject
        {
            ["file"] = file,
            ["verdict"] = verified is null ? "does-not-hold" : "holds",
            ["agreement"] = bundle?.Agreement.ToString(),
            ["origin"] = bundle?.Origin,
            ["status"] = verified?.Agreement.Status,
            ["version"] = verified?.Agreement.Version.Terms.Version,
            ["size"] = verified?.Checkpoint.Size,
            ["lastEntry"] = verified?.History[^1].Index,
            ["root"] = verified?.Checkpoint.Root.ToString(),
            ["checks"] = Render.Array(checks.Select(c => new JsonObject { ["check"] = c.Name, ["holds"] = true, ["detail"] = c.Detail })),
            ["error"] = refusal is null ? null : new JsonObject { ["code"] = refusal.Code, ["detail"] = refusal.Detail, ["next"] = Advice.Next(new Problem(refusal)) },
        };
        return verified is null
            ? new Outcome.Done(document, [new Block.Lines([new Cell($"DOES NOT HOLD  {refusal!.Code}: {refusal.Detail}", Ink.Bad)]), Block.Line($"  next: {Advice.Next(new Problem(refusal))}")], Exit.Negative)
            : new Outcome.Done(document,
            [
                new Block.Table(["check", "verdict", "detail"], [.. checks.Select(c => ImmutableArray.Create<Cell>(c.Name, new Cell("holds", Ink.Good), c.Detail))]),
                new Block.Fields([("agreement", verified.Agreement.Id.ToString()), ("status", verified.Agreement.Status), ("as of", $"entry {verified.History[^1].Index} in a log of {verified.Checkpoint.Size}, {Render.Time(verified.State.Time)}")]),
                Block.Line("HOLDS", Ink.Good),
                Block.Line($"Whoever kept this file can have left later entries out, a cancel among them: 'grid agreement show {verified.Agreement.Id}' asks the ledger.", Ink.Faint),
            ]);
    }

    private static ImmutableArray<(string Name, string Detail)> Checks(VerifiedAgreement verified)
    {
        var signatures = verified.History.Sum(e => e.Statement.Signatures.Length);
        var terms = verified.Agreement.Version;
        var signers = verified.History.Last(e => e.Statement.Id == terms.Id).Statement.Signatures.Length;
        var receipts = verified.History.Count(e => e.Statement.Payload.Body is Receipt r && r.Agreement == verified.Agreement.Id);
        return
        [
            ("checkpoint", $"signed by {verified.State.LedgerKey} for '{verified.Checkpoint.Origin}'"),
            ("inclusion", $"{verified.History.Length} entries are in the log of {verified.Checkpoint.Size}, root {verified.Checkpoint.Root}"),
            ("signatures", $"{signatures} by Ed25519 over the exact bytes"),
            ("consent", $"version {terms.Terms.Version} ({terms.Id}) carries {signers} signatures of user and farms"),
            ("state", $"every decision made again: {verified.Agreement.Status}{(StatusView.Reason(verified.Agreement) is { } reason ? $" ({reason})" : "")}"),
            ("receipts", receipts == 0 ? "none in this file" : $"{receipts}, each signed by its node"),
        ];
    }
}
