using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grid.Agreements;
using Grid.Cli.Commands;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Cli.Yaml;
using Grid.Client;
using Grid.Flists.Admission;
using Grid.Flists.Hub;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Drafts;

/// <summary>A plan as it was shown: the draft's path and the time it was made at. From these and the ledger the same bytes come again, unless something moved.</summary>
internal sealed record PlanFile(int Version, string Plan, string File, DateTimeOffset Issued)
{
    public static Answer<PlanFile> Load(Session session, string digest)
    {
        if (!Id.TryParse<StatementId>(digest, out _))
            return new Refusal(CliCode.Usage, $"'{digest}' is not a plan's digest of the form st1….", "Copy it from the output of 'grid plan'.");
        var path = PathOf(session, digest);
        if (!System.IO.File.Exists(path))
            return new Refusal(CliCode.PlanUnknown, "No such plan was made on this machine.", "Run 'grid plan' and apply the digest it prints.");
        if (!Files.ReadBytes(path, 64 * 1024).Try(out var bytes, out var refusal))
            return refusal;
        try
        {
            return JsonSerializer.Deserialize(bytes, PlanContext.Default.PlanFile) is { Version: 1 } plan && plan.Plan == digest ? plan : Damaged(path);
        }
        catch (JsonException)
        {
            return Damaged(path);
        }
    }

    public Refusal? Save(Session session) => Files.Replace(PathOf(session, Plan), JsonSerializer.SerializeToUtf8Bytes(this, PlanContext.Default.PlanFile));

    private static Refusal Damaged(string path) => new(CliCode.PlanUnknown, $"{path} is damaged.", "Run 'grid plan' again.");

    private static string PathOf(Session session, string digest) => Path.Combine(session.Context.PlansDirectory, $"{digest}.json");
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(PlanFile))]
internal sealed partial class PlanContext : JsonSerializerContext;

/// <summary>Why there is no plan of a draft.</summary>
/// <param name="Moved">true when the file, the ledger or the hub speaks against it, so that a plan of before holds no more; false when this machine is at fault, or nobody could be asked</param>
internal sealed record Unplanned(Outcome.Failed Outcome, bool Moved)
{
    public Unplanned(Refusal refusal, bool moved) : this(new Outcome.Failed([new Problem(refusal)]), moved)
    {
    }
}

/// <summary>A draft resolved against the ledger at one time: the bytes to sign, what they change, and what they rest on.</summary>
/// <param name="FilesChecked">true when every file that will be executed was seen to be described, at the hub; false when no hub is set or nothing changes</param>
/// <param name="Current">the agreement of that name as it stands; null when there is none, or it is closed</param>
/// <param name="Laid">the same bytes as they were laid down before, with the signatures they have; null when they were not</param>
internal sealed record Planned(Draft Draft, Speaker Speaker, Payload Payload, byte[] PayloadBytes, Agreement? Current, ImmutableArray<Change> Changes, bool FilesChecked, Statement? Laid)
{
    public AgreementTerms Terms => (AgreementTerms)Payload.Body;

    /// <summary>The newest version, in force or on its way; null for a first version.</summary>
    public Agreements.Version? Newest => Current?.Next?.Version ?? Current?.Version;

    /// <summary>True when what is newest says the same and is not running yet.</summary>
    public bool Waiting => Changes.IsEmpty && Current is not Agreements.Agreement.Running { Amendment: null };

    public StatementId Id { get; } = new(Digest.Of(PayloadBytes));

