using System.Diagnostics;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Machines;
using Grid.Node.Tests.Volumes;
using Grid.Node.Volumes;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Machines;

public sealed class DiskTests
{
    private static readonly UidRange Uids = new(UidRange.Base);

    [Fact]
    public async Task A_disk_is_as_large_as_agreed_for_whoever_has_its_key_and_for_nobody_else()
    {
        using var lab = new VolumeLab();
        var (key, volume) = (VolumeLab.Key("disk"), VolumeLab.Volume(16) with { Form = VolumeForm.Disk });
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, volume));
        await VolumeLab.DoneAsync(lab.Reopen().MakeAsync(key, volume));
        Assert.True(VolumeLab.Allocated(lab.Image(key)) >= 16L << 20);
        Assert.Empty(lab.Loops());
        var (view, secret) = (Path.Combine(lab.Root, "view"), Path.Combine(lab.Root, "secret"));
        File.Create(view).Dispose();
        await VolumeLab.DoneAsync(lab.Host.AttachDiskAsync(key, view, secret, Uids));
        try
        {
            Assert.Contains("\"virtual-size\": 16777216", Open(view, secret));
            File.WriteAllText(secret, new string('0', 128));
            Assert.Contains("Invalid password", Open(view, secret));
            await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, volume with { Size = Bytes.MiB(24) }));
            await VolumeLab.DoneAsync(lab.Host.AttachDiskAsync(key, view, secret, Uids));
            Assert.Contains("\"virtual-size\": 25165824", Open(view, secret));
            Assert.Equal(Bytes.MiB(24), Assert.IsType<VolumeSighting.Mounted>(lab.Host.Observe()[key]).Size);
        }
        finally
        {
            while (MountLine.Read("self").Any(m => m.Point == view))
                Posix.Detach(view);
        }
    }

    [Fact]
    public async Task A_disk_neither_shrinks_nor_becomes_files_and_goes_with_its_key()
    {
        using var lab = new VolumeLab();
        var (key, volume) = (VolumeLab.Key("disk"), VolumeLab.Volume(16) with { Form = VolumeForm.Disk });
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, volume));
        var before = VolumeLab.DigestOf(lab.Image(key));
        foreach (var wrong in new[] { volume with { Size = Bytes.MiB(15) }, volume with { Form = VolumeForm.Files } })
            Assert.Equal(RefusalCode.VolumeShrink, Assert.IsType<Outcome.Refused>(await lab.Host.MakeAsync(key, wrong)).Refusal.Code);
        Assert.Equal(before, VolumeLab.DigestOf(lab.Image(key)));
        await Effects.DoneAsync(() => lab.Host.DetachAsync(key));
        Assert.IsType<VolumeSighting.Idle>(lab.Host.Observe()[key]);
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(key, volume));
        Assert.Equal(before, VolumeLab.DigestOf(lab.Image(key)));
        await Effects.DoneAsync(() => lab.Host.DestroyAsync(key));
        Assert.Equal((false, false), (File.Exists(lab.Image(key)), File.Exists(lab.KeyFile(key))));
    }

    [Theory]
    [InlineData("/usr/sbin/mkfs.ext4", "-q", "-F")]
    [InlineData("/usr/sbin/mkfs.btrfs", "-q", "-f")]
    [InlineData("/usr/sbin/mkfs.xfs", "-q", "-f")]
    public async Task A_data_disk_that_errs_is_said_of_the_disks_that_lie_on_it(params string[] make)
    {
        using var lab = new VolumeLab();
        Assert.SkipUnless(File.Exists(make[0]), $"{make[0]} is not installed");
        var (directory, raw) = lab.AddDisk("hdd", 320, Media.Hdd, make);
        var (key, volume) = (VolumeLab.Key("disk"), VolumeLab.Volume(16, Media.Hdd) with { Form = VolumeForm.Disk });
        await VolumeLab.DoneAsync(lab.Reopen().MakeAsync(key, volume));
        Assert.Equal(new VolumeSighting.Mounted(Bytes.MiB(16), Media.Hdd, null), lab.Host.Observe()[key]);

        // From here on no sector can be written that was not before. What is in it is the machine's; its data disk sees it where it keeps records itself.
        VolumeTests.Fill(Path.Combine(Path.GetDirectoryName(raw)!, "filling"));
        // XFS tries to write its records again for ever, until it gives up by itself, or because it is told to.
        if (make[0].EndsWith("xfs", StringComparison.Ordinal))
            VolumeLab.Execute("/usr/sbin/xfs_io", "-x", "-c", "shutdown", directory);
        string? Fault() => lab.Host.Observe()[key] switch
        {
            VolumeSighting.Mounted seen => seen.Fault,
            VolumeSighting.Unknown unknown => unknown.Why,
            var other => $"{other}",
        };
        var fault = await Effects.SettledAsync(() => Task.FromResult(Churn(directory) ? Fault() : null), f => f is not null);
        Assert.Contains($"data disk {directory}", fault, StringComparison.Ordinal);
    }

    /// <summary>Makes a file system keep a record.</summary>
    /// <returns>true, whether or not it could</returns>
    private static bool Churn(string directory)
    {
        try
        {
            using var file = File.Create(Path.Combine(directory, "churn"));
            file.Flush(flushToDisk: true);
        }
        catch (IOException)
        {
            // Which is what is waited for.
        }
        return true;
    }

    /// <summary>The real emulator, with no machine in it, opens a disk, does what it is told and says how large it is; or why not.</summary>
    /// <param name="does">commands of qemu-io(1)</param>
    internal static string Open(string image, string secret, params string[] does)
    {
        if (!File.Exists(Emulator.Program))
            Assert.Skip("Disks of machines are read by qemu-system-x86; run tools/setup.");
        using var qemu = Process.Start(new ProcessStartInfo(Emulator.Program,
        [
            "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio", "-object", $"secret,id=key,file={secret}",
            "-blockdev", $"driver=file,node-name=file,filename={image},locking=off", "-blockdev", "driver=luks,node-name=disk,file=file,key-secret=key",
        ])
        { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
        try
        {
            var told = does.Select(d => $$$"""{"execute":"human-monitor-command","arguments":{"command-line":"qemu-io disk \"{{{d}}}\""}}""");
            qemu.StandardInput.Write($$$"""{"execute":"qmp_capabilities"}{{{string.Concat(told)}}}{"execute":"query-named-block-nodes","arguments":{"flat":true}}{"execute":"quit"}""" + "\n");
            qemu.StandardInput.Close();
        }
        catch (IOException)
        {
            // It refused, and said why.
        }
        var said = qemu.StandardError.ReadToEndAsync();
        return qemu.StandardOutput.ReadToEnd() + said.Result;
    }
}
