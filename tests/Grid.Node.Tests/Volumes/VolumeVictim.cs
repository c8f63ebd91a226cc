using Grid.Node.Volumes;
using Grid.Workloads;

namespace Grid.Node.Tests.Volumes;

/// <summary>An agent that makes, detaches and destroys volumes until somebody kills it.</summary>
internal static class VolumeVictim
{
    public const string Verb = "--make-volumes";

    /// <param name="args">data disk, run</param>
    public static async Task<int> RunAsync(string[] args)
    {
        if (args is not [var disk, var run])
            return 2;
        using var host = VolumeHost.Open([new DataDisk(disk, Media.Ssd)], run, VolumeLab.Secret, TimeProvider.System, out var why);
        if (host is null)
        {
            await Console.Error.WriteLineAsync(why);
            return 3;
        }
        while (true)
        {
            await Console.Out.WriteLineAsync((await host.MakeAsync(VolumeLab.Key("kept"), VolumeLab.Volume(8))).ToString());
            await Console.Out.WriteLineAsync((await host.MakeAsync(VolumeLab.Key("passing"), VolumeLab.Volume(8))).ToString());
            await Console.Out.WriteLineAsync((await host.DetachAsync(VolumeLab.Key("kept"))).ToString());
            await Console.Out.WriteLineAsync((await host.DestroyAsync(VolumeLab.Key("passing"))).ToString());
        }
    }
}
