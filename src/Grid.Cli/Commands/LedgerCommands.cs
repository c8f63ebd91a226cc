using System.Collections.Immutable;
using System.CommandLine;
using System.Text;
using System.Text.Json.Nodes;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Client;
using Grid.Log;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Commands;

internal static class LedgerCommands
{
    public static Command Build(Frame frame) => Frame.Noun("ledger", "The ledger itself: what it is, what it recorded, whether it is true", Trust(frame), Status(frame), Proof(frame), Entries(frame), Audit(frame));

    private static Command Trust(Frame frame)
    {
        var url = new Argument<string>("URL") { Description = "The ledger's address" };
        var yes = AgreementCommands.Yes();
        return frame.Verb("trust", "Pin a ledger: its address, its name and its public key", [url, yes], async (session, cancellation) =>
        {
            if (!session.LedgerAddress(session.Value(url)).Try(out var server, out var refusal))
                return refusal;
            using var http = session.Shell.Http(server);
            if (!(await LedgerClient.DiscoverAsync(http, session.Shell.Time, cancellation).ConfigureAwait(false)).Try(out var info, out refusal))
                return refusal;
            if (session.Context.LedgerKey is { } wanted && wanted != info.Key.ToString())
                return new Refusal(RefusalCode.WrongLedger, $"The server signs with {info.Key}; {wanted} is wanted.", "Check the address, or ask its operator for the key.");
            // Without a key to compare with, this is the one moment at which the server's word is taken.
            if (session.Context.LedgerKey is null && (refusal = session.Confirm($"The ledger '{info.Origin}' says its key is {info.Key}. Does its operator say so too?", session.Value(yes))) is not null)
                return refusal;
            using var ledger = new LedgerClient(session.Shell.Http(server), new LedgerTrust(info.Origin, info.Key), new FileCheckpointStore(session.Context.SeenFile(info.Key)), session.Shell.Time);
            if (!(await ledger.CheckpointAsync(cancellation).ConfigureAwait(false)).Try(out var found, out refusal))
                return refusal;
            var address = server.ToString().TrimEnd('/');
            refusal = Context.Save(session.Context.Home, new Dictionary<string, string> { ["ledger"] = address, ["ledgerKey"] = info.Key.ToString(), ["origin"] = info.Origin });
            return refusal is not null ? refusal : Outcome.Of(
                new JsonObject { ["ledger"] = address, ["origin"] = info.Origin, ["key"] = info.Key.ToString(), ["size"] = found.Checkpoint.Size },
                new Block.Fields([("ledger", address), ("origin", info.Origin), ("key", info.Key.ToString()), ("entries", $"{found.Checkpoint.Size}")]));
        });
    }

    private static Command Status(Frame frame) => frame.Reading("status", "The ledger's size and root, held against what was seen before", [], async (session, cancellation) =>
    {
        if (!(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out var refusal) || !(await ledger.InfoAsync(cancellation).ConfigureAwait(false)).Try(out var info, out refusal)
            || !(await ledger.CheckpointAsync(cancellation).ConfigureAwait(false)).Try(out var found, out refusal))
            return refusal;
        return Outcome.Of(
            new JsonObject { ["origin"] = info.Origin, ["key"] = info.Key.ToString(), ["version"] = info.Version, ["size"] = found.Checkpoint.Size, ["root"] = found.Checkpoint.Root.ToString(), ["checkpoint"] = found.Note },
            new Block.Fields([("origin", info.Origin), ("key", info.Key.ToString()), ("entries", $"{found.Checkpoint.Size}"), ("root", found.Checkpoint.Root.ToString()), ("checkpoint", new Cell("signed, and consistent with all seen before", Ink.Good))]));
    });

    private static Command Proof(Frame frame)
    {
        var statement = new Argument<string>("STATEMENT") { Description = "A st1… id, or any id that a statement founded" };
        return frame.Verb("proof", "Prove that a statement is in the log", [statement], async (session, cancellation) =>
        {
            if (!Bech32m.TryDecode(session.Value(statement), out _, out var bytes) || bytes.Length != Digest.Size)
                return new Refusal(CliCode.Usage, $"'{session.Value(statement)}' is not an id; a letter may be missing or mistyped.", "See 'grid ledger entries'.");
            if (!(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out var refusal)
                || !(await ledger.StatementAsync(new StatementId(new Digest(bytes)), cancellation).ConfigureAwait(false)).Try(out var recorded, out refusal))
                return refusal;
            return Outcome.Of(
                new JsonObject
                {
                    ["id"] = recorded.Statement.Id.ToString(),
                    ["kind"] = recorded.Statement.Payload.Body.Kind,
                    ["index"] = recorded.Index,
                    ["time"] = Render.Time(recorded.Time),
                    ["signers"] = Render.Texts(recorded.Statement.Signers.Select(k => k.ToString())),
                    ["events"] = Render.Texts(recorded.Events),
                    ["size"] = recorded.Checkpoint.Size,
                    ["root"] = recorded.Checkpoint.Root.ToString(),
                },
                new Block.Fields(
                [
                    ("statement", recorded.Statement.Id.ToString()), ("kind", recorded.Statement.Payload.Body.Kind), ("entry", $"{recorded.Index}, {Render.Time(recorded.Time)}"),
                    ("signed by", string.Join(", ", recorded.Statement.Signers)), ("events", string.Join(", ", recorded.Events)),
                    ("proof", new Cell($"holds: in the log of {recorded.Checkpoint.Size} entries, root {recorded.Checkpoint.Root}", Ink.Good)),
                ]));
        });
    }

