using System.Globalization;
using Grid.Node.Containers;

namespace Grid.Node.Tests.Containers;

/// <summary>An agent that starts containers until somebody kills it.</summary>
internal static class Victim
{
    public const string Verb = "--start-containers";

    /// <param name="args">run, logs, cgroup parent, root file system, seed, "once" or "for-ever"</param>
    public static async Task<int> RunAsync(string[] args)
    {
        if (args is not [var run, var logs, var parent, var rootfs, var seed, var how])
            return 2;
        var host = ContainerHost.Open(new ContainerPaths(run, logs, parent), TimeProvider.System, out var why);
        if (host is null)
        {
            await Console.Error.WriteLineAsync(why);
            return 3;
        }
        do
        {
            var spec = Machine.Spec(int.Parse(seed, CultureInfo.InvariantCulture), rootfs, "wait");
            await Console.Out.WriteLineAsync("starting");
            await Console.Out.WriteLineAsync((await host.StartAsync(spec)).ToString());
            if (how != "once")
                await host.RemoveAsync(spec.Id, keepLog: false);
        }
        while (how != "once");
        await Task.Delay(Timeout.InfiniteTimeSpan);
        return 0;
    }
}
