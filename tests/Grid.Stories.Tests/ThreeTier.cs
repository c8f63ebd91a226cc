using System.Text.Json;
using Grid.Stories.Tests.Stage;

namespace Grid.Stories.Tests;

/// <summary>The example that the README shows, as it is typed: PostgreSQL, an application and what leads to it, over three nodes of two farms.</summary>
[Collection("one at a time")]
public sealed class ThreeTier
{
    [Fact]
    public async Task The_example_runs_is_amended_and_leaves_nothing()
    {
        UnderlayNetwork.NeedsTunnels();
        if (!File.Exists("/usr/bin/mmdebstrap"))
            Assert.Skip("grid up needs mmdebstrap; run tools/setup.");
        await using var collector = await OtlpReceiver.StartAsync();
        var result = await UpOnce.RunAsync(collector.Environment, "--example", "three-tier");
        Assert.Equal(("done", "holds", "running"), (Text(result, "verdict"), Text(result, "bundleVerdict"), Text(result, "status")));
        Assert.StartsWith("Visit 1, by version 1", Text(result, "page"), StringComparison.Ordinal);
        Assert.StartsWith("Visit 2, by version 2", Text(result, "amendedPage"), StringComparison.Ordinal);
        Assert.True(result.GetProperty("databaseKept").GetBoolean());
        Assert.True(result.GetProperty("gone").GetBoolean());

        // Whatever was done on any of the nodes was done for this agreement, and says so: also what was done with files that the amendment dropped.
        var steps = collector.Spans.Where(s => s.Name.StartsWith("step ", StringComparison.Ordinal)).ToList();
        Assert.Superset(
            new HashSet<string>(["make-volume", "mount-flist", "start", "open-gateway", "stop", "remove", "unmount-flist", "close-gateway", "detach-volume", "destroy-volume"]),
            steps.Select(s => s.Name["step ".Length..]).ToHashSet());
        Assert.Equal(3, steps.Where(s => s.Name == "step unmount-flist").SelectMany(s => s.Tags[TraceTag.Flist]).Distinct().Count());
        Assert.All(steps, s => Assert.Contains(Text(result, "agreement")!, s.Tags[TraceTag.Agreement]));
    }

    private static string? Text(JsonElement result, string name) => result.GetProperty(name).GetString();
}
