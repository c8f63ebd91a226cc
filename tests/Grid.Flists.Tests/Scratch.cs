using System.Runtime.CompilerServices;

namespace Grid.Flists.Tests;

/// <summary>A directory of one test, gone afterwards with whatever names are in it.</summary>
internal sealed class Scratch : IDisposable
{
    public Scratch() => Path = Directory.CreateTempSubdirectory("grid-flists-").FullName;

    public string Path { get; }

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public string NewDirectory(string name) => Directory.CreateDirectory(this[name]).FullName;

    // Names that are no UTF-8 cannot be deleted from .NET.
    public void Dispose() => Run.Succeed("rm", "-rf", "--", Path);
}

internal static class Repository
{
    public static string Vectors { get; } = System.IO.Path.Combine(Root(), "tests", "vectors", "flists");

    private static string Root([CallerFilePath] string file = "")
    {
        var directory = System.IO.Path.GetDirectoryName(file);
        while (directory is not null && !File.Exists(System.IO.Path.Combine(directory, "Grid.sln")))
            directory = System.IO.Path.GetDirectoryName(directory);
        return directory ?? throw new DirectoryNotFoundException("Grid.sln is not above the tests.");
    }
}
