using System.Collections.Immutable;
using System.CommandLine;
using System.Text;
using System.Text.Json.Nodes;
using Grid.Cli.Output;
using Grid.Flists;
using Grid.Flists.Hub;
using Grid.Flists.Packs;
using Grid.Flists.Store;
using Grid.Units;

namespace Grid.Cli.Commands;

/// <summary>Looking into flists: from the store of this machine, else from the hub, verified either way.</summary>
internal static class FlistReading
{
    private const int MaximumListed = 100_000;

    public static IEnumerable<Command> Build(Frame frame) => [List(frame), Show(frame), Ls(frame), Tree(frame), Cat(frame), Verify(frame)];

    public static JsonObject Describe(FlistId id, Manifest m) => new()
    {
        ["id"] = id.ToString(),
        ["root"] = m.Root.ToString(),
        ["size"] = m.Size,
        ["files"] = m.Counts.Files,
        ["directories"] = m.Counts.Directories,
        ["symlinks"] = m.Counts.Symlinks,
        ["others"] = m.Counts.Others,
        ["chunks"] = m.Chunks,
        ["platform"] = m.Platform,
        ["start"] = new JsonObject
        {
            ["entry"] = m.Start.Entry,
            ["args"] = Render.Texts(m.Start.Args),
            ["env"] = new JsonObject(m.Start.Environment.Select(e => KeyValuePair.Create(e.Key, (JsonNode?)e.Value))),
            ["workdir"] = m.Start.WorkDir,
            ["user"] = m.Start.User is { } user ? $"{user.Uid}:{user.Gid}" : null,
        },
    };

    public static Block.Fields Block(FlistId id, Manifest m) => new(
    [
        ("flist", id.ToString()), ("root", m.Root.ToString()), ("content", $"{m.Counts.Files} files, {m.Counts.Directories} directories, {m.Counts.Symlinks} links; {m.Size} bytes in {m.Chunks} chunks"),
        ("platform", m.Platform.Length == 0 ? "any" : m.Platform), ("entry", m.Start.Entry.Length == 0 ? "-" : string.Join(' ', m.Start.Args.Prepend(m.Start.Entry))),
    ]);

    private static Command List(Frame frame) => frame.Reading("list", "The flists built or pulled on this machine", [], (session, _) => FlistCommands.GuardedAsync(() =>
    {
        using var store = FlistCommands.Store(session);
        var found = store.List(null, 10_000).Select(id => (Id: id, Manifest: Manifest.Decode(store.TryReadManifest(id)!))).ToImmutableArray();
        return Task.FromResult(Outcome.Of(
            new JsonObject { ["items"] = Render.Array(found.Select(f => Describe(f.Id, f.Manifest))) },
            new Block.Table(["flist", "files", "bytes", "platform", "entry"], [.. found.Select(f => ImmutableArray.Create<Cell>(
                f.Id.ToString(), $"{f.Manifest.Counts.Files}", $"{f.Manifest.Size}", f.Manifest.Platform, f.Manifest.Start.Entry))], "no flists; make one with 'grid flist build'")));
    }));

    private static Command Show(Frame frame)
    {
        var flist = FlistCommands.Flist(frame);
        return frame.Reading("show", "What an flist's manifest says", [flist], (session, cancellation) => OpenAsync(session, session.Value(flist), opened =>
            Task.FromResult(Outcome.Of(Describe(opened.Id, opened.Manifest), Block(opened.Id, opened.Manifest))), cancellation));
    }

    private static Command Ls(Frame frame)
    {
        var (flist, path) = (FlistCommands.Flist(frame), Path());
        return frame.Reading("ls", "What lies in a directory of an flist", [flist, path], (session, cancellation) => OpenAsync(session, session.Value(flist), opened =>
        {
            if (Resolve(opened.Meta, session.Value(path), out var inode) is { } refusal)
                return Task.FromResult<Outcome>(refusal);
            var meta = opened.Meta;
            int[] found = meta[inode].Type == EntryType.Directory ? [.. Enumerable.Range(meta[inode].FirstChild, meta[inode].ChildCount)] : [inode];
            return Task.FromResult(Outcome.Of(
                new JsonObject { ["path"] = session.Value(path), ["items"] = Render.Array(found.Select(n => Entry(meta, n, Name(meta, n)))) },
                new Block.Table(["mode", "owner", "size", "name"], [.. found.Select(n => ImmutableArray.Create<Cell>(Mode(meta[n]), $"{meta[n].Uid}:{meta[n].Gid}", $"{meta[n].Size}", Label(meta, n)))], "an empty directory")));
        }, cancellation));
    }

