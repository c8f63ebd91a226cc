using System.Diagnostics;
using Grid.Bench.Start;
using Grid.Units;

namespace Grid.Bench.Node;

/// <summary>From the ledger's answer to a cancellation until nothing of it is left on the node.</summary>
internal static class Endings
{
    /// <summary>Its first process does not listen for TERM, and to the first process of a pid namespace nothing else is delivered.</summary>
    public const string Deaf = "while :; do /bin/busybox sleep 1000; done";

    /// <returns>milliseconds until processes, mounts, groups and directories of all its containers are gone</returns>
    public static async Task<double> CancelAsync(PrivateGrid grid, AgreementId id)
    {
        await grid.PostAsync(grid.Cancellation(id));
        var recorded = Stopwatch.GetTimestamp();
        await StartBench.UntilAsync($"{id} to be gone", () => !Traces(grid, id).Any());
        return Stopwatch.GetElapsedTime(recorded).TotalMilliseconds;
    }

    // A group cannot go before its processes, nor a directory before its mount.
    private static IEnumerable<string> Traces(PrivateGrid grid, AgreementId id) =>
        CgroupTree.Find(grid.Paths.Cgroup).Append(Path.Combine(grid.Paths.Run, "containers")).Append(grid.Paths.Roots)
            .Where(Directory.Exists).SelectMany(d => Directory.EnumerateDirectories(d, $"{id}.*"));
}
