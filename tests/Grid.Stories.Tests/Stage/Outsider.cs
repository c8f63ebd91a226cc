using System.Diagnostics;

namespace Grid.Stories.Tests.Stage;

/// <summary>A user of the node's machine who is nobody to the node and its workloads.</summary>
public static class Outsider
{
    private const string Id = "65534";

    /// <summary>Whether the path is there for them: looked up by setpriv(1) and stat(1), without any privilege.</summary>
    public static bool Sees(string path)
    {
        var start = new ProcessStartInfo("/usr/bin/setpriv", ["--reuid", Id, "--regid", Id, "--clear-groups", "--inh-caps", "-all", "--bounding-set", "-all", "stat", path])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0 || error.Contains("Permission denied", StringComparison.Ordinal), error);
        return process.ExitCode == 0;
    }
}
