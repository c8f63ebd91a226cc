using Grid.Units;

namespace Grid.Flists.Tests.Identity;

public sealed class MetaFileUse
{
    private static readonly MetaFile Usr = Trees.Meta(
    [
        Trees.Dir(""), Trees.Dir("usr"), Trees.Dir("usr/bin"), Trees.File("usr/bin/sh", "#"), Trees.Link("bin", "usr/bin"), Trees.Link("usr/bin/ash", "sh"),
        Trees.Link("loop", "/loop2"), Trees.Link("loop2", "loop"), Trees.Link("out", "../../../usr/bin/sh"), Trees.Link("abs", "/bin/ash"), Trees.Link("dangling", "gone"),
        Trees.Link("slash", "usr/bin/sh/"), Trees.Link("dot", "."),
    ]);

    [Theory]
    [InlineData("/usr/bin/sh", "usr/bin/sh")]
    [InlineData("usr//bin/./sh", "usr/bin/sh")]
    [InlineData("/bin/sh", "usr/bin/sh")]
    [InlineData("/bin/ash", "usr/bin/sh")]
    [InlineData("abs", "usr/bin/sh")]
    [InlineData("out", "usr/bin/sh")]
    [InlineData("/../../usr/../usr/bin/", "usr/bin")]
    [InlineData("/", "")]
    [InlineData("dot/dot/dot/bin", "usr/bin")]
    [InlineData("bin/..", "usr")]
    public void A_path_leads_where_the_kernel_would_lead_it_below_this_root(string path, string to)
    {
        Assert.Equal(Walk(to), Usr.Resolve(Trees.Bytes(path), out var failure));
        Assert.Equal(ResolveFailure.None, failure);
    }

    [Theory]
    [InlineData("", ResolveFailure.NotFound)]
    [InlineData("/usr/none", ResolveFailure.NotFound)]
    [InlineData("dangling", ResolveFailure.NotFound)]
    [InlineData("usr/bin/sh/x", ResolveFailure.NotADirectory)]
    [InlineData("usr/bin/sh/", ResolveFailure.NotADirectory)]
    [InlineData("usr/bin/sh/..", ResolveFailure.NotADirectory)]
    [InlineData("slash", ResolveFailure.NotADirectory)]
    [InlineData("loop", ResolveFailure.TooManyLinks)]
    public void A_path_that_leads_nowhere_says_why(string path, ResolveFailure why)
    {
        Assert.Equal(-1, Usr.Resolve(Trees.Bytes(path), out var failure));
        Assert.Equal(why, failure);
    }

    [Fact]
    public void A_path_beyond_the_limit_is_too_long()
    {
        Usr.Resolve(new byte[4096], out var failure);
        Assert.Equal(ResolveFailure.TooLong, failure);
    }

    [Fact]
    public void The_last_link_is_followed_only_when_asked()
    {
        Assert.Equal(EntryType.Symlink, Usr[Usr.Resolve("/abs"u8, out _, followLast: false)].Type);
        Assert.Equal(EntryType.Directory, Usr[Usr.Resolve("/bin/"u8, out _, followLast: false)].Type);
    }

    [Fact]
    public void Every_entry_of_a_random_tree_is_found_with_all_it_has()
    {
        for (var seed = 0; seed < 30; seed++)
        {
            var tree = Sketch.Of(seed);
            var meta = MetaFile.Load(Trees.Meta(tree).Bytes, Reference.Root(tree));
            foreach (var e in tree)
            {
                var at = 0;
                foreach (var part in e.Path.Length == 0 ? [] : Parts(e.Path))
                    at = meta.Lookup(at, part);
                var i = meta[at];
                Assert.Equal((e.Type, (ushort)e.Mode, e.Uid, e.Gid, e.Mtime), (i.Type, i.Mode, i.Uid, i.Gid, i.MtimeSeconds));
                Assert.Equal(e.Name, meta.Name(at).ToArray());
                Assert.Equal(e.Target, meta.SymlinkTarget(at).ToArray());
                Assert.Equal(e.Type == EntryType.Symlink ? e.Target.Length : e.Data.Length, i.Size);
                Assert.Equal(tree.Count(o => (o.LinkTo ?? o) == (e.LinkTo ?? e)), e.Type == EntryType.Directory ? 1 : i.Nlink);
                for (var n = 0; n < i.ChunkCount; n++)
                    Assert.Equal(Digest.Of(e.Data.AsSpan(n * Chunk.Size, int.Min(Chunk.Size, e.Data.Length - n * Chunk.Size))), meta.Chunk(at, n));
                if (e.Type == EntryType.File)
                    Assert.Equal(ContentId.Of(e.Data.Length, [.. e.Data.Chunk(Chunk.Size).Select(c => Digest.Of(c))]), meta.Content(at));
                var xattrs = meta.Xattrs(at);
                foreach (var (name, value) in e.Xattrs.OrderBy(x => Convert.ToHexString(x.Name), StringComparer.Ordinal))
                {
                    Assert.True(xattrs.Next());
                    Assert.Equal(name, xattrs.Name.ToArray());
                    Assert.Equal(value, xattrs.Value.ToArray());
                }
                Assert.False(xattrs.Next());
            }
        }
    }

    [Fact]
    public void Looking_up_allocates_nothing()
    {
        Look();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Look();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        static void Look()
        {
            for (var n = 0; n < 100; n++)
            {
                var directory = Usr.Lookup(0, "usr"u8);
                _ = Usr[Usr.Lookup(directory, "bin"u8)].Size + Usr.Name(directory).Length + Usr.Resolve("/abs"u8, out _);
            }
        }
    }

    [Fact]
    public void A_file_of_many_chunks_has_the_same_content_id_from_the_meta_file_and_from_its_hashes()
    {
        Digest[] chunks = [.. Enumerable.Range(0, 100).Select(n => Digest.Of([(byte)n]))];
        var root = new DirectoryNode(new Attributes(0x1ed, 0, 0, 0, XattrSet.Empty));
        root.Set("big"u8.ToArray(), new FileNode(new Attributes(0x1a4, 0, 0, 0, XattrSet.Empty)) { Size = 99L * Chunk.Size + 1, Chunks = chunks });
        Assert.Equal(ContentId.Of(99L * Chunk.Size + 1, chunks), MetaFileWriter.Write(root).Content(1));
    }

    private static int Walk(string path) => path.Length == 0 ? 0 : Parts(Trees.Bytes(path)).Aggregate(0, (at, part) => Usr.Lookup(at, part));

    private static IEnumerable<byte[]> Parts(byte[] path) => System.Text.Encoding.Latin1.GetString(path).Split('/').Select(System.Text.Encoding.Latin1.GetBytes);
}
