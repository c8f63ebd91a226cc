using System.Text;
using Grid.Node.Containers;
using Grid.Node.Tests.Machines;
using Grid.Reconciliation;
using Grid.Workloads;

namespace Grid.Node.Tests.Volumes;

/// <summary>What whoever carries the data disk away finds on it.</summary>
public sealed class RawDiskTests
{
    private const string Marker = "PLAINTEXT-MARKER-7f3a-of-a-volume";

    [Theory]
    [InlineData(VolumeForm.Files, "/usr/sbin/mkfs.ext4", "-q", "-F")]
    [InlineData(VolumeForm.Files, "/usr/sbin/mkfs.btrfs", "-q", "-f")]
    [InlineData(VolumeForm.Files, "/usr/sbin/mkfs.xfs", "-q", "-f")]
    [InlineData(VolumeForm.Disk, "/usr/sbin/mkfs.ext4", "-q", "-F")]
    [InlineData(VolumeForm.Disk, "/usr/sbin/mkfs.btrfs", "-q", "-f")]
    [InlineData(VolumeForm.Disk, "/usr/sbin/mkfs.xfs", "-q", "-f")]
    public async Task The_destroyed_key_is_nowhere_on_the_raw_data_disk(VolumeForm form, params string[] make)
    {
        using var lab = new VolumeLab();
        Assert.SkipUnless(File.Exists(make[0]), $"{make[0]} is not installed");
        var (directory, raw) = lab.AddDisk("hdd", 320, Media.Hdd, make);
        var (key, volume) = (VolumeLab.Key("data"), VolumeLab.Volume(16, Media.Hdd) with { Form = form });
        await VolumeLab.DoneAsync(lab.Reopen().MakeAsync(key, volume));
        var written = form is VolumeForm.Files ? WriteFile(lab, key) : await WriteDiskAsync(lab, key);
        VolumeLab.Execute("/usr/bin/sync", "-f", directory);
        var file = File.ReadAllBytes(lab.KeyFile(key, directory));
        Assert.True(VolumeLab.Contains(raw, file.AsSpan(0, 128)));
        Assert.All(written, w => Assert.False(VolumeLab.Contains(raw, w)));
        await Effects.DoneAsync(() => lab.Host.DestroyAsync(key));
        VolumeLab.Execute("/usr/bin/sync", "-f", directory);
        Assert.False(VolumeLab.Contains(raw, file.AsSpan(48, 80)));
        Assert.All(written, w => Assert.False(VolumeLab.Contains(raw, w)));
    }

    /// <returns>what nobody may find on the disk</returns>
    private static byte[][] WriteFile(VolumeLab lab, WorkloadKey key)
    {
        File.WriteAllText(Path.Combine(lab.Host.PathOf(key), Marker), Marker);
        return [Encoding.UTF8.GetBytes(Marker)];
    }

    /// <summary>As its machine would, by the emulator and the key behind the LUKS header.</summary>
    /// <returns>what nobody may find on the disk: what was written, and what opens it</returns>
    private static async Task<byte[][]> WriteDiskAsync(VolumeLab lab, WorkloadKey key)
    {
        const byte Letter = (byte)'M';
        var (view, secret) = (Path.Combine(lab.Root, "view"), Path.Combine(lab.Root, "secret"));
        File.Create(view).Dispose();
        await VolumeLab.DoneAsync(lab.Host.AttachDiskAsync(key, view, secret, new UidRange(UidRange.Base)));
        Assert.DoesNotContain("failed", DiskTests.Open(view, secret, $"write -P {Letter} 0 1M", "flush"), StringComparison.Ordinal);
        // It is there for who has the key, and is not mistaken for something else.
        Assert.DoesNotContain("failed", DiskTests.Open(view, secret, $"read -P {Letter} 0 1M"), StringComparison.Ordinal);
        Assert.Contains("Pattern verification failed", DiskTests.Open(view, secret, $"read -P {Letter + 1} 0 1M"), StringComparison.Ordinal);
        VolumeLab.Execute("/usr/bin/umount", view);
        return [Enumerable.Repeat(Letter, 64).ToArray(), File.ReadAllBytes(secret)];
    }
}
