using System.Collections.Immutable;
using Grid.Node.Containers;
using Grid.Node.Volumes;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Volumes;

public sealed class DiskErrorTests
{
    private const string Said = "I/O error, dev sda, sector 20498 op 0x0:(READ) flags 0x8800 phys_seg 1 prio class 2\n";

    [Theory]
    [InlineData("3,6697,25964357321,-;" + Said, "I/O error of sda, READ at sector 20498")]
    [InlineData("3,1,2,c,caller=T12;" + Said + " SUBSYSTEM=block\n DEVICE=b8:0\n", "I/O error of sda, READ at sector 20498")]
    [InlineData("3,1,2,-;critical medium error, dev nvme0n1, sector 0 op 0x1:(WRITE) flags 0x0\n", "critical medium error of nvme0n1, WRITE at sector 0")]
    [InlineData("3,1,2,-;timeout error, dev sdb, sector 7 op 0x2:(FLUSH) flags 0x0\n", "timeout error of sdb, FLUSH at sector 7")]
    [InlineData("3,1,2,-;I/O error, dev nvme0c12n3, sector 7 op 0x0:(READ) flags 0x0\n", "I/O error of nvme0n3, READ at sector 7")]
    // Written by a program: of the facility "user".
    [InlineData("11,1,2,-;" + Said, null)]
    [InlineData("3,1,2,-;operation not supported error, dev loop0, sector 7 op 0x9:(WRITE_ZEROES) flags 0x0\n", null)]
    [InlineData("3,1,2,-;operation not supported error, dev loop0, sector 7 op 0x1:(WRITE) flags 0x0\n", null)]
    [InlineData("3,1,2,-;critical target error, dev sda, sector 7 op 0x3:(DISCARD) flags 0x0\n", null)]
    [InlineData("3,1,2,-;nonblocking retry error, dev sda, sector 7 op 0x0:(READ) flags 0x0\n", null)]
    [InlineData("3,1,2,-;Buffer I/O error on dev sda, logical block 36, lost async page write\n", null)]
    // What somebody named, quoted by the kernel.
    [InlineData("4,1,2,-;EXT4-fs (sda): mounted with name I/O error, dev sda, sector 1 op 0x0:(READ) flags\n", null)]
    [InlineData("3,1,2,-;x\n" + Said, null)]
    [InlineData("3,1,2,-;I/O error, dev sda, sector 9999999999999999999 op 0x0:(READ)\n", null)]
    [InlineData("", null)]
    public void A_disk_errs_only_by_the_kernels_own_word(string record, string? error) => Assert.Equal(error, DiskError.Parse(record)?.ToString());

    [Fact]
    public void What_a_program_writes_into_the_log_is_not_believed()
    {
        using var log = Open();
        // kern.err, as far as it can be asked for.
        File.WriteAllText("/dev/kmsg", $"<3>{Said.Replace("sda", "grid-test", StringComparison.Ordinal)}");
        Assert.DoesNotContain("grid-test", log.Read().Select(e => e.Disk));
    }

    [Fact]
    public void A_partition_is_on_its_disk()
    {
        using var lab = new VolumeLab();
        var raw = Path.Combine(lab.Root, "parted");
        File.WriteAllBytes(raw, new byte[4 << 20]);
        var disk = VolumeLab.Execute("/usr/sbin/losetup", "--find", "--show", "--partscan", raw);
        try
        {
            // Told rather than read: not every kernel knows a partition table.
            VolumeLab.Execute("/usr/bin/addpart", disk, "1", "2048", "2048");
            var name = Path.GetFileName(disk);
            var number = File.ReadAllText($"/sys/class/block/{name}p1/dev").Trim().Split(':').Select(uint.Parse).ToArray();
            Assert.Equal([name], BlockDevices.Below(number[0], number[1], null));
        }
        finally
        {
            VolumeLab.Execute("/usr/sbin/losetup", "--detach", disk);
        }
    }

