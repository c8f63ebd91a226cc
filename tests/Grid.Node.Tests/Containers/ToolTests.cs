using Grid.Node.Containers;

namespace Grid.Node.Tests.Containers;

public sealed class ToolTests
{
    [Theory]
    [InlineData("for i in $(seq 100); do echo; sleep 0.1; done")]
    [InlineData("sleep 8")]
    public void What_has_not_ended_when_patience_has_is_killed_whether_it_talks_or_not(string script)
    {
        // Sooner than it would end by itself.
        var killed = Assert.Throws<IOException>(() => Tool.Run("sh", new Command("/bin/sh", ["-c", script], ["PATH=/usr/bin:/bin"]), TimeSpan.FromSeconds(5)));
        Assert.StartsWith("sh ended with ", killed.Message, StringComparison.Ordinal);
    }
}
