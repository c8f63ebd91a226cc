using System.Diagnostics;

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
    }
}
