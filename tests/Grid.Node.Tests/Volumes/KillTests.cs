using System.Diagnostics;
using Grid.Node.Containers;
using Grid.Node.Volumes;
using Grid.Units;

namespace Grid.Node.Tests.Volumes;

public sealed class KillTests
{
    private const int Kills = 50;

    [Fact]
    public async Task Killed_fifty_times_at_any_moment_nothing_written_is_lost_and_nothing_half_made_is_in_the_way()
    {
        using var lab = new VolumeLab();
        var (kept, passing, volume) = (VolumeLab.Key("kept"), VolumeLab.Key("passing"), VolumeLab.Volume(8));
        await VolumeLab.DoneAsync(lab.Host.MakeAsync(kept, volume));
        var random = new Random(50);
        var found = new List<string>();
        for (var round = 0; round < Kills; round++)
        {
            File.WriteAllText(Path.Combine(lab.Host.PathOf(kept), $"{round}"), $"written before kill {round}");
            await KillAsync(lab, random);

            var seen = lab.Reopen().Observe();
            found.Add($"{seen[kept].GetType().Name} {seen[passing].GetType().Name}");
            // The kernel lets go of what a killed process had open within the moment; nothing of it is in the way.
            await VolumeLab.DoneAsync(lab.Host.MakeAsync(kept, volume));
            for (var written = 0; written <= round; written++)
                Assert.Equal($"written before kill {written}", File.ReadAllText(Path.Combine(lab.Host.PathOf(kept), $"{written}")));
            if (round % 2 == 0)
            {
                if (seen[passing] is VolumeSighting.Wiped)
                    await Effects.DoneAsync(() => lab.Host.DestroyAsync(passing));
                await VolumeLab.DoneAsync(lab.Host.MakeAsync(passing, volume));
                Assert.Equal(new VolumeSighting.Mounted(Bytes.MiB(8), volume.Media, null), lab.Host.Observe()[passing]);
            }
            await Effects.DoneAsync(() => lab.Host.DestroyAsync(passing));
            Assert.Equal([Path.GetFileName(lab.Image(kept)), Path.GetFileName(lab.KeyFile(kept))], Directory.GetFiles(lab.Ssd).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        }
        Assert.Single(lab.Loops());
        Assert.True(found.Distinct().Count() > 3, $"The kills all came at the same moments: {string.Join(", ", found.Distinct())}");
    }

    /// <summary>Lets an agent work for a moment, a random one, and kills it.</summary>
    private static async Task KillAsync(VolumeLab lab, Random random)
    {
        using var agent = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, [VolumeVictim.Verb, lab.Ssd, lab.Run]) { RedirectStandardOutput = true })!;
        for (var steps = random.Next(1, 6); steps > 0; steps--)
            Assert.Equal(new Outcome.Done().ToString(), await agent.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
        var until = Stopwatch.GetTimestamp() + (long)(random.NextDouble() * 0.06 * Stopwatch.Frequency);
        while (Stopwatch.GetTimestamp() < until)
            Thread.SpinWait(100);
        agent.Kill();
        await agent.WaitForExitAsync(TestContext.Current.CancellationToken);
    }
}
