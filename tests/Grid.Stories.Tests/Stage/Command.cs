using System.Diagnostics;

namespace Grid.Stories.Tests.Stage;

/// <summary>A program of this machine that a story needs done.</summary>
internal static class Command
{
    public static async Task DoAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        var said = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program}: {said}");
    }
}
