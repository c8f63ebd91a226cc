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

    /// <summary>The real emulator, with no machine in it, opens it and says how large it is; or why not.</summary>
    private static string Open(string image, string secret)
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
            qemu.StandardInput.Write("{\"execute\":\"qmp_capabilities\"}{\"execute\":\"query-named-block-nodes\",\"arguments\":{\"flat\":true}}{\"execute\":\"quit\"}\n");
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
