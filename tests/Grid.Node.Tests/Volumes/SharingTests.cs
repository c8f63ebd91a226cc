using Grid.Node.Containers;
using Grid.Node.Tests.Containers;
using Grid.Node.Volumes;

namespace Grid.Node.Tests.Volumes;

[Collection(OnThisMachine.Name)]
public sealed class SharingTests(Machine machine) : IDisposable
{
    private static readonly UidRange Other = new(UidRange.Base + 1001 * UidRange.Count);

    public void Dispose() => machine.Clear();

    [Fact]
    public async Task Two_containers_with_their_own_ids_share_one_volume_and_have_another_each_to_themselves()
    {
        _ = machine.Host;
        using var lab = new VolumeLab();
        File.SetUnixFileMode(lab.Root, (UnixFileMode)0b111_001_001);
        Directory.CreateDirectory(lab.Run, (UnixFileMode)0b111_001_001);
        var (shared, own) = (VolumeLab.Key("shared"), VolumeLab.Key("own"));
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(shared, VolumeLab.Volume(8)));
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(own, VolumeLab.Volume(8)));
        async Task<VolumeBind> View(Grid.Reconciliation.WorkloadKey key, string name, UidRange uids, string path)
        {
            var at = Path.Combine(lab.Run, name);
            // Twice, as after an agent that was killed.
            await VolumeLab.DoneAsync(lab.Host.AttachAsync(key, at, uids));
            await VolumeLab.DoneAsync(lab.Host.AttachAsync(key, at, uids));
            return new VolumeBind(at, path);
        }
        var first = machine.Spec("write", "/data/first") with { Volumes = [await View(shared, "a", Machine.Uids, "/data"), await View(own, "c", Machine.Uids, "/empty")] };
        var rootfs = machine.View("second", Other);
        var second = Machine.Spec(77, rootfs, "write", "/data/second") with { Uids = Other, Volumes = [await View(shared, "b", Other, "/data")] };

        Assert.Equal("wrote", (await machine.RunAsync(first)).Text);
        Assert.Equal("wrote", (await machine.RunAsync(second)).Text);
        // The same owner inside both, and what one wrote the other, root as well, may write again.
        Assert.Equal("wrote", (await machine.RunAsync(second with { Args = ["write", "/data/first"] })).Text);
        Assert.Equal("wrote", (await machine.RunAsync(first with { Args = ["write", "/empty/mine"] })).Text);
        Assert.Equal("0 0", Owners(lab.Host.PathOf(shared), "first", "second"));
        Assert.Equal($"{Machine.Uids.First} {Machine.Uids.First}", Owners(Path.Combine(lab.Run, "a"), "first", "second"));
        Assert.Equal($"{Other.First} {Other.First}", Owners(Path.Combine(lab.Run, "b"), "first", "second"));
        Assert.Equal(["mine"], Directory.GetFiles(lab.Host.PathOf(own)).Select(Path.GetFileName));
        foreach (var view in (ReadOnlySpan<string>)["a", "b", "c"])
            VolumeLab.Execute("/usr/bin/umount", Path.Combine(lab.Run, view));
        await Effects.DoneAsync(() => lab.Host.DestroyAsync(shared));
        await Effects.DoneAsync(() => lab.Host.DestroyAsync(own));
        Assert.Empty(lab.Loops());
    }

    private static string Owners(string directory, params string[] files) =>
        string.Join(' ', files.Select(f => VolumeLab.Execute("/usr/bin/stat", "-c", "%u", Path.Combine(directory, f))));
}