    [Theory]
    [InlineData("/usr/sbin/mkfs.ext4", "-q", "-F")]
    [InlineData("/usr/sbin/mkfs.btrfs", "-q", "-f")]
    [InlineData("/usr/sbin/mkfs.xfs", "-q", "-f")]
    public async Task A_bad_sector_under_a_file_is_said_until_it_is_seen_to_and_nothing_new_comes_to_lie_beside_it(params string[] make)
    {
        using var lab = new VolumeLab();
        Open().Dispose();
        Assert.SkipUnless(File.Exists(make[0]), $"{make[0]} is not installed");
        var (directory, raw) = lab.AddDisk("hdd", 320, Media.Hdd, make);
        var (key, volume) = (VolumeLab.Key("disk"), VolumeLab.Volume(16, Media.Hdd) with { Form = VolumeForm.Disk });
        await VolumeLab.DoneAsync(lab.Reopen().MakeAsync(key, volume));
        var image = lab.Image(key, directory);
        Assert.Equal((null, null), Faults(lab, key));

        // What a machine has written is lost with the second half of the disk, from its last block on.
        var block = new byte[4096];
        new Random(1).NextBytes(block);
        using (var file = File.OpenHandle(image, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            RandomAccess.Write(file, block, (16 << 20) - block.Length);
            RandomAccess.FlushToDisk(file);
        }
        VolumeLab.Execute("/usr/bin/sync", "-f", directory);
        VolumeLab.Execute("/usr/bin/dd", $"if={image}", "iflag=nocache", "count=0");
        using (var disk = File.OpenHandle(raw, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite))
            RandomAccess.SetLength(disk, PlaceOf(disk, block));
        Assert.Equal((null, null), Faults(lab, key));
        // The kernel says ten of them in five seconds, whosever they are.
        var (said, ofVolume) = await Effects.SettledAsync(
            () =>
            {
                Assert.ThrowsAny<IOException>(() => File.ReadAllBytes(image));
                return Task.FromResult(Faults(lab, key));
            },
            f => f.OfDisk is not null);
        Assert.Matches($"^the data disk {directory}: I/O error of loop[0-9]+, READ at sector [0-9]+, 2027-01-15T08:00:00Z$", said);
        Assert.Equal($"its {said![4..]}", ofVolume);
        var beside = VolumeLab.Key("beside");
        Assert.Equal(new Outcome.Broken(said), await lab.Host.MakeAsync(beside, volume));
        Assert.Contains(said, lab.Host.Examine(Volumes(beside, volume), Volumes(beside, volume))?.Detail, StringComparison.Ordinal);
        // What is there is used as it was.
        Assert.Null(lab.Host.Examine(Volumes(key, volume), Volumes(key, volume)));
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, volume));

        // The next agent has not heard it.
        Assert.Equal((said, ofVolume), Faults(lab.Reopen(), key));
        var (second, _) = lab.AddDisk("second", 320, Media.Hdd, make);
        await VolumeLab.DoneAsync(lab.Reopen().MakeAsync(beside, volume));
        Assert.True(File.Exists(lab.Image(beside, second)));

        Assert.Equal(0, MendedProgram.Run([directory]));
        Assert.Equal((null, null), Faults(lab, key));
    }

    private static (string? OfDisk, string? OfVolume) Faults(VolumeLab lab, WorkloadKey key) => Faults(lab.Host, key);

    private static (string? OfDisk, string? OfVolume) Faults(VolumeHost host, WorkloadKey key) =>
        host.Observe() is var seen ? (seen.Fault, Assert.IsType<VolumeSighting.Mounted>(seen[key]).Fault) : default;

    private static ImmutableDictionary<WorkloadKey, Volume> Volumes(WorkloadKey key, Volume volume) =>
        ImmutableDictionary<WorkloadKey, Volume>.Empty.Add(key, volume);

    private static long PlaceOf(Microsoft.Win32.SafeHandles.SafeFileHandle disk, byte[] block)
    {
        var all = new byte[RandomAccess.GetLength(disk)];
        RandomAccess.Read(disk, all, 0);
        return all.AsSpan().IndexOf(block) is >= 0 and var at ? at : throw new Xunit.Sdk.XunitException("The block is not on the disk.");
    }

    private static KernelLog Open()
    {
        var log = KernelLog.Open(out var why);
        Assert.SkipWhen(log is null, why ?? "");
        return log;
    }
}
