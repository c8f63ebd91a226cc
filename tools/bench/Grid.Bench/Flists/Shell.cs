using System.Diagnostics;

namespace Grid.Bench.Flists;

/// <summary>Other programs, as a person would type them.</summary>
internal static class Shell
{
    /// <summary>Runs a line and waits for all of it.</summary>
    /// <returns>what it wrote</returns>
    /// <exception cref="IOException">it failed</exception>
    public static async Task<string> RunAsync(string line)
    {
        using var process = Process.Start(new ProcessStartInfo("/bin/bash", ["-o", "pipefail", "-c", line]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? await output : throw new IOException($"{line}: {await errors}{await output}");
    }
}
