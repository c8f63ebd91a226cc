using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Client;
using Grid.Flists;
using Grid.Flists.Build;
using Grid.Flists.Hub;
using Grid.Flists.Packs;
using Grid.Flists.Store;
using Grid.Units;

namespace Grid.Cli.Commands;

/// <summary>Making flists and carrying them. Looking into them is <see cref="FlistReading"/>.</summary>
internal static class FlistCommands
{
    public static Command Build(Frame frame) => Frame.Noun("flist", "Flists: complete, hash-named descriptions of file trees",
        [Make(frame), Import(frame), Push(frame), Pull(frame), .. FlistReading.Build(frame), .. FlistMounting.Build(frame)]);

    public static Argument<string> Flist(Frame frame)
    {
        var flist = new Argument<string>("FLIST") { Description = "A fl1… id" };
        flist.CompletionSources.Add(context => Completion.Flists(frame, context.ParseResult));
        return flist;
    }

    /// <summary>The store of flists that were built or pulled here.</summary>
    public static DirectoryStore Store(Session session)
    {
        var directory = Path.Combine(session.Context.Home, "flists");
        PrivateDirectory.Make(directory);
        return DirectoryStore.Open(directory);
    }

    public static IEnumerable<string> StoredIds(Session session)
    {
        using var store = Store(session);
        return [.. store.List(null, 1000).Select(id => id.ToString())];
    }