    /// <param name="path">the draft's file</param>
    /// <param name="now">what times count from; for an old plan, when it was made. Where a draft of it waits, times count from when that was made</param>
    /// <returns>the plan, or why there is none</returns>
    public static async Task<(Planned? Plan, Unplanned? Problem)> MakeAsync(Session session, LedgerClient ledger, string path, DateTimeOffset now, CancellationToken cancellation)
    {
        if (!Files.ReadText(path, YamlText.MaximumLength).Try(out var text, out var refusal))
            return (null, new(refusal with { Next = path == "grid.yaml" ? "Write a grid.yaml here, or name the file." : refusal.Next }, moved: false));
        if (DraftReader.Read(text, out var faults) is not { } draft)
            return (null, new(Located(path, faults), Moved: true));
        if (!session.Speaker(session.Context.Account ?? draft.User?.Text).Try(out var speaker, out refusal)
            || !(await LaidDown.LookAsync(session, ledger, draft.Name, cancellation).ConfigureAwait(false)).Try(out var laid, out refusal))
            return (null, new(refusal, moved: false));
        var book = laid.Book;

        Agreements.Agreement? current = null;
        var first = now;
        if (book.Agreements.TryGetValue(draft.Name, out var known) && Units.Id.TryParse<AgreementId>(known, out var id))
        {
            if (!(await ledger.BundleAsync(id, receipts: false, cancellation).ConfigureAwait(false)).Try(out var bundle, out refusal))
                return (null, new(refusal, moved: false));
            current = bundle.Verified.Agreement;
            first = bundle.Verified.History.First(e => e.Statement.Payload.Body is AgreementTerms t && t.Version == 1).Statement.Payload.Issued;
        }
        var standing = current switch
        {
            null or { IsClosed: true } => null,
            _ => new Standing(current, first),
        };
        // What amends a version that is in force no more can never be: it waits in vain, and in nobody's way.
        var waiting = laid.Waiting.GetValueOrDefault(draft.Name) is { } half && ((AgreementTerms)half.Payload.Body).Amends == (standing is null ? null : new Amends(standing.Agreement.Id, standing.InForce.Id)) ? half : null;
        now = waiting?.Payload.Issued ?? now;
        var sealer = new SecretSealer(session, ledger.Trust.Origin, speaker.Id, Path.GetDirectoryName(Path.GetFullPath(path))!);
        var resolver = new Resolver(new Catalogue(ledger, book, cancellation), sealer, speaker.Id, now);
        var (resolved, unresolved) = await resolver.ResolveAsync(draft, standing).ConfigureAwait(false);
        if (resolved is null)
            return (null, new(Located(path, unresolved), resolver.Moved));

        var terms = resolved.Terms;
        current = standing is null ? null : current;
        var changes = Difference.Between((current?.Next?.Version ?? current?.Version)?.Terms, terms);
        if (!changes.IsEmpty && current is not (null or Agreements.Agreement.InForce { Amendment: null }))
        {
            return (null, new(current.IsInForce
                ? new Refusal(current.Next is null ? RefusalCode.WrongState : RefusalCode.Conflict, current.Next is null ? $"The agreement is {current.Status}; it cannot be amended." : $"Another amendment is on its way: {current.Next.Version.Id}.",
                    current.Next is null ? null : "Wait for its outcome, or withdraw it with 'grid agreement cancel --amendment'.")
                : new Refusal(RefusalCode.WrongState, $"The agreement is {current.Status}: version 1 waits for signatures or answers and cannot be amended yet.", "Wait, or withdraw it with 'grid cancel'."), moved: true));
        }
        // What is agreed already is not asked for again. That a plan was made long ago is said where it is applied.
        if (!changes.IsEmpty)
        {
            if (!(await new Outlook(ledger, cancellation).AskAsync(resolved, current, session.Now < terms.Term.AnswerBy ? session.Now : now).ConfigureAwait(false)).Try(out var against, out refusal))
                return (null, new(refusal, moved: false));
            if (!against.IsEmpty)
                return (null, new(Located(path, [.. against.Select(r => new Fault(resolved.Place(r.About), r))]), Moved: true));
        }
        var (filesChecked, undescribed) = changes.IsEmpty ? (false, null) : await CheckFilesAsync(session, draft, terms, path, cancellation).ConfigureAwait(false);
        if (undescribed is not null)
            return (null, undescribed);
        var payload = new Payload(ledger.Trust.Origin, speaker.Id.Value, now, terms.Term.AnswerBy, terms);
        var plan = new Planned(draft, speaker, payload, payload.Encode(), current, changes, filesChecked, waiting);
        return waiting is not null && waiting.Id != plan.Id ? (null, new(LaidDown.SaysOther(draft.Name, waiting), moved: true)) : (plan, null);
    }

    // What the ledger and every node will look at too, and refuse.
    private static async Task<(bool Checked, Unplanned? Problem)> CheckFilesAsync(Session session, Draft draft, AgreementTerms terms, string path, CancellationToken cancellation)
    {
        if (!session.HubAddress().Try(out var hub, out var refusal))
        {
            // Without a hub the plan says that nobody looked.
            return (false, session.Context.Hub is null ? null : new(refusal, moved: false));
        }
        try
        {
            using var hubs = new HubClient([hub.ToString()], time: session.Shell.Time);
            var broken = await new DescribedFiles(hubs).CheckAsync(terms.Workloads, cancellation).ConfigureAwait(false);
            return (true, broken.IsEmpty ? null : new(Located(path, [.. broken.Select(r => new Fault(draft.Place(r.About), r))]), Moved: true));
        }
        catch (HubException e)
        {
            return (false, new(FlistCommands.Said(e), moved: false));
        }
    }

    private static Outcome.Failed Located(string path, ImmutableArray<Fault> faults) => new([.. faults.OrderBy(f => f.At.Line).ThenBy(f => f.At.Column).Select(f => new Problem(f.Refusal, $"{path}:{f.At}"))]);
}
