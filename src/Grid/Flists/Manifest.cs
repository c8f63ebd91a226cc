using System.Collections.Immutable;
using System.Security.Cryptography;
using Grid.Statements;
using Grid.Units;

namespace Grid.Flists;

/// <summary>How many of each there are in a tree, the root included; a hard-linked file counts once for each name.</summary>
public readonly record struct TreeCounts(long Files, long Directories, long Symlinks, long Others);

/// <summary>Numeric user and group a process is meant to have.</summary>
public readonly record struct ManifestUser(long Uid, long Gid);

/// <summary>How the image is meant to be started: information for whoever writes an agreement, which repeats what it wants.</summary>
/// <param name="Entry">the file to execute, as the source says it; may be empty</param>
/// <param name="Args">argv[1] and on</param>
/// <param name="Environment">in canonical order: shorter names first, then bytewise</param>
public sealed record StartDefaults(
    string Entry, ImmutableArray<string> Args, ImmutableArray<KeyValuePair<string, string>> Environment, string WorkDir, ManifestUser? User)
{
    public static readonly StartDefaults None = new("", [], [], "", null);
}

/// <summary>
/// What an flist id names: a tree by its root hash, and what is useful to know about it.
/// <code>
/// manifest = { "v": 1, "env": {*256 text => text}, "args": [*1000 text], "root": bytes .size 32, "size": uint, "user": {"gid": uint, "uid": uint} / null,
///              "entry": text, "files": uint, "links": uint, "chunks": uint, "others": uint, "source": {*32 text => text}, "workdir": text,
///              "platform": text, "directories": uint }
/// </code>
/// </summary>
/// <param name="Size">bytes of all files, a hard-linked file counted once</param>
/// <param name="Chunks">distinct chunks</param>
/// <param name="Platform"><c>os/architecture[/variant]</c> as the OCI image specification writes them; empty when any</param>
/// <param name="Source">where the tree came from, as words of the publisher: digests, commits; in canonical order</param>
public sealed record Manifest(
    Digest Root, TreeCounts Counts, long Size, long Chunks, string Platform, StartDefaults Start, ImmutableArray<KeyValuePair<string, string>> Source)
{
    public const int Version = 1;

    /// <summary><c>SHA-256("FLM1" ‖ encoded manifest)</c></summary>
    public FlistId Id => IdOf(Encode());

    /// <summary>The id of a manifest as it arrived: hash these bytes, not what was re-encoded.</summary>
    public static FlistId IdOf(ReadOnlySpan<byte> encoded)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData("FLM1"u8);
        hash.AppendData(encoded);
        return new FlistId(new Digest(hash.GetHashAndReset()));
    }

    /// <summary>Counts what the manifest says about a tree.</summary>
    public static Manifest Of(MetaFile meta, string platform, StartDefaults start, IEnumerable<KeyValuePair<string, string>> source)
    {
        long files = 0, directories = 0, links = 0, others = 0, size = 0;
        var groups = 0;
        for (var n = 0; n < meta.Count; n++)
        {
            var inode = meta[n];
            switch (inode.Type)
            {
                case EntryType.File: files++; break;
                case EntryType.Directory: directories++; break;
                case EntryType.Symlink: links++; break;
                default: others++; break;
            }
            // Groups are numbered as they come, so a number not above the last one was counted.
            var first = inode.LinkGroup == 0 || inode.LinkGroup > groups;
            groups = int.Max(groups, inode.LinkGroup);
            if (first && inode.Type == EntryType.File)
                size = checked(size + inode.Size);
        }
        return new Manifest(
            meta.Root, new TreeCounts(files, directories, links, others), size, meta.DistinctChunkCount, platform,
            start with { Environment = Canonical(start.Environment) }, Canonical(source));
    }

    /// <exception cref="FlistFormatException">larger than 1 MiB, or a text longer than its limit</exception>
    public byte[] Encode()
    {
        var encoded = CanonicalWriter.Encode(w => w.Map(15, m =>
        {
            m.Key("v").UInt(Version);
            m.Key("env").TextMap(Start.Environment);
            m.Key("args").Array(Start.Args, (a, t) => a.Text(t));
            m.Key("root").Digest(Root);
            m.Key("size").UInt(Size);
            m.Key("user");
            if (Start.User is { } user)
            {
                m.Map(2, u =>
                {
                    u.Key("gid").UInt(user.Gid);
                    u.Key("uid").UInt(user.Uid);
                });
            }
            else
            {
                m.Null();
            }
            m.Key("entry").Text(Start.Entry);
            m.Key("files").UInt(Counts.Files);
            m.Key("links").UInt(Counts.Symlinks);
            m.Key("chunks").UInt(Chunks);
            m.Key("others").UInt(Counts.Others);
            m.Key("source").TextMap(Source);
            m.Key("workdir").Text(Start.WorkDir);
            m.Key("platform").Text(Platform);
            m.Key("directories").UInt(Counts.Directories);
        }));
        // The one set of limits is the reader's.
        Decode(encoded);
        return encoded;
    }

    /// <exception cref="FlistFormatException">not the one encoding of a manifest</exception>
    public static Manifest Decode(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Length > FlistLimits.ManifestLength)
            throw new FlistFormatException(FlistFormatCode.TooLarge, $"A manifest has {bytes.Length} bytes; {FlistLimits.ManifestLength} are allowed.");
        try
        {
            return CanonicalReader.ReadAll(bytes, Read);
        }
        catch (StatementFormatException e)
        {
            throw new FlistFormatException(FlistFormatCode.BadManifest, $"This is no manifest: {e.Message}", e);
        }
    }

    public bool Equals(Manifest? other) => other is not null && Encode().AsSpan().SequenceEqual(other.Encode());

    public override int GetHashCode() => HashCode.Combine(Root, Size, Platform);

    private static Manifest Read(CanonicalReader r) => r.Map(m =>
    {
        if (m.Field("v").UInt() is var version and not Version)
            throw new StatementFormatException(RefusalCode.UnknownVersion, $"Manifest version {version} is not known; {Version} is.");
        var environment = m.Field("env").TextMap(256, 1024, 32_768);
        var args = m.Field("args").Array(1000, a => a.Text(32_768));
        var root = m.Field("root").Digest();
        var size = m.Field("size").UInt();
        ManifestUser? user = m.Field("user").TryNull() ? null : m.Map(u =>
        {
            var gid = u.Field("gid").UInt(uint.MaxValue - 1);
            return new ManifestUser(u.Field("uid").UInt(uint.MaxValue - 1), gid);
        });
        var entry = m.Field("entry").Text(FlistLimits.Path);
        var files = m.Field("files").UInt(int.MaxValue);
        var links = m.Field("links").UInt(int.MaxValue);
        var chunks = m.Field("chunks").UInt(int.MaxValue);
        var others = m.Field("others").UInt(int.MaxValue);
        var source = m.Field("source").TextMap(32, 64, 4096);
        var start = new StartDefaults(entry, args, environment, m.Field("workdir").Text(FlistLimits.Path), user);
        var platform = m.Field("platform").Text(64);
        var directories = m.Field("directories").UInt(int.MaxValue);
        return new Manifest(root, new TreeCounts(files, directories, links, others), size, chunks, platform, start, source);
    });

    private static ImmutableArray<KeyValuePair<string, string>> Canonical(IEnumerable<KeyValuePair<string, string>> pairs) =>
        [.. pairs.OrderBy(p => System.Text.Encoding.UTF8.GetByteCount(p.Key)).ThenBy(p => p.Key, StringComparer.Ordinal)];
}
