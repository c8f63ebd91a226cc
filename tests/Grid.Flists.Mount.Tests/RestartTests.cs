using System.Diagnostics;
using System.Security.Cryptography;

namespace Grid.Flists.Mount.Tests;

public sealed class RestartTests(ITestOutputHelper output)
{
    // FUSE_NOTIFY_RESEND, which Debian 12's own kernel lacks: ../Grid.Node.Tests/on-debian runs these on it.
    private static readonly bool CanResend = Environment.OSVersion.Version >= new Version(6, 9);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Killing_the_daemon_again_and_again_fails_no_read(bool lazy)
    {
        const int kills = 10;
        Assert.SkipUnless(CanResend, "this kernel does not ask again what a daemon did not answer (Linux 6.9)");
        await using var flist = new TestFlist();
        var content = RandomNumberGenerator.GetBytes(64 << 20);
        flist.Add("large", content);
        flist.Add("small", content[..5000]);
        await flist.MountAsync(lazy);
        using var done = new CancellationTokenSource();
        var readers = Enumerable.Range(0, 3)
            .Select(_ => Task.Factory.StartNew(() => ReadUntil(flist, content, done.Token), TaskCreationOptions.LongRunning)).ToArray();

        var killed = 0;
        for (; killed < kills; killed++)
        {
            var daemon = await DaemonOf(flist);
            var opens = readers.Length;
            Assert.True(await TestFlist.Eventually(() => Volatile.Read(ref _passes) >= opens * (killed + 1) || readers.Any(r => r.IsFaulted)));
            using var process = Process.GetProcessById(daemon);
            process.Kill();
            Assert.True(await TestFlist.Eventually(() => flist.Processes(MountVerbs.Daemon).Any(p => p != daemon)));
        }
        await DaemonOf(flist);
        await done.CancelAsync();
        var stalls = await Task.WhenAll(readers);
        output.WriteLine($"{kills} kills, longest time of one open, read or stat {stalls.Max().TotalMilliseconds:F0} ms");
    }

    [Fact]
    public async Task An_open_file_outlives_the_daemon_in_either_way_of_reading()
    {
        await using var flist = new TestFlist();
        var content = RandomNumberGenerator.GetBytes(8 << 20);
        flist.Add("complete", content);
        flist.Add("lazy", content);
        await flist.MountAsync(lazy: false);
        using var complete = File.OpenHandle(flist.At("complete"));
        flist.Switch("lazy", true);
        using var lazy = File.OpenHandle(flist.At("lazy"));
        flist.Switch("lazy", false);
        await KillDaemon(flist);

        foreach (var (name, open) in (IEnumerable<(string, Microsoft.Win32.SafeHandles.SafeFileHandle)>)[("complete", complete), ("lazy", lazy)])
        {
            var read = new byte[content.Length];
            Assert.Equal(read.Length, RandomAccess.Read(open, read, 0));
            Assert.Equal(content, read);
            // The new daemon joins the mode the inode is in: another would be EIO.
            Assert.Equal(content, await File.ReadAllBytesAsync(flist.At(name)));
        }
        complete.Dispose();
        lazy.Dispose();
        Assert.Equal(content, await File.ReadAllBytesAsync(flist.At("complete")));
        Assert.Equal(content, await File.ReadAllBytesAsync(flist.At("lazy")));
    }