    private static Command Tree(Frame frame)
    {
        var (flist, path) = (FlistCommands.Flist(frame), Path());
        return frame.Reading("tree", "Everything below a directory of an flist", [flist, path], (session, cancellation) => OpenAsync(session, session.Value(flist), opened =>
        {
            if (Resolve(opened.Meta, session.Value(path), out var inode) is { } refusal)
                return Task.FromResult<Outcome>(refusal);
            var (items, lines) = (new JsonArray(), ImmutableArray.CreateBuilder<Cell>());
            Walk(opened.Meta, inode, "", 0, items, lines);
            if (lines.Count > MaximumListed)
                return Task.FromResult<Outcome>(new Refusal(RefusalCode.TooLarge, $"There are more than {MaximumListed} names.", "Name a directory deeper down."));
            return Task.FromResult(Outcome.Of(new JsonObject { ["path"] = session.Value(path), ["items"] = items }, new Block.Lines(lines.ToImmutable())));
        }, cancellation));
    }

    private static Command Cat(Frame frame)
    {
        var (flist, path) = (FlistCommands.Flist(frame), new Argument<string>("PATH") { Description = "A file in the flist" });
        return frame.Verb("cat", "The content of a file of an flist", [flist, path], (session, cancellation) => session.Unformed("A file's content") is { } formed ? Task.FromResult<Outcome>(formed) : OpenAsync(session, session.Value(flist), async opened =>
        {
            if (Resolve(opened.Meta, session.Value(path), out var inode) is { } refusal)
                return refusal;
            if (opened.Meta[inode].Type != EntryType.File)
                return new Refusal(RefusalCode.PathInvalid, $"'{session.Value(path)}' is not a file.", $"See 'grid flist ls {session.Value(flist)} {session.Value(path)}'.");
            await using var bytes = session.Shell.Bytes();
            for (var n = 0L; n < opened.Meta[inode].ChunkCount; n++)
                await bytes.WriteAsync(await opened.ReadAsync(opened.Meta.Chunk(inode, n), cancellation).ConfigureAwait(false), cancellation).ConfigureAwait(false);
            await bytes.FlushAsync(cancellation).ConfigureAwait(false);
            return new Outcome.Verbatim("");
        }, cancellation));
    }

    private static Command Verify(Frame frame)
    {
        var flist = FlistCommands.Flist(frame);
        return frame.Verb("verify", "Check manifest, tree and every chunk of an flist. Exits 1 when something is missing or wrong", [flist], (session, cancellation) => OpenAsync(session, session.Value(flist), async opened =>
        {
            var (right, count) = (0L, opened.Meta.DistinctChunkCount);
            Refusal? wrong = null;
            for (var n = 0; n < count && wrong is null; n++)
            {
                var hash = opened.Meta.DistinctChunk(n);
                if (hash == PackLimits.ZeroChunk || (await opened.TryReadAsync(hash, cancellation).ConfigureAwait(false) is { } bytes && Chunk.Hash(bytes) == hash))
                    right++;
                else
                    wrong = new Refusal(RefusalCode.FlistIncomplete, $"The chunk {hash} is missing or wrong.", "Pull or push the flist again.");
            }
            return new Outcome.Done(
                new JsonObject
                {
                    ["id"] = opened.Id.ToString(),
                    ["root"] = opened.Meta.Root.ToString(),
                    ["chunks"] = count,
                    ["right"] = right,
                    ["verdict"] = wrong is null ? "holds" : "does-not-hold",
                    ["error"] = wrong is null ? null : new JsonObject { ["code"] = wrong.Code, ["detail"] = wrong.Detail, ["next"] = wrong.Next },
                },
                [
                    new Block.Fields([("flist", opened.Id.ToString()), ("tree", $"{opened.Meta.Count} entries, root {opened.Meta.Root}"), ("chunks", $"{right} of {count} are right"), ("from", opened.Where)]),
                    new Block.Lines([wrong is null ? new Cell("HOLDS", Ink.Good) : new Cell($"DOES NOT HOLD  {wrong.Code}: {wrong.Detail}", Ink.Bad)]),
                ], wrong is null ? Exit.Ok : Exit.Negative);
        }, cancellation));
    }

