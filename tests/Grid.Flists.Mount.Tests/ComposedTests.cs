using System.Security.Cryptography;
using System.Text;
using Grid.Flists.Cache;
using Grid.Flists.Erofs;
using Grid.Flists.Hub;

namespace Grid.Flists.Mount.Tests;

/// <summary>What the kernel shows by itself, engine K. That it shows the tree, <see cref="MountTests"/> and <see cref="IdmapTests"/> say of both engines.</summary>
public sealed class ComposedTests
{
    // Of extended attributes; ext4 beside holds no more than a block.
    private static readonly (string Name, int Length)[] _lengths = [("few", 40), ("more", 2000), ("most", 3900)];

    [Fact]
    public async Task Nobody_serves_it_and_it_names_nothing_of_the_machine()
    {
        await using var flist = new TestFlist();
        flist.Add("file", "content"u8.ToArray());
        var mounted = await flist.MountComposedAsync();

        Assert.Equal(mounted, FlistMount.Find(flist.Mountpoint));
        Assert.Empty(flist.Processes("flist-mount-"));
        var line = await Tools.TextAsync("/", $"grep {flist.Mountpoint} /proc/self/mountinfo");
        Assert.Contains(" ro,nosuid,nodev", line);
        Assert.DoesNotContain(flist.CacheDirectory, line);
        Assert.Equal("content", await File.ReadAllTextAsync(flist.At("file")));
        await TestFlist.UnmountedAsync(flist.Mountpoint);
        Assert.Null(FlistMount.Find(flist.Mountpoint));
    }

