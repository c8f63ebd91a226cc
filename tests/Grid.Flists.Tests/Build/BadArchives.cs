using Grid.Flists.Build;
using Grid.Flists.Tests.Identity;
using static Grid.Flists.Tests.Identity.Trees;

namespace Grid.Flists.Tests.Build;

/// <summary>Whatever an archive holds, it becomes a tree or is refused with a code; nothing else ever happens.</summary>
public sealed class BadArchives
{
    private static readonly SketchEntry None = File("");

    public static TheoryData<string> Names => [.. Cases().Select(c => c.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task A_bad_archive_is_refused_with_its_code(string name)
    {
        var (_, code, tar) = Cases().Single(c => c.Name == name);
        var e = await Assert.ThrowsAsync<FlistBuildException>(() => Collected.Build(tar, BuildOptions.Default with { OutputLimit = 4 << 20 }));
        Assert.Equal(code, e.Code);
    }

    [Fact]
    public async Task What_is_odd_but_clear_is_taken()
    {
        // A directory that comes again, empty parts and dots in paths, old types, a label, an own name as hard link, pairs of slashes.
        var tar = Tar().Raw(Bytes("label"), 'V', [], None, 0).Raw(Bytes("./a//b/./c"), '7', [], None, 0).Raw(Bytes("a/"), '5', [], None with { Mode = 0x1c0 }, 0)
            .Raw(Bytes("old/"), '\0', [], None, 0).Raw(Bytes("a/b/c"), '1', Bytes("a/b/c"), None, 0).Raw(Bytes("x/"), '5', [], None, 0).Raw(Bytes("x"), '5', [], None, 0);
        var meta = (await Collected.Build(tar.End())).Meta;
        Assert.Equal(6, meta.Count);
        Assert.Equal(0x1c0, meta[meta.Lookup(0, "a"u8)].Mode);
        Assert.Equal(EntryType.Directory, meta[meta.Lookup(0, "old"u8)].Type);
        Assert.Equal(1, meta[meta.Resolve("a/b/c"u8, out _)].Nlink);
    }

    [Fact]
    public async Task Damaged_archives_become_a_tree_or_are_refused()
    {
        var random = new Random(11);
        byte[][] archives =
        [
            .. Enumerable.Range(0, 12).Select(n => TarBytes.Of([.. Sketch.Of(n, plain: n % 2 == 0).Select(Small)], n % 2 == 0 ? TarFormat.Gnu : TarFormat.Pax, n)),
        ];
        for (var n = 0; n < 3000; n++)
        {
            var tar = archives[n % archives.Length].ToArray();
            Damage(tar, random);
            if (n % 2 == 0)
                RightChecksums(tar);
            var packed = (n % 7) switch { 0 => Images.Gzip(tar), 1 => Images.Zstd(tar), _ => tar };
            if (n % 7 < 2)
                Damage(packed, random);
            await BecomesATreeOrIsRefused(() => Collected.Build(packed, BuildOptions.Default with { OutputLimit = 64 << 20 }));
        }
    }

    internal static void Damage(byte[] bytes, Random random)
    {
        for (var edits = random.Next(1, 4); edits > 0; edits--)
        {
            var at = random.Next(bytes.Length);
            if (random.Next(4) == 0)
                bytes.AsSpan(at, int.Min(random.Next(64), bytes.Length - at)).Fill((byte)random.Next(256));
            else
                bytes[at] ^= (byte)(1 << random.Next(8));
        }
    }

    internal static async Task BecomesATreeOrIsRefused(Func<Task<BuiltFlist>> build)
    {
        try
        {
            var built = await build();
            MetaFile.Load(built.Meta.Bytes, built.Meta.Root);
        }
        catch (FlistBuildException e)
        {
            Assert.Contains(e.Code, typeof(FlistBuildCode).GetFields().Select(f => (string)f.GetValue(null)!));
        }
        catch (FlistFormatException e)
        {
            Assert.Contains(e.Code, typeof(FlistFormatCode).GetFields().Select(f => (string)f.GetValue(null)!));
        }
    }

    // Less content, so that most damage falls on headers.
    internal static SketchEntry Small(SketchEntry e) => e with { Data = e.Data[..int.Min(e.Data.Length, 700)] };

    // Where a block looks like a header its sum is made right again, or nothing behind the checksum would ever be reached.
    private static void RightChecksums(byte[] tar)
    {
        for (var at = 0; at + 512 <= tar.Length; at += 512)
        {
            var block = tar.AsSpan(at, 512);
            if (!block.Slice(257, 5).SequenceEqual("ustar"u8))
                continue;
            block.Slice(148, 8).Fill((byte)' ');
            var sum = 0;
            foreach (var b in block)
                sum += b;
            Bytes(Convert.ToString(sum, 8).PadLeft(6, '0') + "\0 ").CopyTo(block[148..]);
        }
    }

    private static TarBytes Tar() => new(TarFormat.Gnu);

    private static TarBytes Pax(string key, string value, TarFormat format = TarFormat.Pax)
    {
        var records = new MemoryStream();
        TarBytes.Record(records, key, System.Text.Encoding.Latin1.GetBytes(value));
        return new TarBytes(format).Extended('x', records.ToArray()).Raw(Bytes("f"), '0', [], None, 0);
    }

    private static IEnumerable<(string Name, string Code, byte[] Tar)> Cases()
    {
        var ok = Tar().Raw(Bytes("f"), '0', [], None, 3).Data(Bytes("abc"));
        byte[] unended = ok.WithoutEnd(), ended = ok.End();
        yield return ("nothing at all", FlistBuildCode.NotAnArchive, []);
        yield return ("text", FlistBuildCode.NotAnArchive, [.. Enumerable.Repeat((byte)'x', 2000)]);
        yield return ("ends inside a header", FlistBuildCode.Truncated, ended[..1200]);
        yield return ("ends inside content", FlistBuildCode.Truncated, ended[..700]);
        yield return ("no end", FlistBuildCode.Truncated, unended);
        yield return ("half an end", FlistBuildCode.Truncated, ended[..^512]);
        yield return ("something after the end", FlistBuildCode.TrailingData, [.. ended, 0, 0, 1]);
        yield return ("ends after a long name", FlistBuildCode.Truncated, Tar().Extended('L', Bytes("name")).End());
        yield return ("damaged second header", FlistBuildCode.BadChecksum, Changed(Tar().Raw(Bytes("a"), '0', [], None, 0).Raw(Bytes("b"), '0', [], None, 0).End(), 512));
        yield return ("climbing", FlistBuildCode.UnsafePath, Tar().Raw(Bytes("a/../../b"), '0', [], None, 0).End());
        yield return ("absolute", FlistBuildCode.UnsafePath, Tar().Raw(Bytes("/etc/passwd"), '0', [], None, 0).End());
        yield return ("zero in a name", FlistBuildCode.UnsafePath, Pax("path", "a\0b").End());
        yield return ("root as a file", FlistBuildCode.UnsafePath, Tar().Raw(Bytes("."), '0', [], None, 0).End());
        yield return ("through a link", FlistBuildCode.ThroughLink, Tar().Raw(Bytes("l"), '2', Bytes("/"), None, 0).Raw(Bytes("l/f"), '0', [], None, 0).End());
        yield return ("through a file", FlistBuildCode.NotADirectory, Tar().Raw(Bytes("f"), '0', [], None, 0).Raw(Bytes("f/g"), '0', [], None, 0).End());
        yield return ("the same name twice", FlistBuildCode.DuplicateName, Tar().Raw(Bytes("f"), '0', [], None, 0).Raw(Bytes("./f"), '0', [], None, 0).End());
        yield return ("file over directory", FlistBuildCode.DuplicateName, Tar().Raw(Bytes("d/"), '5', [], None, 0).Raw(Bytes("d"), '0', [], None, 0).End());
        yield return ("directory over file", FlistBuildCode.DuplicateName, Tar().Raw(Bytes("d"), '0', [], None, 0).Raw(Bytes("d/"), '5', [], None, 0).End());
        yield return ("hard link to what comes later", FlistBuildCode.BadLinkTarget, Tar().Raw(Bytes("l"), '1', Bytes("f"), None, 0).Raw(Bytes("f"), '0', [], None, 0).End());
        yield return ("hard link to the outside", FlistBuildCode.UnsafePath, Tar().Raw(Bytes("l"), '1', Bytes("../f"), None, 0).End());
        yield return ("hard link to a directory", FlistBuildCode.BadLinkTarget, Tar().Raw(Bytes("d"), '5', [], None, 0).Raw(Bytes("l"), '1', Bytes("d"), None, 0).End());
        yield return ("hard link with content", FlistBuildCode.BadHeader, Tar().Raw(Bytes("f"), '0', [], None, 0).Raw(Bytes("l"), '1', Bytes("f"), None, 5).Data(Bytes("12345")).End());
        yield return ("symbolic link to nothing", FlistBuildCode.BadLinkTarget, Tar().Raw(Bytes("l"), '2', [], None, 0).End());
        yield return ("symbolic link too long", FlistBuildCode.BadLinkTarget, Tar().Extended('K', new string('x', 4096) is var t ? Bytes(t) : []).Raw(Bytes("l"), '2', [], None, 0).End());
        yield return ("name of 256 bytes", FlistBuildCode.TooLarge, Pax("path", new string('n', 256)).End());
        yield return ("path of 5000 bytes", FlistBuildCode.TooLarge, Pax("path", string.Concat(Enumerable.Repeat("abcd/", 1000))).End());
        yield return ("negative size", FlistBuildCode.BadHeader, Tar().Raw(Bytes("f"), '0', [], None, -1).End());
        yield return ("huge size", FlistBuildCode.OutOfRange, Tar().Raw(Bytes("f"), '0', [], None, 1L << 50).End());
        yield return ("size beyond the archive", FlistBuildCode.Truncated, Tar().Raw(Bytes("f"), '0', [], None, 1L << 40).End());
        yield return ("huge size of a label", FlistBuildCode.Truncated, Tar().Raw(Bytes("f"), 'V', [], None, long.MaxValue - 3).End());
        yield return ("negative owner", FlistBuildCode.OutOfRange, Pax("uid", "-1").End());
        yield return ("owner of 2^32 - 1", FlistBuildCode.OutOfRange, Pax("gid", "4294967295").End());
        yield return ("owner that is no number", FlistBuildCode.BadHeader, Pax("uid", "root").End());
        yield return ("time after the year 9999", FlistBuildCode.OutOfRange, Pax("mtime", "253402300800").End());
        yield return ("time before the year 1", FlistBuildCode.OutOfRange, Pax("mtime", "-62135596801").End());
        yield return ("time that is no number", FlistBuildCode.BadHeader, Pax("mtime", "1e9").End());
        yield return ("mode that is no number", FlistBuildCode.BadHeader, Tar().Raw(Bytes("f"), '0', [], None, 0, b => b[101] = (byte)'9').End());
        yield return ("owner of more than 64 bits", FlistBuildCode.BadHeader, Tar().Raw(Bytes("f"), '0', [], None, 0, b => b.AsSpan(124, 12).Fill(0x81)).End());
        yield return ("GNU sparse", FlistBuildCode.SparseUnsupported, Tar().Raw(Bytes("f"), 'S', [], None, 0).End());
        yield return ("PAX sparse", FlistBuildCode.SparseUnsupported, Pax("GNU.sparse.major", "1").End());
        yield return ("unknown type", FlistBuildCode.UnknownEntryType, Tar().Raw(Bytes("f"), 'Q', [], None, 0).End());
        yield return ("second volume", FlistBuildCode.UnknownEntryType, Tar().Raw(Bytes("f"), 'M', [], None, 0).End());
        yield return ("extended header of nonsense", FlistBuildCode.BadHeader, Tar().Extended('x', Bytes("nonsense")).End());
        yield return ("record longer than its header", FlistBuildCode.BadHeader, Tar().Extended('x', Bytes("99 a=b\n")).End());
        yield return ("record of negative length", FlistBuildCode.BadHeader, Tar().Extended('x', Bytes("-9 a=b\n")).End());
        yield return ("two extended headers", FlistBuildCode.BadHeader, Tar().Extended('x', Bytes("6 a=b\n")).Extended('x', Bytes("6 a=b\n")).End());
        yield return ("extended header of 2 MiB", FlistBuildCode.TooLarge, Tar().Extended('x', new byte[2 << 20]).End());
        yield return ("name of 1 MiB", FlistBuildCode.TooLarge, Tar().Extended('L', new byte[1 << 20]).End());
        yield return ("gzip that ends early", FlistBuildCode.Truncated, Images.Gzip(Noise())[..3000]);
        yield return ("gzip with a wrong check sum", FlistBuildCode.BadCompression, Changed(Images.Gzip(Noise()), ^6));
        yield return ("gzip of nothing but its start", FlistBuildCode.BadCompression, [0x1f, 0x8b, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
        yield return ("zstd that ends early", FlistBuildCode.BadCompression, Images.Zstd(Noise())[..3000]);
        yield return ("zstd of nothing but its start", FlistBuildCode.BadCompression, [0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff]);
        yield return ("zstd with something behind it", FlistBuildCode.BadCompression, [.. Images.Zstd(ended), 1, 2, 3, 4, 5, 6, 7, 8]);
        yield return ("gzip bomb", FlistBuildCode.OutputLimit, Images.Gzip(new byte[8 << 20]));
        yield return ("zstd bomb", FlistBuildCode.OutputLimit, Images.Zstd(new byte[8 << 20]));
        yield return ("xz", FlistBuildCode.UnsupportedMediaType, [0xfd, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0, 1, 2]);
    }

    private static byte[] Noise()
    {
        var noise = new byte[10_000];
        new Random(1).NextBytes(noise);
        return Tar().Raw(Bytes("f"), '0', [], None, noise.Length).Data(noise).End();
    }

    private static byte[] Changed(byte[] bytes, Index at)
    {
        bytes[at] ^= 0x55;
        return bytes;
    }
}
