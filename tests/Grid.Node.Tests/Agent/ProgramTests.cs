using System.Diagnostics;

namespace Grid.Node.Tests.Agent;

/// <summary>The program as a farmer calls it.</summary>
public sealed class ProgramTests
{
    [Theory]
    [InlineData(0, "grid-node --ledger URL", "--help")]
    [InlineData(0, "grid-node ", "--version")]
    [InlineData(2, "grid-node: '--what' is not an option.", "--what", "1")]
    [InlineData(2, "grid-node clear --data DIR", "clear", "--data", "", "--run", "x", "--cgroup", "x")]
    public async Task It_says_what_it_is_and_what_it_does_not_understand(int code, string said, params string[] args)
    {
        using var process = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "grid-node"), args) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var text = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.StartsWith(said, text + await errors, StringComparison.Ordinal);
        Assert.Equal(code, process.ExitCode);
    }
}
