using Grid.Flists.Build;
using Grid.Flists.Tests.Identity;
using static Grid.Flists.Tests.Identity.Trees;

namespace Grid.Flists.Tests.Build;

public sealed class BadImages
{
    [Fact]
    public async Task Whiteouts_and_opaque_directories_hide_what_is_below_and_only_that()
    {
        byte[] lower = TarBytes.Of([Dir(""), Dir("d"), File("d/old", "1"), File("gone", "2"), Dir("o"), File("o/hidden", "3"), Dir("x"), File("x/y", "4")], TarFormat.Pax);
        byte[] upper = TarBytes.Of(
            [
                File("o/shown", "5"), File("o/.wh..wh..opq"), File("again", "6"), File(".wh.again"), File(".wh.gone"), File(".wh.never"), File("nowhere/.wh..wh..opq"), File("x", "7"),
                File(".wh..wh.plnk"),
            ], TarFormat.Pax);
        var meta = (await Image([lower, upper])).Meta;
        Assert.Equal(["", "again", "d", "d/old", "o", "o/shown", "x"], Paths(meta).Order(StringComparer.Ordinal));
        Assert.Equal(EntryType.File, meta[meta.Lookup(0, "x"u8)].Type);
    }

    [Fact]
    public async Task The_configuration_becomes_the_start_values()
    {
        var run = new { Entrypoint = new[] { "/init", "-v" }, Cmd = new[] { "serve" }, Env = new[] { "PATH=/bin", "A=1", "A=2=3" }, WorkingDir = "/srv", User = "33:34" };
        var manifest = (await Image([TarBytes.Of([Dir("")], TarFormat.Pax)], run)).Manifest;
        Assert.Equal("linux/amd64", manifest.Platform);
        Assert.Equal(("/init", "-v serve", "/srv", new ManifestUser(33, 34)), (manifest.Start.Entry, string.Join(' ', manifest.Start.Args), manifest.Start.WorkDir, manifest.Start.User));
        Assert.Equal([new("A", "2=3"), new("PATH", "/bin")], manifest.Start.Environment);
    }

    [Fact]
    public async Task The_archive_of_docker_save_is_read_and_checked()
    {
        byte[] layer = TarBytes.Of([Dir(""), File("f", "1")], TarFormat.Pax);
        var config = Bytes($$"""{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:{{Images.Hex(layer)}}","sha256:{{Images.Hex(layer)}}"] } }""");
        byte[] Saved(byte[] first) => new TarBytes(TarFormat.Pax)
            .Entry(new SketchEntry(Bytes("manifest.json"), EntryType.File) { Data = Bytes($$"""[{"Config":"{{Images.Hex(config)}}.json","RepoTags":["a:1"],"Layers":["1/layer.tar","2/layer.tar"]}]""") })
            .Entry(new SketchEntry(Bytes(Images.Hex(config) + ".json"), EntryType.File) { Data = config })
            .Entry(new SketchEntry(Bytes("1/layer.tar"), EntryType.File) { Data = first })
            .Entry(Link("2/layer.tar", "../1/layer.tar")).End();
        using var scratch = new Scratch();
        System.IO.File.WriteAllBytes(scratch["good.tar"], Saved(layer));
        System.IO.File.WriteAllBytes(scratch["bad.tar"], Saved(TarBytes.Of([Dir(""), File("f", "2")], TarFormat.Pax)));
        Assert.Equal((await Collected.Build(layer)).Meta.Root, (await Collected.Build(new OciSource(scratch["good.tar"]), BuildOptions.Default with { Reference = "a:1" })).Meta.Root);
        await Refused(FlistBuildCode.DigestMismatch, new OciSource(scratch["bad.tar"]));
    }

    [Theory]
    [InlineData("config", "\"sha256:", "\"sha256:00", FlistBuildCode.BadImage)]
    [InlineData("config", "\"diff_ids\":[", "\"diff_ids\":[\"sha256:0000000000000000000000000000000000000000000000000000000000000000\",", FlistBuildCode.BadImage)]
    [InlineData("config", "\"rootfs\"", "\"roots\"", FlistBuildCode.BadImage)]
    [InlineData("manifest", "\"schemaVersion\":2", "\"schemaVersion\":1", FlistBuildCode.BadImage)]
    [InlineData("manifest", "\"schemaVersion\":2", "\"schemaVersion\":\"2\"", FlistBuildCode.BadImage)]
    [InlineData("manifest", "layer.v1.tar", "layer.v1.tar+encrypted", FlistBuildCode.UnsupportedMediaType)]
    [InlineData("manifest", "vnd.oci.image.layer.v1.tar", "wasm", FlistBuildCode.UnsupportedMediaType)]
    [InlineData("manifest", "\"size\":", "\"size\":1", FlistBuildCode.DigestMismatch)]
    [InlineData("manifest", "{", "", FlistBuildCode.BadImage)]
    [InlineData("index", "\"digest\":\"sha256:", "\"digest\":\"sha512:", FlistBuildCode.BadImage)]
    [InlineData("index", "\"manifests\":[", "\"manifests\":[7,", FlistBuildCode.BadImage)]
    [InlineData("index", "manifest.v1", "other.v1", FlistBuildCode.BadImage)]
    [InlineData("index", "{", "[", FlistBuildCode.BadImage)]
    public async Task A_bad_description_is_refused_with_its_code(string which, string what, string with, string code)
    {
        using var scratch = new Scratch();
        Images.Layout(scratch.Path, [TarBytes.Of([Dir("")], TarFormat.Pax)], change: (name, json) => name == which ? json.Replace(what, with, StringComparison.Ordinal) : json);
        await Refused(code, new OciSource(scratch.Path));
    }

