using System.Collections.Immutable;
using System.Text;
using Grid.Node.Containers;
using Grid.Node.Volumes;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Volumes;

public sealed class VolumeTests
{
    private const string Marker = "PLAINTEXT-MARKER-7f3a-of-a-volume";

    [Fact]
    public async Task A_volume_is_exactly_as_large_as_agreed_and_full_when_that_is_full()
    {
        using var lab = new VolumeLab();
        var key = VolumeLab.Key("data");
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(64)));
        Assert.Equal(64L << 20, new FileInfo(lab.Image(key)).Length);
        Assert.True(VolumeLab.Allocated(lab.Image(key)) >= 64L << 20);
        Assert.Equal(new VolumeSighting.Mounted(Bytes.MiB(64), Media.Ssd, null), lab.Host.Observe()[key]);

        var written = Fill(Path.Combine(lab.Host.PathOf(key), "full"));
        // The journal of 4 MiB, 1 MiB of inodes, a fiftieth for its own records, and what describes them.
        Assert.InRange(written, 57L << 20, 59L << 20);
        Assert.Equal((64L << 20, true), (new FileInfo(lab.Image(key)).Length, VolumeLab.Allocated(lab.Image(key)) < 65L << 20));
        File.Delete(Path.Combine(lab.Host.PathOf(key), "full"));
        Assert.Equal(written, Fill(Path.Combine(lab.Host.PathOf(key), "again")));
        Assert.True(VolumeLab.Allocated(lab.Image(key)) >= 64L << 20);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(300)]
    public async Task Making_again_changes_nothing_and_odd_sizes_are_kept_to_the_byte(long mebibytes)
    {
        using var lab = new VolumeLab();
        var key = VolumeLab.Key("data");
        var volume = VolumeLab.Volume(mebibytes) with { Size = new Bytes((mebibytes << 20) + 1_234_567) };
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, volume));
        File.WriteAllText(Path.Combine(lab.Host.PathOf(key), "f"), Marker);
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, volume));
        await VolumeLab.DoneAsync(lab.Reopen().MakeAsync(key, volume));
        Assert.Equal(Marker, File.ReadAllText(Path.Combine(lab.Host.PathOf(key), "f")));
        Assert.Equal(volume.Size.Value, new FileInfo(lab.Image(key)).Length);
        Assert.Single(lab.Loops());
    }

    [Fact]
    public async Task Neither_content_nor_name_is_ever_in_the_raw_image()
    {
        using var lab = new VolumeLab();
        var key = VolumeLab.Key("data");
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(16)));
        var directory = Directory.CreateDirectory(Path.Combine(lab.Host.PathOf(key), Marker + "-directory")).FullName;
        for (var i = 0; i < 100; i++)
            File.WriteAllText(Path.Combine(directory, $"{Marker}-{i}"), string.Concat(Enumerable.Repeat(Marker, 200)));
        File.CreateSymbolicLink(Path.Combine(directory, "link"), Marker);
        VolumeLab.Execute("/usr/bin/sync", "-f", directory);
        var marker = Encoding.UTF8.GetBytes(Marker);
        Assert.False(VolumeLab.Contains(lab.Image(key), marker));

        // Outside the encrypted directory, where no workload comes, it would have been found.
        File.WriteAllText(Path.Combine(directory, "../../plain"), Marker);
        VolumeLab.Execute("/usr/bin/sync", "-f", directory);
        Assert.True(VolumeLab.Contains(lab.Image(key), marker));
    }

    [Fact]
    public async Task Detached_it_is_kept_closed_and_since_when_is_remembered()
    {
        using var lab = new VolumeLab();
        var key = VolumeLab.Key("data");
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(16)));
        File.WriteAllText(Path.Combine(lab.Host.PathOf(key), Marker), Marker);
        var since = lab.Clock.Now;
        await Effects.DoneAsync(() => lab.Host.DetachAsync(key));
        Assert.Equal(new VolumeSighting.Idle(Bytes.MiB(16), Media.Ssd, since), lab.Host.Observe()[key]);
        Assert.Empty(lab.Loops());
        Assert.False(Directory.Exists(lab.Host.PathOf(key)));

        lab.Clock.Now += TimeSpan.FromDays(1);
        lab.Reopen();
        await Effects.DoneAsync(() => lab.Host.DetachAsync(key));
        Assert.Equal(new VolumeSighting.Idle(Bytes.MiB(16), Media.Ssd, since), lab.Host.Observe()[key]);
        var byHand = Directory.CreateDirectory(Path.Combine(lab.Root, "by-hand")).FullName;
        VolumeLab.Execute("/usr/bin/mount", "-o", "loop,ro", lab.Image(key), byHand);
        var name = Path.GetFileName(Assert.Single(Directory.GetFiles(Path.Combine(byHand, "data"))));
        Assert.NotEqual(Marker, name);
        Assert.Throws<IOException>(() => File.ReadAllText(Path.Combine(byHand, "data", name)));
        VolumeLab.Execute("/usr/bin/umount", byHand);

        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(16)));
        Assert.Equal(Marker, File.ReadAllText(Path.Combine(lab.Host.PathOf(key), Marker)));
        await Effects.DoneAsync(() => lab.Host.DetachAsync(key));
        Assert.Equal(new VolumeSighting.Idle(Bytes.MiB(16), Media.Ssd, lab.Clock.Now), lab.Host.Observe()[key]);
    }

    [Fact]
    public async Task While_a_file_is_open_or_a_view_is_mounted_it_is_not_detached()
    {
        using var lab = new VolumeLab();
        var key = VolumeLab.Key("data");
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(16)));
        using (File.Create(Path.Combine(lab.Host.PathOf(key), "open")))
            Assert.IsType<Outcome.Transient>(await lab.Host.DetachAsync(key));
        Assert.IsType<VolumeSighting.Mounted>(lab.Host.Observe()[key]);

        var view = Path.Combine(lab.Run, "view");
        await VolumeLab.DoneAsync(lab.Host.AttachAsync(key, view, new UidRange(UidRange.Base)));
        var held = await Effects.SettledAsync(() => lab.Host.DetachAsync(key), o => o is Outcome.Transient t && t.Why.Contains(view, StringComparison.Ordinal));
        Assert.Contains(view, Assert.IsType<Outcome.Transient>(held).Why, StringComparison.Ordinal);
        Assert.Equal(new VolumeSighting.Idle(Bytes.MiB(16), Media.Ssd, null), lab.Host.Observe()[key]);
        // Wished again meanwhile: it is one and the same file system.
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(16)));
        File.WriteAllText(Path.Combine(lab.Host.PathOf(key), "seen"), "");
        Assert.True(File.Exists(Path.Combine(view, "seen")));
        VolumeLab.Execute("/usr/bin/umount", view);
        await Effects.DoneAsync(() => lab.Host.DetachAsync(key));
    }

    [Fact]
    public async Task Destroyed_nothing_opens_it_any_more()
    {
        using var lab = new VolumeLab();
        var (key, volume) = (VolumeLab.Key("data"), VolumeLab.Volume(16));
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, volume));
        File.WriteAllText(Path.Combine(lab.Host.PathOf(key), Marker), Marker);
        // Somebody kept hold of both files. What is overwritten is overwritten for them too.
        var (image, sealedKey) = (Path.Combine(lab.Root, "kept.image"), Path.Combine(lab.Root, "kept.key"));
        VolumeLab.Execute("/usr/bin/ln", lab.Image(key), image);
        VolumeLab.Execute("/usr/bin/ln", lab.KeyFile(key), sealedKey);
        await Effects.DoneAsync(() => lab.Host.DestroyAsync(key));
        Assert.Equal(new VolumeSighting.Absent(), lab.Host.Observe()[key]);
        Assert.Empty(Directory.EnumerateFileSystemEntries(lab.Ssd));
        Assert.Empty(lab.Loops());
        Assert.All(File.ReadAllBytes(sealedKey), b => Assert.Equal(0, b));
        await Effects.DoneAsync(() => lab.Host.DestroyAsync(key));

        File.Move(image, lab.Image(key));
        Assert.IsType<Outcome.Broken>(await lab.Host.MakeAsync(key, volume));
        File.Move(sealedKey, lab.KeyFile(key));
        Assert.Equal(new VolumeSighting.Wiped(Media.Ssd), lab.Host.Observe()[key]);
        // A new one of the same name is a new one.
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, volume));
        Assert.Empty(Directory.EnumerateFileSystemEntries(lab.Host.PathOf(key)));
    }

    [Fact]
    public async Task Without_its_key_or_with_another_it_is_lost_and_no_new_one_is_made()
    {
        using var lab = new VolumeLab();
        var (key, volume) = (VolumeLab.Key("data"), VolumeLab.Volume(16));
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, volume));
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(VolumeLab.Key("other"), volume));
        File.WriteAllText(Path.Combine(lab.Host.PathOf(key), "f"), Marker);
        await Effects.DoneAsync(() => lab.Host.DetachAsync(key));
        var before = VolumeLab.DigestOf(lab.Image(key));

        var saved = Path.Combine(lab.Root, "saved.key");
        File.Move(lab.KeyFile(key), saved);
        Assert.IsType<VolumeSighting.Lost>(lab.Host.Observe()[key]);
        Assert.IsType<Outcome.Broken>(await lab.Host.MakeAsync(key, volume));
        Assert.False(File.Exists(lab.KeyFile(key)));
        File.Copy(lab.KeyFile(VolumeLab.Key("other")), lab.KeyFile(key));
        Assert.IsType<Outcome.Broken>(await lab.Host.MakeAsync(key, volume));
        File.Copy(saved, lab.KeyFile(key), overwrite: true);
        using (var stranger = lab.Open(new byte[32], out _)!)
            Assert.IsType<Outcome.Broken>(await stranger.MakeAsync(key, volume));
        Assert.Equal(before, VolumeLab.DigestOf(lab.Image(key)));
        Assert.Single(lab.Loops());

        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, volume));
        Assert.Equal(Marker, File.ReadAllText(Path.Combine(lab.Host.PathOf(key), "f")));
    }

    [Fact]
    public async Task An_image_that_cannot_be_mounted_is_an_error_and_is_left_as_it_is()
    {
        using var lab = new VolumeLab();
        var (key, volume) = (VolumeLab.Key("data"), VolumeLab.Volume(16));
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, volume));
        await Effects.DoneAsync(() => lab.Host.DetachAsync(key));
        using (var image = File.OpenHandle(lab.Image(key), FileMode.Open, FileAccess.Write))
            RandomAccess.Write(image, new byte[64 << 10], 0);
        var before = VolumeLab.DigestOf(lab.Image(key));
        Assert.Contains("cannot be mounted", Assert.IsType<Outcome.Broken>(await lab.Host.MakeAsync(key, volume)).Why, StringComparison.Ordinal);
        Assert.Equal(before, VolumeLab.DigestOf(lab.Image(key)));
        Assert.Empty(lab.Loops());

        File.Delete(lab.Image(key));
        Assert.IsType<VolumeSighting.Lost>(lab.Host.Observe()[key]);
        Assert.IsType<Outcome.Broken>(await lab.Host.MakeAsync(key, volume));
        Assert.False(File.Exists(lab.Image(key)));
    }

    [Fact]
    public async Task What_is_not_a_volumes_is_left_alone()
    {
        using var lab = new VolumeLab();
        var key = VolumeLab.Key("data");
        string[] foreign = ["notes.txt", "holiday.image", $"{key.Agreement}.data", $"{key.Agreement}.data.images", "agr1wrong.data.key"];
        foreach (var name in foreign)
            File.WriteAllText(Path.Combine(lab.Ssd, name), name);
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(8)));
        Assert.Equal([key], lab.Host.Observe().Volumes.Keys);
        await Effects.DoneAsync(() => lab.Host.DestroyAsync(key));
        Assert.Equal(foreign.Order(StringComparer.Ordinal), Directory.GetFiles(lab.Ssd).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.All(foreign, name => Assert.Equal(name, File.ReadAllText(Path.Combine(lab.Ssd, name))));
    }

    [Fact]
    public async Task What_cannot_be_is_refused()
    {
        using var lab = new VolumeLab();
        var key = VolumeLab.Key("data");
        Assert.Equal(RefusalCode.SizeInvalid, Assert.IsType<Outcome.Refused>(await lab.Host.MakeAsync(key, VolumeLab.Volume(1))).Refusal.Code);
        Assert.Equal(RefusalCode.Capacity, Assert.IsType<Outcome.Refused>(await lab.Host.MakeAsync(key, VolumeLab.Volume(16, Media.Hdd))).Refusal.Code);
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(16)));
        Assert.Equal(RefusalCode.VolumeShrink, Assert.IsType<Outcome.Refused>(await lab.Host.MakeAsync(key, VolumeLab.Volume(15))).Refusal.Code);
        Assert.Equal(RefusalCode.VolumeShrink, Assert.IsType<Outcome.Refused>(await lab.Host.MakeAsync(key, VolumeLab.Volume(16, Media.Hdd))).Refusal.Code);
        Assert.Equal(new VolumeSighting.Mounted(Bytes.MiB(16), Media.Ssd, null), lab.Host.Observe()[key]);
    }

    [Fact]
    public async Task A_volume_that_is_only_kept_is_no_smaller_one_and_no_disk_when_it_is_wanted_again()
    {
        using var lab = new VolumeLab();
        var key = VolumeLab.Key("data");
        string? Examine(Volume volume) => lab.Host.Examine(ImmutableDictionary<WorkloadKey, Volume>.Empty.Add(key, volume), ImmutableDictionary<WorkloadKey, Volume>.Empty)?.Code;
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, VolumeLab.Volume(16)));
        await Effects.DoneAsync(() => lab.Host.DetachAsync(key));
        Assert.Null(Examine(VolumeLab.Volume(16)));
        foreach (var other in new[] { VolumeLab.Volume(15), VolumeLab.Volume(16, Media.Hdd), VolumeLab.Volume(16) with { Form = VolumeForm.Disk } })
            Assert.Equal(RefusalCode.VolumeShrink, Examine(other));
        await Effects.DoneAsync(() => lab.Host.DestroyAsync(key));
        Assert.Null(Examine(VolumeLab.Volume(15)));
    }

    [Fact]
    public async Task A_full_disk_is_said_and_nothing_half_made_stays_and_what_is_offered_can_be_made()
    {
        using var lab = new VolumeLab();
        var (directory, _) = lab.AddDisk("hdd", 64, Media.Hdd, "/usr/sbin/mkfs.ext4", "-q", "-F", "-m", "0");
        var host = lab.Reopen();
        var offered = host.Capacity().Hdd;
        Assert.InRange(offered.Value, 32L << 20, 63L << 20);
        Assert.IsType<Outcome.Transient>(await host.MakeAsync(VolumeLab.Key("large"), VolumeLab.Volume(65, Media.Hdd)));
        Assert.Equal(["lost+found"], Directory.GetFileSystemEntries(directory).Select(Path.GetFileName));

        var half = new Bytes(offered.Value / 2);
        await VolumeLab.DoneAsync(host.MakeAsync(VolumeLab.Key("one"), VolumeLab.Volume(0, Media.Hdd) with { Size = half }));
        Assert.Equal(offered, host.Capacity().Hdd);
        await VolumeLab.DoneAsync(host.MakeAsync(VolumeLab.Key("two"), VolumeLab.Volume(0, Media.Hdd) with { Size = half }));
        Assert.IsType<Outcome.Transient>(await host.MakeAsync(VolumeLab.Key("three"), VolumeLab.Volume(8, Media.Hdd)));
        // Both can be filled although nothing is left.
        Assert.InRange(Fill(Path.Combine(host.PathOf(VolumeLab.Key("one")), "f")), half.Value * 8 / 10, half.Value);
        Assert.InRange(Fill(Path.Combine(host.PathOf(VolumeLab.Key("two")), "f")), half.Value * 8 / 10, half.Value);
        Assert.All(host.Observe().Volumes.Values, v => Assert.Null(Assert.IsType<VolumeSighting.Mounted>(v).Fault));
    }

    [Fact]
    public async Task A_disk_that_errs_is_said_and_one_that_is_gone_makes_nothing_look_empty()
    {
        using var lab = new VolumeLab();
        var (directory, raw) = lab.AddDisk("hdd", 64, Media.Hdd, "/usr/sbin/mkfs.ext4", "-q", "-F");
        var beneath = Path.GetDirectoryName(raw)!;
        var (key, idle, volume) = (VolumeLab.Key("data"), VolumeLab.Key("idle"), VolumeLab.Volume(16, Media.Hdd));
        await VolumeLab.DoneAsync(lab.Reopen().MakeAsync(key, volume));
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(idle, volume));
        await Effects.DoneAsync(() => lab.Host.DetachAsync(idle));

        // From here on no sector can be written that was not before: input/output errors, with no more room beneath the disk.
        Fill(Path.Combine(beneath, "filling"));
        Assert.ThrowsAny<IOException>(() =>
        {
            for (var i = 0; i < 1000; i++)
            {
                using var file = File.Create(Path.Combine(lab.Host.PathOf(key), $"{i}"));
                file.Write(new byte[4096]);
                file.Flush(flushToDisk: true);
            }
        });
        Assert.NotNull(Assert.IsType<VolumeSighting.Mounted>(lab.Host.Observe()[key]).Fault);

        // Nor read, but those of the first MiB.
        using (var disk = File.OpenHandle(raw, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            RandomAccess.SetLength(disk, 1 << 20);
        Assert.IsType<Outcome.Broken>(await lab.Host.MakeAsync(idle, volume));

        VolumeLab.Execute("/usr/bin/umount", "-l", directory);
        Assert.IsType<VolumeSighting.Unknown>(lab.Host.Observe()[idle]);
        Assert.IsType<Outcome.Broken>(await lab.Host.MakeAsync(idle, volume));
        Assert.Empty(Directory.EnumerateFileSystemEntries(directory));
        lab.Disks[1] = lab.Disks[1] with { Directory = Path.Combine(directory, "below") };
        Assert.Null(lab.Open(VolumeLab.Secret, out var why));
        Assert.Contains("below", why, StringComparison.Ordinal);
    }

    /// <returns>how much there was room for</returns>
    internal static long Fill(string path)
    {
        var buffer = new byte[64 << 10];
        long written = 0;
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
        try
        {
            while (true)
            {
                RandomAccess.Write(file, buffer, written);
                written += buffer.Length;
            }
        }
        catch (IOException e) when ((e.HResult & 0xFFFF) is 28 || e.Message.Contains("No space", StringComparison.OrdinalIgnoreCase))
        {
            RandomAccess.FlushToDisk(file);
            return written;
        }
    }
}
