using System.Diagnostics;
using Grid.Ledger.Postgres;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Ledger.Tests;

/// <summary>One cluster, made and ended once; tests begin with a copy, for making one syncs a thousand files.</summary>
internal sealed class ClusterTemplate
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grid-pg-").FullName;

    public async Task InitializeAsync()
    {
        Private.OpenToOthers(_directory);
        await using var server = await EmbeddedPostgres.StartAsync(_directory, PostgresBinaries.Find(), NullLogger<EmbeddedPostgres>.Instance);
    }

    /// <summary>A directory of the caller's own with a cluster in it that has ended.</summary>
    public string Copy()
    {
        var copy = Directory.CreateTempSubdirectory("grid-pg-").FullName;
        using var cp = Process.Start("cp", ["-a", $"{_directory}/.", copy]);
        cp.WaitForExit();
        Assert.Equal(0, cp.ExitCode);
        return copy;
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_directory, recursive: true);
        return ValueTask.CompletedTask;
    }
}