    /// <summary>Answers for what flists raise: a typed no each, never a trace.</summary>
    public static async Task<Outcome> GuardedAsync(Func<Task<Outcome>> run)
    {
        try
        {
            return await run().ConfigureAwait(false);
        }
        catch (FlistBuildException e)
        {
            return new Refusal(e.Code, e.Message);
        }
        catch (HubException e)
        {
            return Said(e);
        }
        catch (Exception e) when (e is FlistFormatException or PackFormatException)
        {
            return new Refusal(RefusalCode.FlistInvalid, e.Message, "Build or pull it again; what is whole of it is kept.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new Refusal(CliCode.FileUnreadable, e.Message, Files.Look);
        }
    }

    public static Refusal Said(HubException e) => e.Refusal ?? new Refusal(e.Failure switch
    {
        HubFailure.NotFound => RefusalCode.NotFound,
        HubFailure.WrongBytes or HubFailure.BadAnswer => RefusalCode.FlistInvalid,
        _ => CliCode.HubUnreachable,
    }, e.Message, e.Failure is HubFailure.NotFound ? "Check the id, or push the flist to this hub." : "Run the same command again; what arrived is not sent twice.");

    public static Refusal? ReadId(string text, out FlistId id)
    {
        if (Id.TryParse(text, out id))
            return null;
        return text.StartsWith("fl1", StringComparison.Ordinal)
            ? new Refusal(CliCode.Usage, $"'{text}' is not an flist's id; a letter is missing or mistyped.", "See 'grid flist list'.")
            : new Refusal(RefusalCode.MutableReference, $"'{text}' is a name; only an id says what the files are.", "See 'grid flist list'.");
    }

    private static Command Make(Frame frame)
    {
        var path = new Argument<string>("PATH") { Description = "A directory, or a tar archive: plain, gzip or zstd; - reads a tar from standard input" };
        var (platform, latest) = Options();
        return frame.Verb("build", "Make an flist of a directory or a tar archive", [path, platform, latest], (session, cancellation) =>
        {
            var from = session.Value(path);
            ITreeSource source = from == "-" ? new TarSource(Console.OpenStandardInput()) : Directory.Exists(from) ? new DirectorySource(from) : new TarSource(from);
            return MakeAsync(session, source, from, new BuildOptions { Platform = session.Value(platform), LatestMtime = session.Value(latest) }, cancellation);
        });
    }

    private static Command Import(Frame frame)
    {
        var path = new Argument<string>("PATH") { Description = "An OCI image layout, as a directory or tar, or an archive of 'docker save'" };
        var reference = new Option<string?>("--ref") { Description = "Which image, when there are several", HelpName = "NAME" };
        var (platform, latest) = Options();
        return frame.Verb("import", "Make an flist of a container image", [path, reference, platform, latest], async (session, cancellation) =>
        {
            var made = await MakeAsync(session, new OciSource(session.Value(path)), session.Value(path),
                new BuildOptions { Platform = session.Value(platform), LatestMtime = session.Value(latest), Reference = session.Value(reference) }, cancellation).ConfigureAwait(false);
            var next = made is Outcome.Failed { Problems: [{ Refusal: { Next: null } refused }] } ? refused.Code switch
            {
                FlistBuildCode.BadImage => "A tree of files that is no image, as a directory or a tar, is taken by 'grid flist build'.",
                FlistBuildCode.SourceMissing => "Registries are not asked. Save the image first, with 'skopeo copy docker://IMAGE oci:DIR' or 'docker save IMAGE -o FILE', and import the directory or file.",
                _ => null,
            } : null;
            return next is not null && made is Outcome.Failed { Problems: [var problem] } failed ? failed with { Problems = [problem with { Refusal = problem.Refusal with { Next = next } }] } : made;
        });
    }

    private static Command Push(Frame frame)
    {
        var flist = Flist(frame);
        return frame.Verb("push", "Put an flist onto the hub; only what it lacks travels", [flist], (session, cancellation) => GuardedAsync(async () =>
        {
            if (ReadId(session.Value(flist), out var id) is { } wrong)
                return wrong;
            if (!session.HubAddress().Try(out var address, out var refusal))
                return refusal;
            using var store = Store(session);
            if (store.TryReadManifest(id) is null)
                return new Refusal(RefusalCode.NotFound, $"{id} was not built or pulled on this machine.", "See 'grid flist list'.");
            using var hub = new HubConnection(address.ToString(), HubClientOptions.Default, session.Shell.Time);
            var sent = new Sent();
            await Progress.RunAsync(session, "pushing", async progress =>
            {
                await Transfer.PushAsync(store, id, hub, sent.And(progress), cancellation).ConfigureAwait(false);
                return true;
            }).ConfigureAwait(false);
            return Carried(id, address, sent.Last);
        }));
    }

    private static Command Pull(Frame frame)
    {
        var flist = Flist(frame);
        return frame.Verb("pull", "Fetch a whole flist from the hub, every byte checked", [flist], (session, cancellation) => GuardedAsync(async () =>
        {
            if (ReadId(session.Value(flist), out var id) is { } wrong)
                return wrong;
            if (!session.HubAddress().Try(out var address, out var refusal))
                return refusal;
            using var store = Store(session);
            using var hubs = new HubClient([address.ToString()], time: session.Shell.Time);
            var sent = new Sent();
            await Progress.RunAsync(session, "pulling", async progress =>
            {
                await Transfer.PullAsync(hubs, id, store, new SourceLimits(), sent.And(progress), cancellation).ConfigureAwait(false);
                return true;
            }).ConfigureAwait(false);
            return Carried(id, address, sent.Last);
        }));
    }

    private static Task<Outcome> MakeAsync(Session session, ITreeSource source, string from, BuildOptions options, CancellationToken cancellation) => GuardedAsync(async () =>
    {
        using var store = Store(session);
        await using var packs = new PackWriter(store);
        var built = await Progress.RunAsync(session, stage => FlistBuilder.BuildAsync(source, options with
        {
            Unpacking = new Mapped<UnpackProgress>(stage("unpacking"), p => (p.Bytes, p.TotalBytes)),
            Progress = new Mapped<BuildProgress>(stage("building"), p => (p.Bytes, p.TotalBytes)),
        }, packs, cancellation)).ConfigureAwait(false);
        await packs.CompleteAsync(cancellation).ConfigureAwait(false);
        store.PutMeta(built.Meta);
        var (id, manifest) = (built.Manifest.Id, built.Manifest);
        if (store.Publish(id, manifest.Encode(), cancellation) is { } refusal)
            return refusal;
        var document = FlistReading.Describe(id, manifest);
        document["source"] = from;
        document["newBytes"] = packs.Written.Content;
        document["storedBytes"] = packs.Written.Stored;
        document["dropped"] = Render.Array(built.Dropped.Select(d => new JsonObject { ["what"] = d.What, ["count"] = d.Count, ["firstPath"] = d.FirstPath }));
        var dropped = new Block.Lines([.. built.Dropped.Select(d => new Cell($"left out: {d.Count} × {d.What}, first at {d.FirstPath}", Ink.Notice))]);
        return Outcome.Of(document, [FlistReading.Block(id, manifest), .. dropped.Items.IsEmpty ? (Block[])[] : [dropped], new Block.Next($"grid flist push {id}")]);
    });

    private static Outcome Carried(FlistId id, Uri hub, TransferProgress last) => Outcome.Of(
        new JsonObject { ["id"] = id.ToString(), ["hub"] = hub.ToString(), ["packs"] = last.Packs, ["bytes"] = last.Bytes },
        new Block.Fields([("flist", id.ToString()), ("hub", hub.ToString()), ("moved", $"{last.Packs} packs, {last.Bytes} bytes")]));

    private static (Option<string?> Platform, Option<long?> Latest) Options() =>
        (new Option<string?>("--platform") { Description = "os/architecture, as linux/amd64", HelpName = "linux/amd64" },
         new Option<long?>("--latest-mtime") { Description = "Times later than this become this, as SOURCE_DATE_EPOCH", HelpName = "SECONDS" });

    /// <summary>Remembers the last report for the result.</summary>
    private sealed class Sent
    {
        public TransferProgress Last { get; private set; }

        public IProgress<TransferProgress> And(IProgress<(long Done, long Of)> progress) => new Mapped<TransferProgress>(progress, p =>
        {
            if (p.Packs >= Last.Packs)
                Last = p;
            return (p.Bytes, p.TotalBytes);
        });
    }
}
