using System.Diagnostics;
using System.Text.Json;

namespace Grid.Stories.Tests.Stage;

/// <summary><c>grid up --once</c> as it is typed, in a process of its own.</summary>
internal static class UpOnce
{
    /// <returns>what it printed, after it ended well and left nothing of its name on the machine</returns>
    public static Task<JsonElement> RunAsync(params string[] arguments) => RunAsync(new Dictionary<string, string>(), arguments);

    /// <param name="environment">what is set besides what this process has</param>
    public static async Task<JsonElement> RunAsync(IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        var start = new ProcessStartInfo(Programs.Find("grid-cli"), ["up", "--once", "-o", "json", .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var up = Process.Start(start)!;
        var (output, errors) = (up.StandardOutput.ReadToEndAsync(), up.StandardError.ReadToEndAsync());
        await up.WaitForExitAsync();
        Assert.True(up.ExitCode == 0, $"exit {up.ExitCode}\n{await output}\n{await errors}");
        Leftovers.None($"grid-up-{up.Id}");
        using var document = JsonDocument.Parse(await output);
        return document.RootElement.Clone();
    }
}