    private static Task<Outcome> OpenAsync(Session session, string text, Func<OpenedFlist, Task<Outcome>> look, CancellationToken cancellation) => FlistCommands.GuardedAsync(async () =>
    {
        if (FlistCommands.ReadId(text, out var id) is { } wrong)
            return wrong;
        using var store = FlistCommands.Store(session);
        if (store.TryReadManifest(id) is { } bytes && Manifest.Decode(bytes) is var manifest && store.TryLoadMeta(manifest.Root) is { } loaded)
        {
            using (loaded)
                return await look(new OpenedFlist(id, manifest, loaded.Meta, "this machine's store", (chunk, _) => Task.FromResult(store.TryReadChunk(chunk)))).ConfigureAwait(false);
        }
        if (!session.HubAddress().Try(out var address, out _))
            return new Refusal(RefusalCode.NotFound, $"{id} was not built or pulled on this machine, and no hub is set.", "Set GRID_HUB, or see 'grid flist list'.");
        using var hubs = new HubClient([address.ToString()], time: session.Shell.Time);
        using var source = await FlistSource.OpenAsync(id, hubs, new SourceLimits(), cancellation).ConfigureAwait(false);
        return await look(new OpenedFlist(id, source.Manifest, source.Meta, address.ToString(), async (chunk, inner) => await source.ReadChunkAsync(chunk, inner).ConfigureAwait(false))).ConfigureAwait(false);
    });

    private static Refusal? Resolve(MetaFile meta, string path, out int inode)
    {
        inode = meta.Resolve(Encoding.UTF8.GetBytes(path), out var failure);
        return inode >= 0 ? null : new Refusal(RefusalCode.NotFound, $"'{path}' is not in the flist: {failure switch
        {
            ResolveFailure.NotADirectory => "it leads through what is no directory",
            ResolveFailure.TooManyLinks => "it leads through too many links",
            ResolveFailure.TooLong => "it is too long",
            _ => "there is no such name",
        }}.", "See 'grid flist tree'.");
    }

    private static void Walk(MetaFile meta, int inode, string path, int depth, JsonArray items, ImmutableArray<Cell>.Builder lines)
    {
        for (var n = meta[inode].FirstChild; n < meta[inode].FirstChild + meta[inode].ChildCount && lines.Count <= MaximumListed; n++)
        {
            var name = $"{path}/{Name(meta, n)}";
            items.Add((JsonNode)Entry(meta, n, name));
            lines.Add(new string(' ', 2 * depth) + Label(meta, n));
            if (meta[n].Type == EntryType.Directory)
                Walk(meta, n, name, depth + 1, items, lines);
        }
    }

    private static JsonObject Entry(MetaFile meta, int n, string name) => new()
    {
        ["name"] = name,
        ["type"] = meta[n].Type.ToString().ToLowerInvariant(),
        ["mode"] = Convert.ToString(meta[n].Mode, 8),
        ["uid"] = meta[n].Uid,
        ["gid"] = meta[n].Gid,
        ["size"] = meta[n].Size,
        ["mtime"] = meta[n].MtimeSeconds,
        ["target"] = meta[n].Type == EntryType.Symlink ? Encoding.UTF8.GetString(meta.SymlinkTarget(n)) : null,
    };

    private static string Label(MetaFile meta, int n) => meta[n].Type switch
    {
        EntryType.Directory => Name(meta, n) + "/",
        EntryType.Symlink => $"{Name(meta, n)} -> {Encoding.UTF8.GetString(meta.SymlinkTarget(n))}",
        _ => Name(meta, n),
    };

    private static string Name(MetaFile meta, int n) => n == 0 ? "/" : Encoding.UTF8.GetString(meta.Name(n));

    private static string Mode(MetaInode inode)
    {
        var text = new StringBuilder(inode.Type switch { EntryType.Directory => "d", EntryType.Symlink => "l", EntryType.Fifo => "p", EntryType.CharacterDevice => "c", EntryType.BlockDevice => "b", _ => "-" });
        for (var bit = 8; bit >= 0; bit--)
            text.Append((inode.Mode >> bit & 1) == 1 ? "xwr"[bit % 3] : '-');
        return text.ToString();
    }

    private static Argument<string> Path() => new("PATH") { Description = "A path in the flist", DefaultValueFactory = _ => "/", Arity = ArgumentArity.ZeroOrOne };

    /// <param name="TryReadAsync">a chunk's bytes, null when they are not there</param>
    private sealed record OpenedFlist(FlistId Id, Manifest Manifest, MetaFile Meta, string Where, Func<Digest, CancellationToken, Task<byte[]?>> TryReadAsync)
    {
        public async Task<byte[]> ReadAsync(Digest chunk, CancellationToken cancellation) =>
            chunk == PackLimits.ZeroChunk ? new byte[Chunk.Size] : await TryReadAsync(chunk, cancellation).ConfigureAwait(false) ?? throw new IOException($"The chunk {chunk} is not in the store.");
    }
}
