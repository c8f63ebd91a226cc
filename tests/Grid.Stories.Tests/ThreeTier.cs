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
        if (!Environment.IsPrivilegedProcess || !File.Exists("/usr/bin/mmdebstrap") || !File.Exists("/usr/bin/wireguard-go"))
            Assert.Skip("grid up needs root, mmdebstrap and wireguard-go; run tools/setup.");
        var result = await UpOnce.RunAsync("--example", "three-tier");
        Assert.Equal(("done", "holds", "running"), (Text(result, "verdict"), Text(result, "bundleVerdict"), Text(result, "status")));
        Assert.StartsWith("Visit 1, by version 1", Text(result, "page"), StringComparison.Ordinal);
        Assert.StartsWith("Visit 2, by version 2", Text(result, "amendedPage"), StringComparison.Ordinal);
        Assert.True(result.GetProperty("databaseKept").GetBoolean());
        Assert.True(result.GetProperty("gone").GetBoolean());
    }

    private static string? Text(JsonElement result, string name) => result.GetProperty(name).GetString();
}