    /// <summary>The first view after everything has come is the kernel's; one that was there before stays the daemon's, and takes it along when it goes.</summary>
    [Fact]
    public async Task The_kernel_takes_over_what_is_all_here()
    {
        await using var flist = new TestFlist();
        var content = RandomNumberGenerator.GetBytes(2 * Chunk.Size);
        flist.Add("file", content);
        await flist.MountServedAsync();
        var (before, after) = (Directory.CreateDirectory(Path.Combine(flist.Home, "before")).FullName, Directory.CreateDirectory(Path.Combine(flist.Home, "after")).FullName);
        try
        {
            await ShowAsync(before, composed: false);
            Assert.True(await TestFlist.Eventually(flist.HasImage));
            await ShowAsync(after, composed: true);

            Assert.True(FlistMount.Find(flist.Mountpoint)!.IsComposed);
            foreach (var view in (ReadOnlySpan<string>)[before, after, flist.Mountpoint])
                Assert.Equal(content, File.ReadAllBytes(Path.Combine(view, "file")));
            Assert.NotEmpty(flist.Processes(MountVerbs.Daemon));
            await TestFlist.UnmountedAsync(before);
            Assert.True(await TestFlist.Eventually(() => flist.Processes("flist-mount-").Length == 0));
            Assert.Equal(content, File.ReadAllBytes(Path.Combine(after, "file")));
            await TestFlist.UnmountedAsync(flist.Mountpoint);
            Assert.Null(FlistMount.Find(flist.Mountpoint));
            Assert.Equal(content, File.ReadAllBytes(Path.Combine(after, "file")));
        }
        finally
        {
            FlistMount.Stop(before, detach: true);
            FlistMount.Stop(after, detach: true);
        }

        async Task ShowAsync(string view, bool composed)
        {
            var shown = await FlistMount.ShowAsync(flist.CachedSpec, view, new IdRange(300_000, 65_536), TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
            Assert.Equal(composed, Assert.IsType<MountOutcome.Mounted>(shown).Mount.IsComposed);
            Assert.Equal("300000", await Tools.TextAsync(view, "stat -c %u file"));
        }
    }

    /// <summary>An agent that is killed in the middle leaves both, the kernel's beneath: the next view finishes it.</summary>
    [Fact]
    public async Task A_takeover_that_was_cut_short_is_finished_by_the_next()
    {
        await using var flist = new TestFlist();
        flist.Add("file", "content"u8.ToArray());
        await flist.MountServedAsync();
        Assert.True(await TestFlist.Eventually(flist.HasImage));
        Assert.True(ComposedMount.TryPlaceBeneath(flist.CachedSpec));
        Assert.False(FlistMount.Find(flist.Mountpoint)!.IsComposed);

        ComposedMount.TakeOver(flist.CachedSpec);
        Assert.True(FlistMount.Find(flist.Mountpoint)!.IsComposed);
        Assert.True(await TestFlist.Eventually(() => flist.Processes("flist-mount-").Length == 0));
        Assert.Equal("content", await File.ReadAllTextAsync(flist.At("file")));
        await TestFlist.UnmountedAsync(flist.Mountpoint);
        Assert.Null(FlistMount.Find(flist.Mountpoint));
    }

    /// <summary>Bytes with the right id that are no manifest are for who opens the flist to refuse.</summary>
    [Fact]
    public async Task What_is_no_manifest_is_not_whole()
    {
        await using var flist = new TestFlist();
        flist.Store(lazy: false);
        var rubbish = "rubbish"u8.ToArray();
        var id = Manifest.IdOf(rubbish);
        Directory.CreateDirectory(Path.Combine(flist.CacheDirectory, "manifests"));
        await File.WriteAllBytesAsync(Path.Combine(flist.CacheDirectory, "manifests", id.ToString()), rubbish);

        Assert.Null(WholeFlist.TryFind(flist.CacheDirectory, id));
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(flist.CacheDirectory, "pins")));
        Assert.Equal(MountFailure.FlistInvalid, Assert.IsType<MountOutcome.Failed>(
            await FlistMount.StartAsync(flist.CachedSpec with { Flist = id }, TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken)).Failure);
    }

    [Theory]
    [InlineData("flip")]
    [InlineData("touch")]
    [InlineData("remove")]
    [InlineData("image")]
    public async Task What_was_changed_since_it_was_hashed_is_not_shown_by_the_kernel(string how)
    {
        await using var flist = new TestFlist();
        var content = RandomNumberGenerator.GetBytes(Chunk.Size + 5000);
        var file = flist.Add("file", content);
        await flist.MountComposedAsync();
        await flist.UnmountAsync();
        var path = how == "image" ? flist.Image : flist.ObjectOf(file);
        if (how == "remove")
            File.Delete(path);
        else if (how == "touch")
            File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch);
        else
        {
            using var change = File.OpenHandle(path, FileMode.Open, FileAccess.Write);
            RandomAccess.Write(change, [(byte)~content[2000]], 2000);
        }

        Assert.False((await flist.MountCachedAsync()).IsComposed);
        // The daemon hashes what looks otherwise, and there is no hub that would give it anew.
        if (how is "flip" or "remove")
            Assert.Throws<IOException>(() => File.ReadAllBytes(flist.At("file")));
        else
            Assert.Equal(content, await File.ReadAllBytesAsync(flist.At("file")));
        // What is right is composed anew, and nothing else.
        Assert.True(how is "flip" or "remove" ? !flist.HasImage() : await TestFlist.Eventually(flist.HasImage));
    }

    /// <summary>No process holds it, so the mount itself must.</summary>
    [Fact]
    public async Task What_is_mounted_is_not_evicted_and_what_is_not_loses_its_image_first()
    {
        await using var flist = new TestFlist();
        var content = RandomNumberGenerator.GetBytes(50_000);
        var file = flist.Add("file", content);
        await flist.MountComposedAsync();
        await EvictAsync(flist);
        Assert.Equal(content, await File.ReadAllBytesAsync(flist.At("file")));
        Assert.True(flist.HasImage());

        await flist.UnmountAsync();
        await EvictAsync(flist);
        Assert.True(await TestFlist.Eventually(() => !File.Exists(flist.ObjectOf(file))));
        Assert.False(File.Exists(flist.Image));
    }

    // A cache of ten bytes, to which somebody else adds an empty file; what nothing needs shows when it has been looked through.
    private static async Task EvictAsync(TestFlist flist)
    {
        var root = TestFlist.Directory_(0);
        var empty = flist.File_([]);
        if (File.Exists(flist.ObjectOf(empty)))
            File.Delete(flist.ObjectOf(empty));
        root.Set("empty"u8.ToArray(), empty);
        var other = flist.Lay(MetaFileWriter.Write(root));
        var useless = flist.ObjectOf(flist.File_(RandomNumberGenerator.GetBytes(10)));
        Directory.CreateDirectory(Path.GetDirectoryName(useless)!);
        await File.WriteAllBytesAsync(useless, new byte[11]);
        using var hub = new HubClient(flist.CachedSpec.Hubs.Select(h => h.AbsoluteUri));
        await using var cache = FlistCache.Open(flist.CacheDirectory, hub, new CacheOptions(MaximumBytes: 10));
        using var opened = await cache.OpenAsync(other, TestContext.Current.CancellationToken);
        opened.TryOpenComplete(1)?.Dispose();
        Assert.True(await TestFlist.Eventually(() => !File.Exists(useless)));
    }

    /// <summary>By the format's own tool, not by one kernel's patience alone. Without devices, which the tool has no way to be told of.</summary>
    [Theory]
    [InlineData(31, 10)]
    [InlineData(32, 2000)]
    public async Task An_image_is_clean(int seed, int entries)
    {
        await using var flist = new TestFlist();
        RandomTree.Fill(flist, seed, entries, largest: Chunk.Size);
        Corners(flist);
        await flist.MountComposedAsync();
        await Tools.ShellAsync("/", $"fsck.erofs {flist.Image}");
    }

    [Fact]
    public void What_is_longer_than_a_chunk_is_a_device_and_there_are_so_many_at_most()
    {
        Assert.True(Fits(4096, Chunk.Size + 1));
        Assert.False(Fits(4097, Chunk.Size + 1));
        Assert.True(Fits(5000, Chunk.Size));
    }

    private static bool Fits(int count, int size)
    {
        var root = TestFlist.Directory_(0);
        for (var n = 0; n < count; n++)
        {
            var chunks = Enumerable.Range(0, (int)Chunk.CountOf(size)).Select(c => Chunk.Hash(BitConverter.GetBytes(n + c * count))).ToArray();
            root.Set(Encoding.ASCII.GetBytes($"{n}"), new FileNode(new Attributes(0x1A4, 0, 0, 0, XattrSet.Empty)) { Size = size, Chunks = chunks });
        }
        return ErofsLayout.Fits(MetaFileWriter.Write(root));
    }

    [Fact]
    public async Task What_fits_no_block_is_beside_it()
    {
        await using var flist = new TestFlist();
        Corners(flist);
        RandomTree.WritePlain(flist);
        await flist.MountComposedAsync();

        Assert.Equal(await Tools.StatAllAsync(flist.Plain), await Tools.StatAllAsync(flist.Mountpoint));
        Assert.Equal(await Tools.HashAllAsync(flist.Plain), await Tools.HashAllAsync(flist.Mountpoint));
        foreach (var (name, length) in _lengths)
            Assert.Equal(length, Posix.GetXattr(Posix.Bytes(flist.At(name)), "user.long\0"u8.ToArray())!.Length);
        foreach (var directory in Directory.EnumerateDirectories(flist.Mountpoint))
        {
            foreach (var entry in Directory.EnumerateFileSystemEntries(directory))
                Assert.True(File.Exists(entry), entry);
            Assert.False(File.Exists(Path.Combine(directory, "absent")));
        }
    }

    [Theory]
    [InlineData("36 35 0:52 / /a\\040b ro,nosuid - erofs /proc/self/fd/7/grid:fl1x@HASH ro,user_xattr", true)]
    [InlineData("36 35 0:52 / /a ro,nosuid master:1 - fuse.flist grid:fl1x@HASH ro", true)]
    [InlineData("36 35 0:52 / /a ro - overlay overlay ro,lowerdir=grid:fl1x@HASH", false)]
    [InlineData("36 35 0:52 / /a ro - erofs /grid:fl1x@HASHx ro", false)]
    [InlineData("36 35 0:52 / /a ro - erofs /grid:fl1x ro", false)]
    [InlineData("", false)]
    public void A_mounted_tree_is_known_by_its_source(string line, bool known)
    {
        var root = Chunk.Hash([]);
        Assert.Equal(known ? root : null, MountedRoots.Parse(line.Replace("HASH", root.ToString(), StringComparison.Ordinal)));
    }

    private static void Corners(TestFlist flist)
    {
        // Names around "." and "..", and directories of every length around one and two blocks.
        for (var length = 3900; length < 4200; length += 7)
            Fill($"one-{length}", length);
        for (var length = 8100; length < 8300; length += 7)
            Fill($"two-{length}", length);
        var dots = TestFlist.Directory_(0);
        flist.Root.Set("dots"u8.ToArray(), dots);
        foreach (var name in (string[])["!", "-", ".-", ".a", "..-", "...", "..a", "/".Replace('/', '0'), "~"])
            dots.Set(Encoding.ASCII.GetBytes(name), flist.File_([1]));
        for (var length = 3950; length <= FlistLimits.Target; length += 5)
            flist.Root.Set(Encoding.ASCII.GetBytes($"link-{length}"), new SymlinkNode(new Attributes(0x1FF, 0, 0, 0, XattrSet.Empty), Encoding.ASCII.GetBytes(new string('t', length))));
        foreach (var (name, length) in _lengths)
            flist.Root.Set(Encoding.ASCII.GetBytes(name), flist.File_([2], xattrs: XattrSet.Of([("user.long"u8.ToArray(), new byte[length])])));

        void Fill(string name, int length)
        {
            var directory = TestFlist.Directory_(0);
            flist.Root.Set(Encoding.ASCII.GetBytes(name), directory);
            for (int at = 2 * 12 + 3, n = 0; at + 12 + 100 < length; at += 12 + 100, n++)
                directory.Set(Encoding.ASCII.GetBytes($"{n:D100}"), flist.File_([3]));
        }
    }
}
