using System.Security.Cryptography;
using Grid.Flists.Mount.Interop;

namespace Grid.Flists.Mount.Tests;

public sealed class IdmapTests
{
    private const uint Base = 300_000;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_container_range_sees_the_trees_root_as_its_own(bool lazy)
    {
        await using var flist = new TestFlist();
        var content = RandomNumberGenerator.GetBytes(3 * Chunk.Size + 5);
        flist.Root.Set("secret"u8.ToArray(), flist.File_(content, mode: 0x180));
        flist.Root.Set("daemon"u8.ToArray(), flist.File_("d"u8.ToArray(), mode: 0x180, uid: 33, gid: 44));
        flist.Root.Set("beyond"u8.ToArray(), flist.File_("b"u8.ToArray(), uid: 70_000, gid: 70_000));
        flist.Root.Set("cat"u8.ToArray(), flist.File_(await File.ReadAllBytesAsync("/bin/cat"), mode: 0x1C0));
        await flist.MountAsync(lazy);
        var view = Directory.CreateDirectory(Path.Combine(flist.Home, "view")).FullName;
        await Tools.ShellAsync("/", $"chmod 755 {flist.Home}");
        if (!IdmappedBind.IsSupported(flist.Mountpoint))
            Assert.Skip("this kernel has no idmapped FUSE mounts (Linux 6.12)");
        IdmappedBind.Create(flist.Mountpoint, view, Base, 65_536);
        try
        {
            if (!lazy)
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
            IdmappedBind.Remove(view);
        }
    }

    [Fact]
    public async Task A_view_keeps_the_flist_alive_until_it_is_removed()
    {
        await using var flist = new TestFlist();
        flist.Add("file", "content"u8.ToArray());
        await flist.MountAsync(lazy: true);
        var view = Directory.CreateDirectory(Path.Combine(flist.Home, "view")).FullName;
        if (!IdmappedBind.IsSupported(flist.Mountpoint))
            Assert.Skip("this kernel has no idmapped FUSE mounts (Linux 6.12)");
        IdmappedBind.Create(flist.Mountpoint, view, Base, 65_536);
        Assert.True(FlistMount.Stop(flist.Mountpoint));
        Assert.Equal(flist.Meta.Root, FlistMount.Find(view)!.Root);
        Assert.Equal("content", await File.ReadAllTextAsync(Path.Combine(view, "file")));
        IdmappedBind.Remove(view);

        Assert.True(await TestFlist.Eventually(() => flist.Processes("flist-mount-").Length == 0));
    }
}