    [Fact]
    public async Task A_blob_that_is_missing_or_changed_is_refused()
    {
        using var scratch = new Scratch();
        byte[] layer = TarBytes.Of([Dir(""), File("f", "1")], TarFormat.Pax);
        Images.Layout(scratch.Path, [layer]);
        foreach (var blob in Directory.GetFiles(scratch["blobs/sha256"]))
        {
            var bytes = System.IO.File.ReadAllBytes(blob);
            bytes[^1] ^= 1;
            System.IO.File.WriteAllBytes(blob, bytes);
            await Refused(FlistBuildCode.DigestMismatch, new OciSource(scratch.Path));
            System.IO.File.Delete(blob);
            await Refused(FlistBuildCode.BlobMissing, new OciSource(scratch.Path));
            bytes[^1] ^= 1;
            System.IO.File.WriteAllBytes(blob, bytes);
        }
        await Collected.Build(new OciSource(scratch.Path));
        await Refused(FlistBuildCode.BadImage, new OciSource(scratch["blobs"]));
        await Refused(FlistBuildCode.SourceMissing, new OciSource(scratch["none"]));
    }

    [Fact]
    public async Task Another_platform_is_refused_and_one_of_several_is_chosen()
    {
        using var scratch = new Scratch();
        Images.Layout(scratch.Path, [TarBytes.Of([Dir("")], TarFormat.Pax)],
            change: (name, json) => name != "index" ? json : json.Replace("\"size\":", "\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"},\"size\":", StringComparison.Ordinal));
        await Collected.Build(new OciSource(scratch.Path), BuildOptions.Default with { Platform = "linux/arm64" });
        var e = await Assert.ThrowsAsync<FlistBuildException>(() => Collected.Build(new OciSource(scratch.Path), BuildOptions.Default with { Platform = "linux/s390x" }));
        Assert.Equal(FlistBuildCode.PlatformMissing, e.Code);
    }

    [Theory]
    [InlineData(".wh.")]
    [InlineData(".wh...")]
    [InlineData("../.wh.x")]
    public async Task A_whiteout_of_no_name_is_refused(string path)
    {
        var e = await Assert.ThrowsAsync<FlistBuildException>(() => Image([TarBytes.Of([Dir(""), File(path)], TarFormat.Pax)]));
        Assert.Equal(FlistBuildCode.UnsafePath, e.Code);
    }

    [Fact]
    public async Task A_layer_that_unpacks_without_end_is_refused()
    {
        using var scratch = new Scratch();
        byte[] big = TarBytes.Of([File("zeros") with { Data = new byte[8 << 20] }], TarFormat.Pax);
        Images.Layout(scratch.Path, [TarBytes.Of([Dir("")], TarFormat.Pax), big]);
        var e = await Assert.ThrowsAsync<FlistBuildException>(() => Collected.Build(new OciSource(scratch.Path), BuildOptions.Default with { OutputLimit = 4 << 20 }));
        Assert.Equal(FlistBuildCode.OutputLimit, e.Code);
    }

    [Fact]
    public async Task Damaged_images_become_the_same_tree_or_are_refused()
    {
        using var scratch = new Scratch();
        var tree = Sketch.Of(3).Select(BadArchives.Small).ToList();
        Images.Layout(scratch.NewDirectory("image"), [TarBytes.Of([Dir(""), File("below", "1")], TarFormat.Pax), TarBytes.Of(tree, TarFormat.Pax)]);
        Run.Succeed("tar", "-C", scratch["image"], "-cf", scratch["image.tar"], ".");
        var root = (await Collected.Build(new OciSource(scratch["image.tar"]))).Meta.Root;
        var bytes = System.IO.File.ReadAllBytes(scratch["image.tar"]);
        var random = new Random(5);
        for (var n = 0; n < 1000; n++)
        {
            var damaged = bytes.ToArray();
            BadArchives.Damage(damaged, random);
            System.IO.File.WriteAllBytes(scratch["damaged.tar"], damaged);
            await BadArchives.BecomesATreeOrIsRefused(async () =>
            {
                // Digests hold the image together: damage is refused, or fell on what says nothing about the tree.
                var built = await Collected.Build(new OciSource(scratch["damaged.tar"]));
                Assert.Equal(root, built.Meta.Root);
                return built;
            });
        }
    }

    private static async Task<BuiltFlist> Image(IReadOnlyList<byte[]> layers, object? run = null)
    {
        using var scratch = new Scratch();
        Images.Layout(scratch.Path, layers, run);
        return await Collected.Build(new OciSource(scratch.Path));
    }

    private static async Task Refused(string code, ITreeSource source)
    {
        var e = await Assert.ThrowsAsync<FlistBuildException>(() => Collected.Build(source));
        Assert.Equal(code, e.Code);
    }

    private static IEnumerable<string> Paths(MetaFile meta)
    {
        var paths = new string[meta.Count];
        for (var i = 0; i < meta.Count; i++)
        {
            var parent = paths[meta[i].Parent];
            var name = System.Text.Encoding.UTF8.GetString(meta.Name(i));
            paths[i] = string.IsNullOrEmpty(parent) ? name : $"{parent}/{name}";
        }
        return paths;
    }
}
