using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Grid.Cli.Tests;

/// <summary><c>tools/build</c> beside programs that run, with a compiler that is quick: each project becomes a file that holds what was asked for last.</summary>
public sealed class BuildTests : IDisposable
{
    private const string Compiler = """
        #!/bin/bash
        while [ "$1" != -o ]; do [ "$1" != publish ] || project=$2; shift; done
        mkdir -p "$2"
        cp /usr/bin/sleep "$2/grid-cli"
        echo "$SAYS" > "$2/$(basename "$project" .csproj)"
        """;

    private readonly string _root = Directory.CreateTempSubdirectory("grid-build-").FullName;

    public BuildTests()
    {
        foreach (var directory in (string[])["tools", "bin"])
            Directory.CreateDirectory(At(directory));
        File.Copy(Script(), At("tools/build"));
        File.WriteAllText(At("bin/dotnet"), Compiler);
        File.SetUnixFileMode(At("bin/dotnet"), (UnixFileMode)0b111_101_101);
    }

    private string Programs => Directory.ResolveLinkTarget(At(".build/grid"), returnFinalTarget: true)?.FullName ?? At(".build/grid");

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public async Task What_runs_keeps_the_programs_that_it_was_started_with()
    {
        await BuildAsync("one");
        var first = Programs;
        using var runs = Process.Start(At(".build/grid/grid"), ["1000"]);
        try
        {
            // The script has become the program.
            while (new FileInfo($"/proc/{runs.Id}/exe").LinkTarget != $"{first}/grid-cli")
                await Task.Delay(10, TestContext.Current.CancellationToken);
            var made = File.GetLastWriteTimeUtc($"{first}/grid-cli");

            await BuildAsync("one");
            Assert.Equal((first, made), (Programs, File.GetLastWriteTimeUtc($"{first}/grid-cli")));

            await BuildAsync("two");
            await BuildAsync("three");
            Assert.Equal(["three"], Said(Programs));
            Assert.Equal(["one"], Said(first));
        }
        finally
        {
            runs.Kill();
            await runs.WaitForExitAsync(CancellationToken.None);
        }
        await BuildAsync("three");
        // Only root knows that nobody runs from it.
        Assert.Equal(!Environment.IsPrivilegedProcess, Directory.Exists(first));
    }

    [Fact]
    public async Task A_build_that_fails_leaves_the_one_before()
    {
        await BuildAsync("one");
        File.WriteAllText(At("bin/dotnet"), Compiler + "\n[ \"${project##*/}\" != Grid.Hub.csproj ]");
        await BuildAsync("two", ends: 1);
        Assert.Equal(["one"], Said(Programs));
        Assert.DoesNotContain("grid.new", Directory.GetFileSystemEntries(At(".build")).Select(Path.GetFileName));
    }

    private static string[] Said(string programs) => [.. Directory.GetFiles(programs, "Grid.*").Select(f => File.ReadAllText(f).Trim()).Distinct()];

    private async Task BuildAsync(string says, int ends = 0)
    {
        var start = new ProcessStartInfo(At("tools/build")) { RedirectStandardError = true, Environment = { ["PATH"] = $"{At("bin")}:/usr/bin:/bin", ["SAYS"] = says } };
        using var build = Process.Start(start)!;
        var errors = await build.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await build.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(build.ExitCode == ends, errors);
    }

    private string At(string path) => Path.Combine(_root, path);

    private static string Script([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "../../tools/build"));
}