    [Fact]
    public async Task A_read_that_waits_is_answered_by_the_next_daemon_or_fails_where_the_kernel_does_not_ask_again()
    {
        await using var flist = new TestFlist();
        flist.Add("file", "content"u8.ToArray());
        await flist.MountAsync(lazy: true);
        flist.Switch($"hold-{flist.Inode("file")}", true);
        var read = Task.Factory.StartNew(() => File.ReadAllText(flist.At("file")), TaskCreationOptions.LongRunning);
        await KillDaemon(flist);
        Assert.False(CanResend && read.IsCompleted);
        flist.Switch($"hold-{flist.Inode("file")}", false);

        if (CanResend)
            Assert.Equal("content", await read.WaitAsync(TimeSpan.FromSeconds(10)));
        else
            await Assert.ThrowsAsync<IOException>(() => read.WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.Equal("content", await File.ReadAllTextAsync(flist.At("file")));
    }

    [Fact]
    public async Task The_daemon_serves_on_when_the_supervisor_is_killed_and_ends_with_the_unmount()
    {
        await using var flist = new TestFlist();
        flist.Add("file", "content"u8.ToArray());
        flist.Add("other", "other"u8.ToArray());
        await flist.MountAsync(lazy: true);
        Assert.Equal("content", await File.ReadAllTextAsync(flist.At("file")));
        Process.GetProcessById(Assert.Single(flist.Processes(MountVerbs.Supervisor))).Kill();
        Assert.True(await TestFlist.Eventually(() => flist.Log().Contains("supervisor is gone")));

        Assert.Equal("other", await File.ReadAllTextAsync(flist.At("other")));
        await TestFlist.UnmountedAsync(flist.Mountpoint);
        Assert.True(await TestFlist.Eventually(() => flist.Processes("flist-mount-").Length == 0));
    }

    [Fact]
    public async Task A_mount_whose_processes_are_all_killed_fails_at_once_and_can_be_made_again()
    {
        await using var flist = new TestFlist();
        flist.Add("file", "content"u8.ToArray());
        await flist.MountAsync(lazy: true);
        Assert.True(FlistMount.IsServed(flist.Mountpoint));
        foreach (var verb in (string[])[MountVerbs.Supervisor, MountVerbs.Daemon])
            Process.GetProcessById(Assert.Single(flist.Processes(verb))).Kill();
        Assert.True(await TestFlist.Eventually(() => flist.Processes("flist-mount-").Length == 0));

        Assert.False(FlistMount.IsServed(flist.Mountpoint));
        Assert.Throws<IOException>(() => File.ReadAllText(flist.At("file")));
        Assert.NotNull(FlistMount.Find(flist.Mountpoint));
        await TestFlist.UnmountedAsync(flist.Mountpoint);
        await flist.MountAsync(lazy: true);
        Assert.Equal("content", await File.ReadAllTextAsync(flist.At("file")));
    }

    [Fact]
    public async Task An_unmount_leaves_no_process_and_no_mount()
    {
        await using var flist = new TestFlist();
        flist.Add("file", "content"u8.ToArray());
        await flist.MountAsync(lazy: true);
        using (File.OpenHandle(flist.At("file")))
            Assert.False(FlistMount.Stop(flist.Mountpoint));
        await TestFlist.UnmountedAsync(flist.Mountpoint);

        Assert.Null(FlistMount.Find(flist.Mountpoint));
        Assert.True(await TestFlist.Eventually(() => flist.Processes("flist-mount-").Length == 0));
        Assert.True(FlistMount.Stop(flist.Mountpoint));
    }

    [Fact]
    public async Task A_detached_unmount_ends_with_the_last_open_file()
    {
        await using var flist = new TestFlist();
        flist.Add("file", "content"u8.ToArray());
        await flist.MountAsync(lazy: true);
        using (var open = File.OpenHandle(flist.At("file")))
        {
            Assert.True(FlistMount.Stop(flist.Mountpoint, detach: true));
            var read = new byte[7];
            Assert.Equal(7, RandomAccess.Read(open, read, 0));
        }
        Assert.True(await TestFlist.Eventually(() => flist.Processes("flist-mount-").Length == 0));
    }

    [Fact]
    public async Task A_flist_that_cannot_be_opened_is_a_typed_failure_and_leaves_nothing()
    {
        await using var flist = new TestFlist();
        flist.Add("file", "content"u8.ToArray());
        flist.Store(lazy: true);
        var meta = Path.Combine(flist.Home, "meta");
        var bytes = await File.ReadAllBytesAsync(meta);
        bytes[200] ^= 1;
        await File.WriteAllBytesAsync(meta, bytes);
        Assert.Equal(MountFailure.FlistInvalid, await FailureOf(flist.Spec));
        File.Delete(meta);
        Assert.Equal(MountFailure.FlistUnavailable, await FailureOf(flist.Spec));
        Assert.Equal(MountFailure.MachineCannot, await FailureOf(flist.Spec with { Mountpoint = flist.At("absent") }));

        Assert.Null(FlistMount.Find(flist.Mountpoint));
        Assert.True(await TestFlist.Eventually(() => flist.Processes("flist-mount-").Length == 0));
    }

    [Fact]
    public async Task A_mount_that_takes_too_long_is_given_up_whole()
    {
        await using var flist = new TestFlist();
        flist.Add("file", "content"u8.ToArray());
        flist.Store(lazy: true);
        flist.Switch("hold-open", true);

        var outcome = await FlistMount.StartAsync(flist.Spec, TimeSpan.FromSeconds(1), TestContext.Current.CancellationToken);
        Assert.Equal(MountFailure.TimedOut, Assert.IsType<MountOutcome.Failed>(outcome).Failure);
        Assert.True(await TestFlist.Eventually(() => flist.Processes("flist-mount-").Length == 0));
        Assert.Null(FlistMount.Find(flist.Mountpoint));
    }

    private int _passes;

    // From the daemon each time: the kernel is told to forget the pages.
    private TimeSpan ReadUntil(TestFlist flist, byte[] content, CancellationToken done)
    {
        var longest = TimeSpan.Zero;
        var buffer = new byte[1 << 20];
        while (!done.IsCancellationRequested)
        {
            var started = Stopwatch.GetTimestamp();
            using var file = File.OpenHandle(flist.At("large"));
            using (File.OpenHandle(flist.At("small")))
                Note();
            for (long at = 0; at < content.Length; at += buffer.Length)
            {
                var read = RandomAccess.Read(file, buffer, at);
                if (read != buffer.Length || !content.AsSpan((int)at, read).SequenceEqual(buffer))
                    throw new IOException($"wrong bytes at {at}");
                Note();
            }
            Posix.DropPages(file);
            Interlocked.Increment(ref _passes);
            started = Stopwatch.GetTimestamp();

            void Note()
            {
                var now = Stopwatch.GetTimestamp();
                longest = TimeSpan.FromTicks(Math.Max(longest.Ticks, Stopwatch.GetElapsedTime(started, now).Ticks));
                started = now;
            }
        }
        return longest;
    }

    private static async Task<int> DaemonOf(TestFlist flist)
    {
        Assert.True(await TestFlist.Eventually(() => flist.Processes(MountVerbs.Daemon).Length == 1));
        return Assert.Single(flist.Processes(MountVerbs.Daemon));
    }

    private static async Task KillDaemon(TestFlist flist)
    {
        var daemon = await DaemonOf(flist);
        Process.GetProcessById(daemon).Kill();
        Assert.True(await TestFlist.Eventually(() => flist.Processes(MountVerbs.Daemon) is [var next] && next != daemon));
    }

    private static async Task<MountFailure> FailureOf(MountSpec spec) =>
        Assert.IsType<MountOutcome.Failed>(await FlistMount.StartAsync(spec, TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken)).Failure;
}
