using System.Diagnostics;
using System.Security.Cryptography;

namespace Grid.Flists.Mount.Tests;

public sealed class MountTests
{
    [Fact]
    public async Task A_file_is_read_from_the_mount()
    {
        await using var flist = new TestFlist();
        flist.Add("hello", "hello\n"u8.ToArray());
        var mounted = await flist.MountAsync(lazy: true);

        Assert.Equal(flist.Meta.Root, mounted.Root);
        Assert.Equal(mounted, FlistMount.Find(flist.Mountpoint));
        Assert.Equal("hello\n", await File.ReadAllTextAsync(flist.At("hello")));
        Assert.Contains("ro,nosuid,nodev", await Tools.TextAsync("/", $"grep {flist.Mountpoint} /proc/self/mountinfo"));
    }

    [Theory]
    [InlineData(1, Engine.Daemon, true)]
    [InlineData(2, Engine.Daemon, false)]
    [InlineData(3, Engine.Daemon, true)]
    [InlineData(21, Engine.Kernel, false)]
    [InlineData(22, Engine.Kernel, false)]
    public async Task The_mounted_tree_is_the_tree(int seed, Engine engine, bool lazy)
    {
        await using var flist = new TestFlist();
        RandomTree.Fill(flist, seed, 300);
        RandomTree.WritePlain(flist);
        await flist.MountAsync(engine, lazy);

        Assert.Equal(await Tools.StatAllAsync(flist.Plain), await Tools.StatAllAsync(flist.Mountpoint));
        Assert.Equal(await Tools.HashAllAsync(flist.Plain), await Tools.HashAllAsync(flist.Mountpoint));
        Assert.Equal(await Tools.LinksAsync(flist.Plain), await Tools.LinksAsync(flist.Mountpoint));
        // Once more without what the kernel remembers: READDIRPLUS and LOOKUP say the same.
        await File.WriteAllTextAsync("/proc/sys/vm/drop_caches", "2\n");
        Assert.Equal(await Tools.StatAllAsync(flist.Plain), await Tools.StatAllAsync(flist.Mountpoint));
    }

    [Theory]
    [InlineData(Engine.Daemon)]
    [InlineData(Engine.Kernel)]
    public async Task Extended_attributes_are_those_of_the_tree(Engine engine)
    {
        await using var flist = new TestFlist();
        RandomTree.Fill(flist, 4, 200);
        RandomTree.WritePlain(flist);
        await flist.MountAsync(engine);

        var checkedNames = 0;
        foreach (var (plain, mounted) in Paths(flist))
        {
            var names = Posix.ListXattr(plain);
            Assert.Equal(Sorted(names), Sorted(Posix.ListXattr(mounted)));
            foreach (var name in Sorted(names))
            {
                var zeroEnded = Convert.FromHexString(name).Append((byte)0).ToArray();
                Assert.Equal(Posix.GetXattr(plain, zeroEnded), Posix.GetXattr(mounted, zeroEnded));
                checkedNames++;
            }
            Assert.Null(Posix.GetXattr(mounted, "user.absent\0"u8.ToArray()));
        }
        Assert.True(checkedNames > 20);
    }

    [Theory]
    [InlineData(Engine.Daemon)]
    [InlineData(Engine.Kernel)]
    public async Task An_access_list_of_the_tree_lets_in_and_keeps_out(Engine engine)
    {
        await using var flist = new TestFlist();
        // Version 2: user::rw-, user:1234:r--, group::---, mask::r--, other::--- (linux/posix_acl_xattr.h)
        byte[] acl =
        [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xD2, 4, 0, 0, 4, 0, 0, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255,
            32, 0, 0, 0, 255, 255, 255, 255,
        ];
        flist.Root.Set("listed"u8.ToArray(), flist.File_("x"u8.ToArray(), mode: 0x1A0, xattrs: XattrSet.Of([("system.posix_acl_access"u8.ToArray(), acl)])));
        await flist.MountAsync(engine);
        await Tools.ShellAsync("/", $"chmod 755 {flist.Home}");

        Assert.Equal("x", await Tools.TextAsync("/", $"setpriv --reuid=1234 --regid=1234 --clear-groups cat {flist.At("listed")}"));
        await Assert.ThrowsAsync<IOException>(() => Tools.TextAsync("/", $"setpriv --reuid=1235 --regid=1235 --clear-groups cat {flist.At("listed")}"));
    }

