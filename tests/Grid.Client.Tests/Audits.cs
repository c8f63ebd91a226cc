using Grid.Tests.World;

namespace Grid.Client.Tests;

/// <summary>An audit goes on where the last one ended, and believes its own notes no more than their root.</summary>
public sealed class Audits : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grid-audit-").FullName;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private AuditCache Cache => new(Path.Combine(_directory, "audit"));

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task It_resumes_at_the_last_whole_bundle_and_is_not_fooled_by_a_damaged_cache()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        Grow(server.Grid, 600);
        Assert.Equal((600, 0), await AuditAsync(server));
        Grow(server.Grid, 700);
        Assert.Equal((700, 512), await AuditAsync(server));
        Assert.Equal((700, 512), await AuditAsync(server));

        var file = Path.Combine(_directory, "audit", "1");
        var bytes = await File.ReadAllBytesAsync(file, Stop);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(file, bytes, Stop);
        Assert.Equal((700, 0), await AuditAsync(server));
        Assert.Equal((700, 512), await AuditAsync(server));
        Cache.Forget();
        Assert.Equal((700, 0), await AuditAsync(server));
    }

    [Fact]
    public async Task A_log_that_was_rewritten_is_found_with_its_first_other_entry()
    {
        var first = new TestGrid();
        Grow(first, 300);
        await using (var server = await TwistedServer.StartAsync(first))
            Assert.Equal((300, 0), await AuditAsync(server));
        var second = new TestGrid();
        Grow(second, 40);
        second.Accept(second.Open(1, "somebody else"));
        Grow(second, 310);
        await using var other = await TwistedServer.StartAsync(second);
        using var client = other.Client();

        var report = HonestAnswers.Given(await LogAudit.RunAsync(client, Cache, null, Stop));

        Assert.Equal(RefusalCode.Inconsistent, report.Problem!.Code);
        Assert.Contains("Entry 40 ", report.Problem.Detail, StringComparison.Ordinal);
    }

    private async Task<(long Checked, long Resumed)> AuditAsync(TwistedServer server)
    {
        using var client = server.Client();
        var report = HonestAnswers.Given(await LogAudit.RunAsync(client, Cache, null, Stop));
        Assert.Null(report.Problem);
        return (report.Checked, report.Resumed);
    }

    private static void Grow(TestGrid grid, int size)
    {
        while (grid.Entries.Count < size)
            grid.Accept(grid.Open(1, $"somebody {grid.Entries.Count}"));
    }
}
