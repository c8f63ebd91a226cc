using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace Grid.Stories.Tests.Stage;

/// <summary><c>tools/up --once</c> as it is typed, in a process of its own, with the programs that are built already.</summary>
internal static class UpOnce
{
    /// <returns>what it printed, after it ended well and left nothing of its name on the machine</returns>
    public static Task<JsonElement> RunAsync(params string[] arguments) => RunAsync(new Dictionary<string, string>(), arguments);

    /// <param name="environment">what is set besides what this process has</param>
    public static async Task<JsonElement> RunAsync(IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        using var programs = new NamedPrograms();
        // The script becomes the program, so that it has its number too.
        var start = new ProcessStartInfo(Script(), ["--once", "-o", "json", .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["GRID_PROGRAMS"] = programs.Directory;
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var up = Process.Start(start)!;
        var (output, errors) = (up.StandardOutput.ReadToEndAsync(), up.StandardError.ReadToEndAsync());
        await up.WaitForExitAsync();
        Assert.True(up.ExitCode == 0, $"exit {up.ExitCode}\n{await output}\n{await errors}");
        Leftovers.None($"grid-up-{up.Id}");
        // One object and nothing else: anything before or behind it is no JSON.
        using var document = JsonDocument.Parse(await output);
        Assert.Equal(JsonValueKind.Object, document.RootElement.ValueKind);
        return document.RootElement.Clone();
    }

    /// <summary>What it says when all of it went well.</summary>
    public static void IsDone(JsonElement result)
    {
        Assert.Equal("done", result.GetProperty("verdict").GetString());
        Assert.Equal("holds", result.GetProperty("bundleVerdict").GetString());
        Assert.Equal("running", result.GetProperty("status").GetString());
        Assert.True(result.GetProperty("gone").GetBoolean());
        Assert.StartsWith("Hello from inside", result.GetProperty("page").GetString(), StringComparison.Ordinal);
    }

    private static string Script([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "../../../tools/up"));

    // Where they were not published, the program has the name of its assembly.
    private sealed class NamedPrograms : IDisposable
    {
        private readonly DirectoryInfo? _made = File.Exists(Programs.Find("grid")) ? null : System.IO.Directory.CreateTempSubdirectory("grid-story-programs-");

        public NamedPrograms()
        {
            if (_made is not null)
                File.CreateSymbolicLink(Path.Combine(_made.FullName, "grid"), Programs.Find("grid-cli"));
        }

        public string Directory => _made?.FullName ?? Path.GetDirectoryName(Programs.Find("grid"))!;

        public void Dispose() => _made?.Delete(recursive: true);
    }
}
