using System.Security.Cryptography;
using Grid.Bench.Start;

namespace Grid.Bench.Node;

/// <summary>A container from an flist of 50 MB of which the node has nothing, with the hub on the same machine.</summary>
internal static class ColdStarts
{
    private const int Blobs = 48, BlobSize = 1_000_000, Rounds = 5;

    /// <returns>milliseconds from agreed to executed; and the share of the flist's bytes that the node had fetched when it was</returns>
    public static async Task<(List<double> Times, double Share)> MeasureAsync(PrivateGrid grid)
    {
        var (times, shares) = (new List<double>(), new List<double>());
        for (var round = 0; round < Rounds; round++)
        {
            // New bytes each time: nothing of it is in the cache.
            var flist = await grid.PublishAsync($"cold-{round}", tree =>
            {
                for (var i = 0; i < Blobs; i++)
                    File.WriteAllBytes(Path.Combine(tree, "etc", $"blob-{i:d2}"), RandomNumberGenerator.GetBytes(BlobSize));
            });
            var before = Size(grid.Paths.Cache);
            var start = await StartBench.StartAsync(grid, grid.Container($"cold-{round}", flist: flist));
            shares.Add((Size(grid.Paths.Cache) - before) / (double)(Blobs * BlobSize));
            times.Add(start.Executed);
            await StartBench.EndAsync(grid, start.Container.Agreement);
        }
        return (times, shares.Max());
    }

    private static long Size(string directory) => new DirectoryInfo(directory).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length);
}
