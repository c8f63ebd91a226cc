using System.Text;
using System.Text.Json;
using Grid.Units;

namespace Grid.Flists.Tests.Identity;

/// <summary>
/// Trees with their meta files, roots, manifests and ids, and meta files that must be refused: <c>tests/vectors/flists</c>. Texts that stand for raw
/// bytes hold one byte in each character (Latin-1).
/// </summary>
public sealed class Vectors
{
    public static TheoryData<string> Good => [.. Directory.GetFiles(Repository.Vectors, "tree-*.json").Select(f => Path.GetFileName(f)!).Order()];

    public static TheoryData<string> Bad => [.. Document("bad-meta.json").RootElement.GetProperty("cases").EnumerateArray().Select(c => c.GetProperty("name").GetString()!)];

    [Theory]
    [MemberData(nameof(Good))]
    public void A_tree_has_these_bytes(string file)
    {
        using var vector = Document(file);
        var v = vector.RootElement;
        var tree = Entries(v).ToList();
        var meta = Trees.Meta(tree);
        Assert.Equal(v.GetProperty("meta").GetString(), Convert.ToHexStringLower(meta.Bytes.Span));
        Assert.Equal(v.GetProperty("root").GetString(), meta.Root.ToString());
        Assert.Equal(meta.Root, Reference.Root(tree));
        Assert.Equal(meta.Root, MetaFile.Load(Hex(v, "meta"), meta.Root).Root);

        var manifest = Manifest.Decode(Hex(v, "manifest"));
        Assert.Equal(Hex(v, "manifest"), manifest.Encode());
        Assert.Equal(v.GetProperty("id").GetString(), manifest.Id.ToString());
        Assert.Equal(manifest, Manifest.Of(meta, manifest.Platform, manifest.Start, manifest.Source));
    }

    [Theory]
    [MemberData(nameof(Bad))]
    public void A_meta_file_that_breaks_a_rule_is_refused_with_its_code(string name)
    {
        using var vectors = Document("bad-meta.json");
        var c = vectors.RootElement.GetProperty("cases").EnumerateArray().Single(x => x.GetProperty("name").GetString() == name);
        using var tree = Document(c.GetProperty("of").GetString()!);
        var bytes = Hex(tree.RootElement, "meta");
        foreach (var patch in c.GetProperty("patches").EnumerateArray())
        {
            var at = patch.GetProperty("at").GetInt32();
            var with = Hex(patch, "with");
            bytes = [.. bytes[..at], .. with, .. at + with.Length < bytes.Length ? bytes[(at + with.Length)..] : []];
        }
        if (c.TryGetProperty("length", out var length))
            Array.Resize(ref bytes, length.GetInt32());
        var root = c.TryGetProperty("root", out var other) ? other.GetString()! : tree.RootElement.GetProperty("root").GetString()!;
        var refused = Assert.Throws<FlistFormatException>(() => MetaFile.Load(bytes, Digest.ParseHex(root)));
        Assert.Equal(c.GetProperty("code").GetString(), refused.Code);
    }

    [Fact]
    public void Every_code_but_those_of_manifests_and_limits_has_a_bad_meta_file()
    {
        using var vectors = Document("bad-meta.json");
        var shown = vectors.RootElement.GetProperty("cases").EnumerateArray().Select(c => c.GetProperty("code").GetString()!).ToHashSet();
        var all = typeof(FlistFormatCode).GetFields().Select(f => (string)f.GetValue(null)!).Where(c => c != FlistFormatCode.BadManifest);
        Assert.Empty(all.Except(shown));
    }

    [Fact]
    public void No_bit_of_a_meta_file_can_flip_unnoticed()
    {
        foreach (var file in Good)
        {
            using var vector = Document(file);
            var bytes = Hex(vector.RootElement, "meta");
            var root = Digest.ParseHex(vector.RootElement.GetProperty("root").GetString());
            // Every bit, not a sample: the file is small.
            for (var bit = 0; bit < bytes.Length * 8; bit++)
            {
                bytes[bit / 8] ^= (byte)(1 << bit % 8);
                Assert.Throws<FlistFormatException>(() => MetaFile.Load(bytes, root));
                bytes[bit / 8] ^= (byte)(1 << bit % 8);
            }
            MetaFile.Load(bytes, root);
        }
    }

    [Fact]
    public void A_meta_file_whose_bytes_are_shuffled_cut_or_overwritten_is_refused_and_nothing_else_happens()
    {
        var random = new Random(7);
        var trees = Enumerable.Range(0, 20).Select(seed => Trees.Meta(Sketch.Of(seed))).ToArray();
        for (var n = 0; n < 3000; n++)
        {
            var meta = trees[n % trees.Length];
            var bytes = meta.Bytes.ToArray();
            for (var edits = random.Next(1, 4); edits > 0; edits--)
            {
                var at = random.Next(bytes.Length & ~3);
                uint[] values = [0, 1, uint.MaxValue, int.MaxValue, (uint)random.Next(64), (uint)random.Next()];
                BitConverter.TryWriteBytes(bytes.AsSpan(at & ~3), values[random.Next(values.Length)]);
            }
            if (random.Next(10) == 0)
                Array.Resize(ref bytes, random.Next(bytes.Length));
            if (!bytes.AsSpan().SequenceEqual(meta.Bytes.Span))
                Assert.Throws<FlistFormatException>(() => MetaFile.Load(bytes, meta.Root));
        }
    }

    internal static IEnumerable<SketchEntry> Entries(JsonElement vector)
    {
        var known = new Dictionary<string, SketchEntry>();
        foreach (var e in vector.GetProperty("tree").EnumerateArray())
        {
            var path = e.GetProperty("path").GetString()!;
            var entry = e.TryGetProperty("link", out var link) && known[link.GetString()!] is var first
                ? first with { Path = Raw(path), LinkTo = first }
                : new SketchEntry(Raw(path), Enum.Parse<EntryType>(e.GetProperty("type").GetString()!, ignoreCase: true))
                {
                    Mode = Convert.ToInt32(e.GetProperty("mode").GetString(), 8),
                    Uid = e.GetProperty("uid").GetUInt32(),
                    Gid = e.GetProperty("gid").GetUInt32(),
                    Mtime = e.GetProperty("mtime").GetInt64(),
                    Rdev = e.TryGetProperty("rdev", out var rdev) ? rdev.GetUInt32() : 0,
                    Target = e.TryGetProperty("target", out var target) ? Raw(target.GetString()!) : [],
                    Data = e.TryGetProperty("repeat", out var repeat) ? [.. Enumerable.Repeat(Raw(repeat.GetString()!), e.GetProperty("times").GetInt32()).SelectMany(b => b)] : [],
                    Xattrs = e.TryGetProperty("xattrs", out var xattrs) ? [.. xattrs.EnumerateObject().Select(x => (Raw(x.Name), Raw(x.Value.GetString()!)))] : [],
                };
            known.Add(path, entry);
            yield return entry;
        }
    }

    private static byte[] Raw(string text) => Encoding.Latin1.GetBytes(text);

    private static byte[] Hex(JsonElement of, string name) => Convert.FromHexString(of.GetProperty(name).GetString()!);

    private static JsonDocument Document(string file) => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Repository.Vectors, file)));
}
