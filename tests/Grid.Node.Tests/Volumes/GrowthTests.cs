using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using Grid.Node.Containers;
using Grid.Node.Volumes;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Volumes;

public sealed class GrowthTests
{
    [Fact]
    public async Task It_grows_while_a_workload_writes()
    {
        using var lab = new VolumeLab();
        Assert.SkipUnless(VolumeHost.CanGrow, "ext4 grows for CAP_SYS_RESOURCE only");
        var key = VolumeLab.Key("data");
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(16)));
        var first = VolumeTests.Fill(Path.Combine(lab.Host.PathOf(key), "first"));
        var path = Path.Combine(lab.Host.PathOf(key), "writer");
        var ended = new StrongBox<bool>();
        var writer = Task.Factory.StartNew(() => WriteUntil(ended, path), TaskCreationOptions.LongRunning);
        foreach (var size in (long[])[17, 40, 129, 300])
        {
            await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(size)));
            Assert.Equal(new VolumeSighting.Mounted(Bytes.MiB(size), Media.Ssd, null), lab.Host.Observe()[key]);
            Assert.Equal(size << 20, new FileInfo(lab.Image(key)).Length);
            Assert.True(VolumeLab.Allocated(lab.Image(key)) >= size << 20);
        }
        Volatile.Write(ref ended.Value, true);
        var blocks = await writer;
        Assert.True(blocks > 0);
        var written = File.ReadAllBytes(path);
        for (var i = 0; i < blocks; i++)
            Assert.False(written.AsSpan(i << 12, 1 << 12).ContainsAnyExcept((byte)i));
        File.Delete(path);
        Assert.InRange(first + VolumeTests.Fill(Path.Combine(lab.Host.PathOf(key), "second")), 280L << 20, 296L << 20);
        await Effects.DoneAsync(() => lab.Host.DetachAsync(key));
        VolumeLab.Execute("/usr/sbin/e2fsck", "-fn", lab.Image(key));
    }

    [Fact]
    public async Task A_growth_that_was_cut_short_is_seen_and_finished()
    {
        using var lab = new VolumeLab();
        var key = VolumeLab.Key("data");
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(16)));
        using (var image = File.OpenHandle(lab.Image(key), FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            RandomAccess.SetLength(image, 24 << 20);
        Assert.Equal(new VolumeSighting.Mounted(Bytes.MiB(16), Media.Ssd, null), lab.Host.Observe()[key]);
        Assert.IsType<Outcome.Refused>(await lab.Host.MakeAsync(key, VolumeLab.Volume(16)));
        Assert.SkipUnless(VolumeHost.CanGrow, "ext4 grows for CAP_SYS_RESOURCE only");
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(24)));
        Assert.Equal(new VolumeSighting.Mounted(Bytes.MiB(24), Media.Ssd, null), lab.Host.Observe()[key]);
        Assert.True(VolumeLab.Allocated(lab.Image(key)) >= 24 << 20);
    }

    [Fact]
    public async Task Where_it_may_not_grow_nothing_of_it_is_changed()
    {
        using var lab = new VolumeLab();
        Assert.SkipWhen(VolumeHost.CanGrow, "it may grow here");
        var key = VolumeLab.Key("data");
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(16)));
        // The node says so before anybody relies on it; asked all the same, it is not the node that is broken.
        var (small, large) = (ImmutableDictionary.CreateRange([KeyValuePair.Create(key, VolumeLab.Volume(16))]), ImmutableDictionary.CreateRange([KeyValuePair.Create(key, VolumeLab.Volume(24))]));
        Assert.Null(lab.Host.Examine(small, small));
        Assert.Equal(RefusalCode.GrowthUnsupported, lab.Host.Examine(large, small)?.Code);
        Assert.Null(lab.Host.Examine(ImmutableDictionary.CreateRange([KeyValuePair.Create(VolumeLab.Key("other"), VolumeLab.Volume(24))]), small));
        var refusal = Assert.IsType<Outcome.Refused>(await lab.Host.MakeAsync(key, VolumeLab.Volume(24))).Refusal;
        Assert.Equal((RefusalCode.GrowthUnsupported, true), (refusal.Code, refusal.Detail.Contains("CAP_SYS_RESOURCE", StringComparison.Ordinal)));
        Assert.Equal(new VolumeSighting.Mounted(Bytes.MiB(16), Media.Ssd, null), lab.Host.Observe()[key]);
        Assert.Equal(16 << 20, new FileInfo(lab.Image(key)).Length);
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(16)));
    }

    [Fact]
    public async Task On_a_full_disk_it_does_not_grow_and_gives_back_what_it_took()
    {
        using var lab = new VolumeLab();
        lab.AddDisk("hdd", 64, Media.Hdd, "/usr/sbin/mkfs.ext4", "-q", "-F");
        var key = VolumeLab.Key("data");
        await VolumeLab.DoneAsync(lab.Reopen().MakeAsync(key, VolumeLab.Volume(16, Media.Hdd)));
        var free = lab.Host.Capacity().Hdd;
        Assert.IsNotType<Outcome.Done>(await lab.Host.MakeAsync(key, VolumeLab.Volume(100, Media.Hdd)));
        Assert.Equal(free, lab.Host.Capacity().Hdd);
        Assert.Equal(new VolumeSighting.Mounted(Bytes.MiB(16), Media.Hdd, null), lab.Host.Observe()[key]);
    }

    /// <summary>Block after block, each with its number; where there is no room it tries again.</summary>
    /// <returns>how many</returns>
    private static int WriteUntil(StrongBox<bool> ended, string path)
    {
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
        var block = new byte[1 << 12];
        var count = 0;
        while (!Volatile.Read(ref ended.Value))
        {
            block.AsSpan().Fill((byte)count);
            try
            {
                RandomAccess.Write(file, block, (long)count << 12);
                count++;
            }
            catch (IOException)
            {
                Thread.Yield();
            }
        }
        RandomAccess.FlushToDisk(file);
        return count;
    }
}
