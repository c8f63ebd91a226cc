using System.Text.Json;
using Grid.Stories.Tests.Stage;

namespace Grid.Stories.Tests;

/// <summary>What a newcomer does, as the newcomer does it.</summary>
[Collection("one at a time")]
public sealed class TheMainJob
{
    [Fact]
    public async Task Up_once_agrees_runs_proves_cancels_and_leaves_nothing()
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists("/usr/bin/mmdebstrap"))
            Assert.Skip("grid up needs root and mmdebstrap; run tools/setup.");
        var result = await UpOnce.RunAsync();
        UpOnce.IsDone(result);
        Assert.StartsWith("agr1", result.GetProperty("agreement").GetString(), StringComparison.Ordinal);
        Assert.StartsWith("fl1", result.GetProperty("flist").GetString(), StringComparison.Ordinal);
        Assert.StartsWith("st1", result.GetProperty("plan").GetString(), StringComparison.Ordinal);
        // Half a core at 3 a thousandth, and an eighth of a GiB at 1,000; a billionth of a euro each, every second.
        Assert.Equal("0.000001625 EUR", result.GetProperty("price").GetProperty("perSecond").GetString());
        Assert.Equal("workload running", result.GetProperty("receipt").GetProperty("what").GetString());
        Assert.StartsWith("node1", result.GetProperty("nodes").GetProperty("north").GetString(), StringComparison.Ordinal);
        Assert.StartsWith("acct1", result.GetProperty("user").GetString(), StringComparison.Ordinal);
        foreach (var (field, prefix) in new[] { ("account", "acct1"), ("farm", "farm1"), ("offer", "offer1") })
            Assert.StartsWith(prefix, result.GetProperty("farmer").GetProperty(field).GetString(), StringComparison.Ordinal);
        Assert.StartsWith("key1", result.GetProperty("log").GetProperty("key").GetString(), StringComparison.Ordinal);
        Assert.True(result.GetProperty("log").GetProperty("size").GetInt64() > result.GetProperty("receipt").GetProperty("index").GetInt64());
        Assert.Matches("^[0-9a-f]{64}$", result.GetProperty("log").GetProperty("root").GetString());
        Assert.All(result.GetProperty("stages").EnumerateArray(), s => Assert.True(s.GetProperty("seconds").GetDouble() > 0));
        Assert.Equal(["parties", "node", "root", "flist", "plan", "agree", "run", "page", "verify", "cancel"], result.GetProperty("stages").EnumerateArray().Select(s => s.GetProperty("stage").GetString()));
    }
}