    private static Command Entries(Frame frame)
    {
        var from = new Option<long>("--from") { Description = "The first entry", DefaultValueFactory = _ => 0, HelpName = "N" };
        var count = new Option<int>("--count") { Description = "How many, at most", DefaultValueFactory = _ => 100, HelpName = "N" };
        return frame.Reading("entries", "What the log holds, each entry's place in it proven", [from, count], async (session, cancellation) =>
        {
            var (first, wanted) = (session.Value(from), session.Value(count));
            if (first < 0 || wanted is < 1 or > 10_000)
                return new Refusal(CliCode.Usage, "'--from' is at least 0 and '--count' is 1 to 10000.", "Ask for more in several runs.");
            if (!(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out var refusal) || !(await ledger.CheckpointAsync(cancellation).ConfigureAwait(false)).Try(out var newest, out refusal))
                return refusal;
            var (found, size) = (new List<Entry>(), newest.Checkpoint.Size);
            for (var bundle = first / TilePath.FullWidth; bundle * TilePath.FullWidth < long.Min(size, first + wanted); bundle++)
            {
                if (!(await ledger.EntriesAsync(bundle, size, cancellation).ConfigureAwait(false)).Try(out var entries, out refusal))
                    return refusal;
                foreach (var entry in entries.Where(e => e.Index >= first && e.Index < first + wanted))
                {
                    if (!(await ledger.InclusionAsync(entry.Index, size, cancellation).ConfigureAwait(false)).Try(out var path, out refusal))
                        return refusal;
                    if (!MerkleTree.VerifyInclusion(entry.LeafHash, entry.Index, size, path.AsSpan(), newest.Checkpoint.Root))
                        return new Refusal(RefusalCode.BadProof, $"Entry {entry.Index} is not proven to be in the log of {size} entries.", "Believe nothing of this ledger until 'grid ledger audit' holds.");
                    found.Add(entry);
                }
            }
            var rows = found.Select(e => (Entry: e, Statement: Statement.Decode(e.StatementBytes))).ToList();
            var document = new JsonObject
            {
                ["index"] = size,
                ["items"] = Render.Array(rows.Select(r => new JsonObject { ["index"] = r.Entry.Index, ["time"] = Render.Time(r.Entry.Time), ["kind"] = r.Statement.Payload.Body.Kind, ["id"] = r.Statement.Id.ToString() })),
            };
            var table = new Block.Table(["entry", "time", "kind", "statement"], [.. rows.Select(r => ImmutableArray.Create<Cell>($"{r.Entry.Index}", Render.Time(r.Entry.Time), r.Statement.Payload.Body.Kind, r.Statement.Id.ToString()))], "no entries");
            // Each costs the ledger a proof, so this list alone is not whole of itself; as the others, it says where it goes on.
            if (first + wanted is var next && next >= size)
                return Outcome.Of(document, table);
            document["next"] = $"{next}";
            return Outcome.Of(document, table, new Block.Lines([new Cell($"{size - next} more follow{(size - next == 1 ? "s" : "")}; go on with --from {next}", Ink.Notice)]));
        });
    }

    private static Command Audit(Frame frame)
    {
        var anew = new Option<bool>("--from-start") { Description = "Forget what earlier audits found right, and check every signature again" };
        return frame.Verb("audit", "Read the whole log and check every hash, signature and decision again, going on where the last audit ended. Exits 1 at the first that does not hold", [anew], async (session, cancellation) =>
        {
            if (!(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out var refusal))
                return refusal;
            // By key and name: what was right of one ledger says nothing of another.
            var name = Digest.Of(Encoding.UTF8.GetBytes($"{ledger.Trust.Origin}\n{ledger.Trust.Key}")).ToString()[..16];
            var cache = new AuditCache(Path.Combine(session.Context.Home, "audits", name));
            try
            {
                if (session.Value(anew))
                    cache.Forget();
                var audit = await Progress.RunAsync(session, "Auditing", progress => LogAudit.RunAsync(ledger, cache, progress, cancellation)).ConfigureAwait(false);
                return audit.Try(out var report, out refusal) ? Verdict(report) : refusal;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return new Refusal(CliCode.FileUnreadable, $"What was found right cannot be kept: {e.Message}", Files.Look);
            }
        });
    }

    private static Outcome Verdict(AuditReport report)
    {
        var document = new JsonObject
        {
            ["origin"] = report.Checkpoint.Origin,
            ["size"] = report.Checkpoint.Size,
            ["root"] = report.Checkpoint.Root.ToString(),
            ["checked"] = report.Checked,
            ["resumed"] = report.Resumed,
            ["verdict"] = report.Problem is null ? "holds" : "does-not-hold",
            ["accounts"] = report.State.Accounts.Count,
            ["farms"] = report.State.Farms.Count,
            ["nodes"] = report.State.Nodes.Count,
            ["agreements"] = report.State.Agreements.Count,
            ["error"] = report.Problem is { } p ? new JsonObject { ["code"] = p.Code, ["detail"] = p.Detail } : null,
        };
        var verdict = report.Problem is { } problem ? new Cell($"DOES NOT HOLD  {problem.Code}: {problem.Detail}", Ink.Bad) : new Cell("HOLDS", Ink.Good);
        return new Outcome.Done(document,
        [
            new Block.Fields(
            [
                ("checked", $"{report.Checked} of {report.Checkpoint.Size} entries{(report.Resumed == 0 ? "" : $", the signatures of {report.Resumed} by an earlier audit")}"), ("root", report.Checkpoint.Root.ToString()),
                ("state", $"{report.State.Accounts.Count} accounts, {report.State.Farms.Count} farms, {report.State.Nodes.Count} nodes, {report.State.Agreements.Count} agreements"),
            ]),
            new Block.Lines([verdict]),
        ], report.Problem is null ? Exit.Ok : Exit.Negative);
    }
}
