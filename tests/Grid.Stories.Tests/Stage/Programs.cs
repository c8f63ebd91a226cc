namespace Grid.Stories.Tests.Stage;

/// <summary>
/// What a story starts: the programs that <c>tools/build</c> made, native and as they are installed, where <c>GRID_PROGRAMS</c> names their directory, as
/// <c>tools/test</c> does; else those of this project's own build.
/// </summary>
internal static class Programs
{
    // What a link leads to: where they really are, and stay while any of them runs.
    private static readonly string _directory = Environment.GetEnvironmentVariable("GRID_PROGRAMS") is { Length: > 0 } given
        ? Directory.ResolveLinkTarget(given, returnFinalTarget: true)?.FullName ?? Path.GetFullPath(given)
        : AppContext.BaseDirectory;

    public static string Find(string name) => Path.Combine(_directory, name);
}