    [Theory]
    [InlineData(Engine.Daemon, true)]
    [InlineData(Engine.Daemon, false)]
    [InlineData(Engine.Kernel, false)]
    public async Task A_program_runs_from_the_mount(Engine engine, bool lazy)
    {
        await using var flist = new TestFlist();
        var program = await File.ReadAllBytesAsync("/bin/cat");
        flist.Add("cat", program, mode: 0x1ED);
        await flist.MountAsync(engine, lazy);

        Assert.Equal("run", await Tools.TextAsync("/", $"echo run | {flist.At("cat")}"));
        using var map = System.IO.MemoryMappedFiles.MemoryMappedFile.CreateFromFile(
            File.OpenHandle(flist.At("cat")), null, 0, System.IO.MemoryMappedFiles.MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        using var view = map.CreateViewStream(0, program.Length, System.IO.MemoryMappedFiles.MemoryMappedFileAccess.Read);
        Assert.Equal(SHA256.HashData(program), await SHA256.HashDataAsync(view));
    }

    [Theory]
    [InlineData(Engine.Daemon)]
    [InlineData(Engine.Kernel)]
    public async Task Nothing_can_be_written(Engine engine)
    {
        await using var flist = new TestFlist();
        flist.Add("file", "x"u8.ToArray(), mode: 0x1FF);
        await flist.MountAsync(engine);

        foreach (var line in (string[])["echo >> file", "> file", "touch new", "rm file", "mkdir d", "ln file g", "mv file g", "chmod 1 file", "ln -s a b"])
            Assert.Contains("Read-only file system", (await Assert.ThrowsAsync<IOException>(() => Tools.ShellAsync(flist.Mountpoint, line))).Message);
    }

    [Theory]
    [InlineData(Engine.Daemon)]
    [InlineData(Engine.Kernel)]
    public async Task A_directory_of_ten_thousand_names_is_listed_whole(Engine engine)
    {
        await using var flist = new TestFlist();
        var many = TestFlist.Directory_(0);
        flist.Root.Set("many"u8.ToArray(), many);
        for (var i = 0; i < 10_000; i++)
            many.Set(System.Text.Encoding.ASCII.GetBytes($"file-{i:D5}"), flist.File_([]));
        await flist.MountAsync(engine);

        Assert.Equal(
            Enumerable.Range(0, 10_000).Select(i => $"file-{i:D5}"),
            Directory.EnumerateFiles(flist.At("many")).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.False(File.Exists(flist.At("many/file-10000")));
        Assert.True(File.Exists(flist.At("many/../many/file-09999")));
    }

    [Fact]
    public async Task A_file_of_five_gibibytes_has_its_size_its_ends_and_nothing_after()
    {
        const long size = 5L << 30;
        await using var flist = new TestFlist();
        var zeros = Chunk.Hash(new byte[Chunk.Size]);
        var last = new byte[Chunk.Size];
        last[^1] = 7;
        var node = new FileNode(new Attributes(0x1A4, 0, 0, 0, XattrSet.Empty))
        {
            Size = size,
            Chunks = [.. Enumerable.Repeat(zeros, (int)(size / Chunk.Size) - 1), Chunk.Hash(last)],
        };
        flist.Root.Set("big"u8.ToArray(), node);
        flist.Store(lazy: true);
        using (var file = File.OpenHandle(flist.Object("big"), FileMode.Create, FileAccess.Write))
        {
            RandomAccess.SetLength(file, size);
            RandomAccess.Write(file, [7], size - 1);
        }
        await flist.MountAsync(lazy: true);

        Assert.Equal(size, new FileInfo(flist.At("big")).Length);
        using var big = File.OpenHandle(flist.At("big"));
        var buffer = new byte[100];
        Assert.Equal(100, RandomAccess.Read(big, buffer, (3L << 30) + 5));
        Assert.All(buffer, b => Assert.Equal(0, b));
        Assert.Equal(3, RandomAccess.Read(big, buffer, size - 3));
        Assert.Equal([0, 0, 7], buffer[..3]);
        Assert.Equal(0, RandomAccess.Read(big, buffer, size));
        Assert.Equal(0, RandomAccess.Read(big, buffer, size + (1L << 40)));
    }

    [Fact]
    public async Task Complete_files_pass_through_and_the_daemon_sees_no_read()
    {
        await using var flist = new TestFlist();
        var content = RandomNumberGenerator.GetBytes(3 * Chunk.Size + 17);
        flist.Add("complete", content);
        flist.Add("again", content);
        await flist.MountAsync(lazy: false);
        // A read that reached the daemon would wait.
        flist.Switch($"hold-{flist.Inode("complete")}", true);

        Assert.Equal(content, await File.ReadAllBytesAsync(flist.At("complete")).WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.DoesNotContain("no file through", flist.Log());
    }

    [Fact]
    public async Task A_file_that_becomes_complete_while_open_changes_its_way_once_every_open_of_it_is_closed()
    {
        await using var flist = new TestFlist();
        var content = RandomNumberGenerator.GetBytes(3 * Chunk.Size + 17);
        flist.Add("file", content);
        await flist.MountAsync(lazy: true);

        using (File.OpenHandle(flist.At("file")))
        {
            flist.Switch("lazy", false);
            Assert.Equal(content, await File.ReadAllBytesAsync(flist.At("file")));
        }
        Assert.True(await TestFlist.Eventually(() => ReadsWhileHeld(flist, "file") is { } read && read.AsSpan().SequenceEqual(content)));
        using (File.OpenHandle(flist.At("file")))
        {
            flist.Switch("lazy", true);
            Assert.Equal(content, await File.ReadAllBytesAsync(flist.At("file")));
        }
    }

    /// <summary>
    /// Reads past the daemon. The kernel tells it of a close after close(2) has returned, so an open that follows at once may overlap one that is closed.
    /// </summary>
    /// <returns>null when the daemon was asked; it is held from now on unless it was</returns>
    private static byte[]? ReadsWhileHeld(TestFlist flist, string name)
    {
        var held = $"hold-{flist.Inode(name)}";
        flist.Switch(held, true);
        using (var pages = File.OpenHandle(flist.At(name)))
            Posix.DropPages(pages);
        var read = Task.Factory.StartNew(() => File.ReadAllBytes(flist.At(name)), TaskCreationOptions.LongRunning);
        if (read.Wait(TimeSpan.FromSeconds(2)))
            return read.Result;
        flist.Switch(held, false);
        read.Wait();
        return null;
    }

    [Fact]
    public async Task Many_slow_files_hold_up_no_other()
    {
        await using var flist = new TestFlist();
        for (var i = 0; i < 40; i++)
            flist.Add($"slow{i}", [1, 2, 3, (byte)i]);
        flist.Add("quick", "quick"u8.ToArray());
        await flist.MountAsync(lazy: true);
        for (var i = 0; i < 40; i++)
            flist.Switch($"hold-{flist.Inode($"slow{i}")}", true);
        var slow = Enumerable.Range(0, 40)
            .Select(i => Task.Factory.StartNew(() => File.ReadAllBytes(flist.At($"slow{i}")), TaskCreationOptions.LongRunning)).ToArray();

        var quick = Task.Factory.StartNew(() => File.ReadAllText(flist.At("quick")), TaskCreationOptions.LongRunning);
        Assert.Equal("quick", await quick.WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.False(Directory.Exists(flist.At("absent")));
        Assert.DoesNotContain(slow, t => t.IsCompleted);
        for (var i = 0; i < 40; i++)
            flist.Switch($"hold-{flist.Inode($"slow{i}")}", false);
        var read = await Task.WhenAll(slow);
        Assert.All(read, (bytes, i) => Assert.Equal([1, 2, 3, (byte)i], bytes));
    }

    [Fact]
    public async Task Wrong_bytes_are_an_error_and_never_data()
    {
        await using var flist = new TestFlist();
        var content = RandomNumberGenerator.GetBytes(4 * Chunk.Size);
        flist.Add("file", content);
        flist.Add("short", content);
        await flist.MountAsync(lazy: true);
        using (var file = File.OpenHandle(flist.Object("file"), FileMode.Open, FileAccess.Write))
            RandomAccess.Write(file, [(byte)~content[2 * Chunk.Size + 100]], 2 * Chunk.Size + 100);
        using (var file = File.OpenHandle(flist.Object("short"), FileMode.Open, FileAccess.Write))
            RandomAccess.SetLength(file, Chunk.Size);

        using var mounted = File.OpenHandle(flist.At("file"));
        var buffer = new byte[Chunk.Size];
        for (var i = 0; i < Chunk.Size * 4; i += 4096)
        {
            if (i / Chunk.Size == 2)
            {
                Assert.Contains("Input/output error", Assert.Throws<IOException>(() => RandomAccess.Read(mounted, buffer.AsSpan(0, 4096), i)).Message);
                continue;
            }
            Assert.Equal(4096, RandomAccess.Read(mounted, buffer.AsSpan(0, 4096), i));
            Assert.True(content.AsSpan(i, 4096).SequenceEqual(buffer.AsSpan(0, 4096)));
        }
        using var cut = File.OpenHandle(flist.At("short"));
        Assert.Throws<IOException>(() => RandomAccess.Read(cut, buffer, 3 * Chunk.Size));
        Assert.Contains("wrong hash", flist.Log());
    }

    [Fact]
    public async Task Eight_readers_at_once_read_the_same()
    {
        await using var flist = new TestFlist();
        var contents = Enumerable.Range(0, 8).Select(i => RandomNumberGenerator.GetBytes(2_000_000 + i)).ToArray();
        for (var i = 0; i < 8; i++)
            flist.Add($"file{i}", contents[i]);
        await flist.MountAsync(lazy: true);

        await Parallel.ForEachAsync(Enumerable.Range(0, 32), new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (i, cancellation) =>
            Assert.Equal(contents[i % 8], await File.ReadAllBytesAsync(flist.At($"file{i % 8}"), cancellation)));
    }

    private static IEnumerable<(byte[] Plain, byte[] Mounted)> Paths(TestFlist flist)
    {
        var paths = new List<(byte[] Plain, byte[] Mounted)>();
        foreach (var (_, name, parent) in MetaFileWriter.InOrder(flist.Root))
            paths.Add(paths.Count == 0
                ? (Posix.Bytes(flist.Plain), Posix.Bytes(flist.Mountpoint))
                : (Posix.Join(paths[parent].Plain, name), Posix.Join(paths[parent].Mounted, name)));
        return paths;
    }

    private static string[] Sorted(byte[] names) =>
        [.. System.Text.Encoding.Latin1.GetString(names).Split('\0', StringSplitOptions.RemoveEmptyEntries)
            .Select(n => Convert.ToHexString(System.Text.Encoding.Latin1.GetBytes(n))).Order()];
}
