using System.Collections.Immutable;
using Grid.Node.Containers;
using Grid.Node.Volumes;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Volumes;

public sealed class PlacesTests
{
    [Fact]
    public async Task What_is_promised_finds_a_place_in_whatever_order_it_is_made()
    {
        using var lab = new VolumeLab();
        var host = OnTwoDisks(lab);
        var disk = host.Capacity().Ssd.Value / 2;

        // On one disk lies the whole of it, whatever both have together.
        Assert.Equal(RefusalCode.Capacity, host.Examine(Of(disk, ("large", 160)), Of(disk))?.Code);
        Assert.Equal(RefusalCode.Capacity, host.Examine(Of(disk, ("third", 60)), Of(disk, ("one", 60), ("two", 60)))?.Code);
        var all = Of(disk, ("a", 38), ("b", 48), ("c", 48), ("d", 58));
        Assert.Null(host.Examine(all, Of(disk)));
        Assert.Equal(RefusalCode.Capacity, host.Examine(Of(disk, ("e", 12)), all)?.Code);

        // Each where most is free, the last would find no room.
        foreach (var (key, volume) in all.OrderBy(v => v.Key))
        {
            await VolumeLab.DoneAsync(host.MakeAsync(key, volume, all));
            Assert.Null(host.Examine(all, all));
        }
        Assert.All(all, v => Assert.Equal(v.Value.Size, Assert.IsType<VolumeSighting.Mounted>(host.Observe()[v.Key]).Size));

        // What exists grows where it is.
        if (VolumeHost.CanGrow)
            Assert.Equal(RefusalCode.Capacity, host.Examine(Of(disk, ("a", 60)), all)?.Code);
        await Effects.DoneAsync(() => host.DestroyAsync(VolumeLab.Key("d")));
        Assert.Null(host.Examine(Of(disk, ("e", 50)), all.Remove(VolumeLab.Key("d"))));
    }

    [Fact]
    public async Task Those_that_are_made_at_once_leave_one_another_room()
    {
        using var lab = new VolumeLab();
        var host = OnTwoDisks(lab);
        var all = Of(host.Capacity().Ssd.Value / 2, ("a", 38), ("b", 48), ("c", 48), ("d", 58));
        Assert.All(await Task.WhenAll(all.Select(v => Task.Run(() => host.MakeAsync(v.Key, v.Value, all)))), outcome => Assert.Equal(new Outcome.Done(), outcome));
    }

    [Fact]
    public void A_place_is_found_where_there_is_one()
    {
        var random = new Random(11);
        for (var i = 0; i < 500; i++)
        {
            // Disks that are filled to the last byte, in pieces: the hardest to put back.
            var disks = Enumerable.Range(0, random.Next(1, 5)).Select(d => (Media: d % 2 == 0 ? Media.Ssd : Media.Hdd, Device: d)).ToImmutableArray();
            var pieces = disks.ToDictionary(d => d.Device, _ => Enumerable.Range(0, random.Next(1, 4)).Select(_ => (long)random.Next(1, 50)).ToList());
            var wants = disks.SelectMany(d => pieces[d.Device], (d, size) => (d.Media, size)).OrderBy(_ => random.Next()).ToList();
            var free = pieces.ToDictionary(p => p.Key, p => p.Value.Sum());
            Assert.True(Placing.Fits(wants, disks, free), $"{i}");
            Assert.False(Placing.Fits([.. wants, (disks[0].Media, 1)], disks, free), $"{i}");
        }
    }

    private static VolumeHost OnTwoDisks(VolumeLab lab)
    {
        for (var i = 0; i < 2; i++)
            lab.AddDisk($"ssd-{i}", 96, Media.Ssd, "/usr/sbin/mkfs.ext4", "-q", "-F", "-m", "0");
        lab.Disks.RemoveAt(0);
        return lab.Reopen();
    }

    private static ImmutableDictionary<WorkloadKey, Volume> Of(long disk, params (string Name, int Percent)[] volumes) => volumes.ToImmutableDictionary(
        v => VolumeLab.Key(v.Name), v => VolumeLab.Volume(0) with { Name = v.Name, Size = new Bytes(disk * v.Percent / 100 & ~0xFFFFL) });
}
