using Grid.Flists.Build;
using Grid.Flists.Tests.Identity;
using Grid.Units;

namespace Grid.Flists.Tests.Build;

/// <summary>The law of an flist: the tree alone makes the root hash, not where it came from or in which order.</summary>
public sealed class SameTreeSameRoot
{
    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task A_tree_has_one_root_as_directory_archive_and_image(int seed)
    {
        using var scratch = new Scratch();
        if (!Posix.CanMake(scratch.Path))
            Assert.Skip("root rights and a file system with user.* attributes are missing");
        var plain = seed % 4 == 0;
        var tree = seed == 1 ? Sketch.Deep(200) : Sketch.Of(seed, plain);
        var expected = Reference.Root(tree);

        Posix.Make(scratch.NewDirectory("tree"), tree);
        var built = await Build(new DirectorySource(scratch["tree"]));
        Assert.Equal(expected, built.Meta.Root);
        // Loading proves that the writer obeys every rule the reader has.
        Assert.Equal(built.Meta.Count, MetaFile.Load(built.Meta.Bytes, expected).Count);

        foreach (var format in plain ? [TarFormat.Ustar, TarFormat.Gnu, TarFormat.Pax] : new[] { TarFormat.Pax })
        {
            var tar = TarBytes.Of(tree, format, seed + 1);
            Assert.Equal(expected, await Root(new TarSource(new MemoryStream(tar))));
            Assert.Equal(expected, await Root(new TarSource(new MemoryStream(Images.Gzip(tar)))));
            File.WriteAllBytes(scratch["tree.tar.zst"], Images.Zstd(tar));
            Assert.Equal(expected, await Root(new TarSource(scratch["tree.tar.zst"])));
        }
        // GNU without extended attributes says everything else.
        if (tree.All(e => e.Xattrs.Count == 0))
            Assert.Equal(expected, await Root(new TarSource(new MemoryStream(TarBytes.Of(tree, TarFormat.Gnu, seed)))));

        Images.Layout(scratch.NewDirectory("image"), Layers(tree, seed));
        Assert.Equal(expected, await Root(new OciSource(scratch["image"])));
        Run.Succeed("tar", "-C", scratch["image"], "-cf", scratch["image.tar"], ".");
        Assert.Equal(expected, await Root(new OciSource(scratch["image.tar"])));
    }

    public static TheoryData<int> Seeds => [.. Enumerable.Range(0, 24)];

    [Theory]
    [InlineData("gnu", "umask 077; TZ=Asia/Tokyo LC_ALL=C")]
    [InlineData("posix", "umask 000; TZ=America/Lima LC_ALL=C.UTF-8")]
    [InlineData("posix", "umask 022; TZ=UTC LC_ALL=POSIX")]
    public async Task The_tar_of_the_system_gives_the_root_of_the_directory_whatever_its_surroundings(string format, string surroundings)
    {
        using var scratch = new Scratch();
        if (!Posix.CanMake(scratch.Path))
            Assert.Skip("root rights and a file system with user.* attributes are missing");
        for (var seed = 100; seed < 108; seed++)
        {
            var name = $"tree{seed}";
            // GNU tar writes the names of a pipe as so many pipes.
            var tree = Sketch.Of(seed).Where(e => e.LinkTo is null || e.Type != EntryType.Fifo).ToList();
            if (format == "gnu")
                tree = [.. tree.Select(e => e with { Xattrs = [], LinkTo = e.LinkTo is { } l ? l with { Xattrs = [] } : null })];
            Posix.Make(scratch.NewDirectory(name), tree);
            Run.Succeed("sh", "-c", $"{surroundings} tar --format={format} {(format == "posix" ? "--xattrs --xattrs-include='*'" : "")} -C {scratch[name]} -cf {scratch[name]}.tar .");
            var root = await Root(new DirectorySource(scratch[name]));
            Assert.Equal(Reference.Root(tree), root);
            Assert.Equal(root, await Root(new TarSource(scratch[name + ".tar"])));
        }
    }

    [Fact]
    public async Task A_part_of_this_Debian_has_one_root_as_directory_and_as_archive()
    {
        var part = new[] { "/usr/lib/x86_64-linux-gnu/perl-base", "/usr/share/perl5", "/etc" }.FirstOrDefault(Directory.Exists);
        if (part is null || Posix.geteuid() != 0)
            Assert.Skip("no part of a Debian is here to read");
        using var scratch = new Scratch();
        Run.Succeed("cp", "-a", part, scratch["tree"]);
        Run.Succeed("tar", "-C", scratch["tree"], "-czf", scratch["tree.tgz"], ".");
        Assert.Equal(await Root(new DirectorySource(scratch["tree"])), await Root(new TarSource(scratch["tree.tgz"])));
    }

    // Lower layers hold some entries with other content, and some that nobody wants; upper ones set that right.
    private static List<byte[]> Layers(List<SketchEntry> tree, int seed)
    {
        var random = new Random(seed);
        var lower = new List<SketchEntry>();
        var whiteouts = new List<SketchEntry>();
        foreach (var e in tree)
        {
            if (e.Type == EntryType.Directory && random.Next(2) == 0)
            {
                byte[] prefix = e.Path.Length == 0 ? [] : [.. e.Path, (byte)'/'];
                lower.Add(new SketchEntry([.. prefix, .. "unwanted/deep"u8], EntryType.File) { Data = "old"u8.ToArray() });
                whiteouts.Add(new SketchEntry([.. prefix, .. ".wh.unwanted"u8], EntryType.File));
            }
            else if (e.Type == EntryType.File && e.LinkTo is null && random.Next(3) == 0)
            {
                lower.Add(e with { Data = "old"u8.ToArray(), Mode = 0, Xattrs = [] });
            }
        }
        // Names of one inode may lie in two layers: a hard link to what a lower layer has.
        var split = tree.Where(e => e.Type == EntryType.Directory || e.LinkTo is null).ToList();
        var links = tree.Where(e => e.LinkTo is not null).ToList();
        var last = new TarBytes(TarFormat.Pax);
        foreach (var link in links)
            last.Header(link, '1', link.LinkTo!.Path, 0);
        // An opaque directory in the layer that fills it takes away only what was below.
        var opaque = tree.Count(e => e.Type == EntryType.Directory) == 1 ? new[] { new SketchEntry(".wh..wh..opq"u8.ToArray(), EntryType.File) } : [];
        return [TarBytes.Of(lower, TarFormat.Pax), TarBytes.Of([.. whiteouts, .. split, .. opaque], TarFormat.Pax, seed), last.End()];
    }

    private static Task<BuiltFlist> Build(ITreeSource source) => FlistBuilder.BuildAsync(source, BuildOptions.Default, NoContent.Instance, TestContext.Current.CancellationToken);

    private static async Task<Digest> Root(ITreeSource source) => (await Build(source)).Meta.Root;
}
