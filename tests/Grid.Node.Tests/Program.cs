namespace Grid.Node.Tests;

internal static class Program
{
    public static async Task<int> Main(string[] args) => args is [Containers.Victim.Verb, .. var rest]
        ? await Containers.Victim.RunAsync(rest)
        : await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args);
}
