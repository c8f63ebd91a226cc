using System.Security.Cryptography;
using Grid.Flists.Mount.Interop;

namespace Grid.Flists.Mount.Tests;

public sealed class IdmapTests
{
    private const uint Base = 300_000;
    private static readonly IdRange Owners = new(Base, 65_536);

    /// <summary>How the owners are moved.</summary>
    public enum Way
    {
        /// <summary>By the kernel, over a daemon's mount: since Linux 6.12.</summary>
        Mapped,

        /// <summary>By a daemon, in a mount of its own.</summary>
        Own,

        /// <summary>By the kernel, over its own.</summary>
        Composed,
    }

    [Theory]
    [InlineData(true, Way.Mapped)]
    [InlineData(false, Way.Mapped)]
    [InlineData(true, Way.Own)]
    [InlineData(false, Way.Own)]
    [InlineData(false, Way.Composed)]
    public async Task A_container_range_sees_the_trees_root_as_its_own(bool lazy, Way way)
    {
        await using var flist = new TestFlist();
        var content = RandomNumberGenerator.GetBytes(3 * Chunk.Size + 5);
        flist.Root.Set("secret"u8.ToArray(), flist.File_(content, mode: 0x180));
        flist.Root.Set("daemon"u8.ToArray(), flist.File_("d"u8.ToArray(), mode: 0x180, uid: 33, gid: 44));
        flist.Root.Set("beyond"u8.ToArray(), flist.File_("b"u8.ToArray(), uid: 70_000, gid: 70_000));
        flist.Root.Set("cat"u8.ToArray(), flist.File_(await File.ReadAllBytesAsync("/bin/cat"), mode: 0x1C0));
        await MountAsync(flist, lazy, way);
        var view = Directory.CreateDirectory(Path.Combine(flist.Home, "view")).FullName;
        await Tools.ShellAsync("/", $"chmod 755 {flist.Home}");
        await ShowAsync(flist, view, way);
        try
        {
            if (!lazy && way == Way.Mapped)
                flist.Switch($"hold-{flist.Inode("secret")}", true);
            Assert.Equal($"{Base}:{Base} {Base + 33}:{Base + 44} 65534:65534", await Tools.TextAsync(view, "echo $(stat -c %u:%g secret daemon beyond)"));
            Assert.Equal("0:0", await Tools.TextAsync(flist.Mountpoint, "stat -c %u:%g secret"));
            var hash = Convert.ToHexStringLower(SHA256.HashData(content));
            // A process with the range's first uid and no privilege at all: as little as a container's root is outside.
            string As(uint id, string command) => $"setpriv --reuid={id} --regid={id} --clear-groups --inh-caps=-all --bounding-set=-all -- {command}";
            Assert.StartsWith(hash, await Tools.TextAsync(view, As(Base, "sha256sum secret")));
            Assert.Equal("d", await Tools.TextAsync(view, As(Base + 33, "cat daemon")));
            await Assert.ThrowsAsync<IOException>(() => Tools.TextAsync(view, As(Base, "cat daemon")));
            await Assert.ThrowsAsync<IOException>(() => Tools.TextAsync(view, As(Base + 1, "cat secret")));
            await Assert.ThrowsAsync<IOException>(() => Tools.TextAsync(flist.Mountpoint, As(Base, "cat secret")));
            // A container's root: inside its user namespace everything of the range is its own, and nothing else.
            using var container = UserNamespace.Create(Base, 65_536);
            string Inside(string command) => $"nsenter --user=/proc/{Environment.ProcessId}/fd/{container.DangerousGetHandle()} --setuid 0 --setgid 0 {command}";
            Assert.Equal("0:0 33:44 65534:65534", await Tools.TextAsync(view, Inside("sh -c 'echo $(stat -c %u:%g secret daemon beyond)'")));
            Assert.Equal("d", await Tools.TextAsync(view, Inside("./cat daemon")));
            Assert.Equal("65534:65534", await Tools.TextAsync(flist.Mountpoint, Inside("stat -c %u:%g secret")));
            await Assert.ThrowsAsync<IOException>(() => Tools.TextAsync(flist.Mountpoint, Inside("cat secret")));
        }
        finally
        {
            FlistMount.Stop(view, detach: true);
        }
    }

    /// <summary>Access lists name owners too: the kernel decides by them, and shows them to the container as the tree has them.</summary>
    [Theory]
    [InlineData(Way.Mapped)]
    [InlineData(Way.Own)]
    [InlineData(Way.Composed)]
    public async Task An_access_list_moves_with_the_owners(Way way)
    {
        await using var flist = new TestFlist();
        // user::rw-, user:33:r--, group::---, mask::r--, other::---
        var list = Convert.FromHexString("02000000" + "01000600ffffffff" + "0200040021000000" + "04000000ffffffff" + "10000400ffffffff" + "20000000ffffffff");
        flist.Root.Set("listed"u8.ToArray(), flist.File_("l"u8.ToArray(), mode: 0x1A0, xattrs: XattrSet.Of([("system.posix_acl_access"u8.ToArray(), list)])));
        await MountAsync(flist, lazy: true, way);
        var view = Directory.CreateDirectory(Path.Combine(flist.Home, "view")).FullName;
        await Tools.ShellAsync("/", $"chmod 755 {flist.Home}");
        await ShowAsync(flist, view, way);
        try
        {
            string As(uint id) => $"setpriv --reuid={id} --regid={id} --clear-groups --inh-caps=-all --bounding-set=-all -- cat listed";
            Assert.Equal("l", await Tools.TextAsync(view, As(Base + 33)));
            await Assert.ThrowsAsync<IOException>(() => Tools.TextAsync(view, As(Base + 34)));
            await Assert.ThrowsAsync<IOException>(() => Tools.TextAsync(view, As(33)));
        }
        finally
        {
            FlistMount.Stop(view, detach: true);
        }
    }

    [Theory]
    [InlineData(Way.Mapped)]
    [InlineData(Way.Own)]
    [InlineData(Way.Composed)]
    public async Task A_view_keeps_the_flist_alive_until_it_is_removed(Way way)
    {
        await using var flist = new TestFlist();
        flist.Add("file", "content"u8.ToArray());
        await MountAsync(flist, lazy: true, way);
        var view = Directory.CreateDirectory(Path.Combine(flist.Home, "view")).FullName;
        await ShowAsync(flist, view, way);
        await TestFlist.UnmountedAsync(flist.Mountpoint);
        Assert.Equal(flist.Meta.Root, FlistMount.Find(view)!.Root);
        Assert.Equal("content", await File.ReadAllTextAsync(Path.Combine(view, "file")));
        await TestFlist.UnmountedAsync(view);

        Assert.True(await TestFlist.Eventually(() => flist.Processes("flist-mount-").Length == 0));
    }

    private static Task<MountedFlist> MountAsync(TestFlist flist, bool lazy, Way way) => way == Way.Composed ? flist.MountComposedAsync() : flist.MountAsync(lazy);

    private static async Task ShowAsync(TestFlist flist, string view, Way way)
    {
        var cancel = TestContext.Current.CancellationToken;
        if (way == Way.Own)
            Assert.IsType<MountOutcome.Mounted>(await FlistMount.StartAsync(flist.Spec with { Mountpoint = view, Owners = Owners }, TimeSpan.FromSeconds(30), cancel));
        else
            Assert.SkipUnless(IdmappedBind.TryCreate(flist.Mountpoint, view, Owners), "this kernel has no idmapped FUSE mounts (Linux 6.12)");
    }
}
